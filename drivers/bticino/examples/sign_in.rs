//! Signs in, registers, and saves the original's three files: `token/token_cache.json`, `token/sip_account.json` and
//! `certs/client-certs.json`.
//!
//! ```text
//! BTICINO_SUBSCRIPTION_KEY=… cargo run --example sign_in -- saved
//! ```

use doorward_bticino::{Client, Standalone, settings_from_environment};
use doorward_core::Secret;
use std::{error::Error, path::PathBuf};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("usage: sign_in <folder>")?);
    // The vendor counts every registration as one more phone: this is the same one the next time.
    let client = Client::new(&settings_from_environment(), Standalone::in_folder(folder.join("kept")))?;

    println!("Open this address in a browser and sign in:\n{}", client.sign_in_url().await?);
    println!("The browser then cannot go on. Paste the address that it was sent to, com.legrandgroup.diy://…");
    let mut pasted = String::new();
    std::io::stdin().read_line(&mut pasted)?;
    client.sign_in(&Secret::new(pasted)).await?;

    client.register().await?;
    client.export().await?.write(&folder).await?;
    for door in client.doors().await? {
        println!("Registered: {}", door.name);
    }
    Ok(())
}
