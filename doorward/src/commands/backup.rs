//! `doorward backup` and `doorward restore`

use super::ask;
use crate::{
    beside::PutBack,
    cli::Global,
    client::Client,
    config::read_config,
    data::{self, Data},
    failure::{Exit, Failure, Outcome},
    output,
};
use doorward_core::Secret;
use doorward_store::Restored;
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
    let size = match download(response, &part).await {
        Ok(size) => size,
        Err(failure) => {
            // It is no backup.
            let _ = tokio::fs::remove_file(&part).await;
            return Err(failure);
        }
    };
    tokio::fs::rename(&part, file).await?;
    output::line(&format!(
        "{} is written ({} KiB). It holds everything, also the master key and keys of locks: keep the passphrase apart from it.",
        file.display(),
        size.div_ceil(1024)
    ));
    Ok(Exit::Done)
}

async fn download(response: reqwest::Response, part: &Path) -> Result<usize, Failure> {
    let mut out = tokio::fs::File::create(part).await?;
    let mut stream = response.bytes_stream();
    let mut size = 0;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| Failure::failed(format!("the backup broke off: {error}")))?;
        size += chunk.len();
        out.write_all(&chunk).await?;
    }
    out.sync_all().await?;
    Ok(size)
}

pub(crate) async fn restore(global: &Global, file: &Path, passphrase: Option<&Path>) -> Outcome {
    let config = read_config(global, None)?;
    let data = Data::open(data::folder(global.data.as_deref()))?;
    let input = tokio::fs::File::open(file).await.map_err(|error| Failure::usage(format!("{} cannot be read: {error}", file.display())))?;
    let passphrase = ask::secret(passphrase, "Passphrase of the backup")?;
    let url = Secret::new(data.store_url(&config.store.url));
    let mut back = PutBack::default();
    let put = |files: Vec<_>| back.put(global, &data, url.reveal(), &files);
    let restored = doorward_store::restore(tokio::io::BufReader::new(input), &passphrase, &url, &data.key_path(), put)
        .await
        .map_err(|error| Failure::failed(error.to_string()))?;
    say(global, &restored, &back);
    Ok(Exit::Done)
}

fn say(global: &Global, restored: &Restored, back: &PutBack) {
    for warning in &back.warnings {
        output::warn(warning);
    }
    let files: Vec<_> = back.files.iter().map(|file| file.display().to_string()).collect();
    let Restored { made, written_by, house, rows } = restored;
    if global.json {
        let warnings = &back.warnings;
        output::json(
            &json!({ "made": made, "written_by": written_by, "house": house, "rows": rows, "files": files, "warnings": warnings }),
        );
        return;
    }
    let made = made.timestamp().strftime("%Y-%m-%d %H:%M UTC");
    output::line(&format!("The house is restored as it was on {made}: {rows} rows, written by doorward {written_by}."));
    match files.as_slice() {
        [] => {}
        few @ ([_] | [_, _] | [_, _, _]) => output::line(&format!("With it: {}.", few.join(", "))),
        [first, .., last] => output::line(&format!("With it: {} files, from {first} to {last}.", files.len())),
    }
    output::line("Start doorward now; everybody signs in again.");
}
