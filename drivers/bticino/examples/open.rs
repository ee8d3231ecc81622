//! Opens a gate by its name, with what `sign_in` or the original saved in a folder.
//!
//! ```text
//! BTICINO_SUBSCRIPTION_KEY=… cargo run --example open -- saved "Front gate"
//! ```

use doorward_bticino::{Client, Standalone, files::Files, settings_from_environment};
use std::{env::args, error::Error, path::PathBuf};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (folder, gate) = args().nth(1).zip(args().nth(2)).ok_or("usage: open <folder> <gate>")?;
    let folder = PathBuf::from(folder);
    // Tokens that are renewed here are kept there before they are used: those of the files may be good no more.
    let client = Client::new(&settings_from_environment(), Standalone::in_folder(folder.join("kept")))?;
    if !client.is_registered().await? {
        client.import(&Files::read(&folder).await?).await?;
    }

    let doors = client.doors().await?;
    let door = doors.iter().find(|door| door.name == gate).ok_or("there is no gate of this name")?;
    client.open(&door.external).await?;
    println!("The vendor took the command to open {}. Look whether it moves.", door.name);
    Ok(())
}
