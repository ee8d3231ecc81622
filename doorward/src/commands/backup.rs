//! `doorward backup` and `doorward restore`

use super::ask;
use crate::{
    cli::Global,
    client::Client,
    config::read_config,
    data::{self, Data},
    failure::{Exit, Failure, Outcome},
    output,
};
use doorward_core::Secret;
use futures_util::StreamExt;
use reqwest::Method;
use serde_json::json;
use std::path::Path;
use tokio::io::AsyncWriteExt;

pub(crate) async fn backup(global: &Global, file: &Path, passphrase: Option<&Path>) -> Outcome {
    if file.exists() {
        return Err(Failure::usage(format!("{} is there already; name another file", file.display())));
    }
    let passphrase = ask::new_secret(passphrase, "Passphrase of the backup")?;
    let response = Client::new(global)?.raw(Method::POST, "/backup", Some(json!({ "passphrase": passphrase.reveal() }))).await?;
    let part = file.with_extension("part");
    let mut out = tokio::fs::File::create(&part).await?;
    let mut stream = response.bytes_stream();
    let mut size = 0;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| Failure::failed(format!("the backup broke off: {error}")))?;
        size += chunk.len();
        out.write_all(&chunk).await?;
    }
    out.sync_all().await?;
    tokio::fs::rename(&part, file).await?;
    output::line(&format!(
        "{} is written ({} KiB). It holds everything, also the master key: keep the passphrase apart from it.",
        file.display(),
        size.div_ceil(1024)
    ));
    Ok(Exit::Done)
}

pub(crate) async fn restore(global: &Global, file: &Path, passphrase: Option<&Path>) -> Outcome {
    let config = read_config(global, None)?;
    let data = Data::open(data::folder(global.data.as_deref()))?;
    let input = tokio::fs::File::open(file).await.map_err(|error| Failure::usage(format!("{} cannot be read: {error}", file.display())))?;
    let passphrase = ask::secret(passphrase, "Passphrase of the backup")?;
    let url = data.store_url(&config.store.url);
    let restored = doorward_store::restore(tokio::io::BufReader::new(input), &passphrase, &Secret::new(url), &data.key_path())
        .await
        .map_err(|error| Failure::failed(error.to_string()))?;
    output::line(&format!("Restored: {restored:?}. Start doorward now."));
    Ok(Exit::Done)
}
