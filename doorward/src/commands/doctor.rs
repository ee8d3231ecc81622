//! `doorward doctor`

use crate::{
    cli::Global,
    client::Client,
    config::read_config,
    data,
    failure::{Exit, Failure, Outcome},
    output,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{path::Path, time::Duration};

/// One thing that was looked at.
#[derive(Debug, Serialize, Deserialize)]
struct Check {
    name: String,
    ok: bool,
    detail: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    hint: String,
}

pub(crate) async fn run(global: &Global, live: bool) -> Outcome {
    let client = Client::new(global)?;
    if live {
        let answer = tokio::time::timeout(Duration::from_secs(5), client.get::<Value>("/version")).await;
        return match answer {
            Ok(Ok(_)) => Ok(Exit::Done),
            Ok(Err(failure)) => Err(failure),
            Err(_) => Err(Failure::new(Exit::Unreachable, "no answer within 5 seconds")),
        };
    }
    let mut checks = Vec::new();
    if global.url.is_none() {
        checks.extend(offline(global));
    }
    match client.get::<Value>("/doctor").await {
        Ok(answer) => checks.extend(serde_json::from_value::<Vec<Check>>(answer["items"].clone()).unwrap_or_default()),
        Err(failure) => {
            checks.push(Check { name: "running".into(), ok: false, detail: failure.lines[0].clone(), hint: failure.lines[1..].join(" ") });
        }
    }
    let sick = checks.iter().filter(|check| !check.ok).count();
    if global.json {
        output::json(&checks);
    } else {
        for check in &checks {
            output::line(&format!("{}  {:<16} {}", if check.ok { "ok  " } else { "FAIL" }, check.name, check.detail));
            if !check.ok && !check.hint.is_empty() {
                output::line(&format!("      {:<16} {}", "", check.hint));
            }
        }
        output::line(&if sick == 0 {
            "Everything looks right.".to_owned()
        } else {
            format!("{sick} of {} checks need you.", checks.len())
        });
    }
    Ok(if sick == 0 { Exit::Done } else { Exit::Failed })
}

/// What can be seen without a running doorward.
fn offline(global: &Global) -> Vec<Check> {
    let folder = data::folder(global.data.as_deref());
    let config = match read_config(global, None) {
        Ok(_) => Check { name: "configuration".into(), ok: true, detail: "right".into(), hint: String::new() },
        Err(failure) => {
            Check { name: "configuration".into(), ok: false, detail: failure.lines[0].clone(), hint: failure.lines[1..].join("; ") }
        }
    };
    vec![config, folder_check(&folder)]
}

fn folder_check(folder: &Path) -> Check {
    use std::os::unix::fs::PermissionsExt;
    let name = "data folder".to_owned();
    let hint = "start doorward once with this folder, or name another with --data".to_owned();
    match std::fs::metadata(folder) {
        Err(error) => Check { name, ok: false, detail: format!("{}: {error}", folder.display()), hint },
        Ok(meta) if meta.permissions().mode() & 0o077 != 0 => {
            let hint = format!("chmod 700 {}", folder.display());
            Check { name, ok: false, detail: format!("{} can be read by others", folder.display()), hint }
        }
        Ok(_) => Check { name, ok: true, detail: folder.display().to_string(), hint: String::new() },
    }
}
