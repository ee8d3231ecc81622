//! `doorward account step|register|import|export`: what follows on the sign-in.

use crate::{
    client::{Client, segment},
    failure::Failure,
    output,
};
use serde_json::{Map, Value, json};
use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// Any step, for programs and for support.
pub(super) async fn step(client: &Client, account: &str, step: &str, input: &str) -> Result<(), Failure> {
    // Secrets do not belong into the arguments of a process.
    let text = match input.strip_prefix('@') {
        None if input != "-" => input.to_owned(),
        None => io::read_to_string(io::stdin())?,
        Some(file) => fs::read_to_string(file).map_err(|error| Failure::usage(format!("{file}: {error}")))?,
    };
    let input: Value = serde_json::from_str(&text).map_err(|error| Failure::usage(format!("the input is no JSON: {error}")))?;
    output::json(&take(client, account, step, input).await?);
    Ok(())
}

pub(super) async fn register(client: &Client, json: bool, account: &str, plants: Vec<String>, anew: bool) -> Result<(), Failure> {
    let plants = (!plants.is_empty()).then_some(plants);
    let said = take(client, account, "register", json!({ "plants": plants, "certificate": anew })).await?;
    if json {
        output::json(&said);
    } else {
        registered(account, &said, &take(client, account, "plants", json!({})).await?);
    }
    Ok(())
}

pub(super) async fn forget(client: &Client, account: &str, gateway: &str) -> Result<(), Failure> {
    take(client, account, "forget", json!({ "gateway": gateway })).await?;
    output::line(&format!("{gateway} is forgotten. See what is left: doorward account show {account}"));
    Ok(())
}

pub(super) async fn import(client: &Client, account: &str, files: &[PathBuf]) -> Result<(), Failure> {
    let mut input = Map::new();
    for file in files {
        let text = fs::read_to_string(file).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
        input.insert(file.display().to_string(), Value::String(text));
    }
    take(client, account, "import", Value::Object(input)).await?;
    output::line(&format!("The files are taken over. See how it stands: doorward account show {account}"));
    Ok(())
}

pub(super) async fn export(client: &Client, account: &str, folder: &Path, gateway: Option<&str>) -> Result<(), Failure> {
    fs::create_dir_all(folder)?;
    let input = gateway.map_or_else(|| json!({}), |gateway| json!({ "gateway": gateway }));
    let given = take(client, account, "export", input).await?;
    for (name, content) in given.as_object().into_iter().flatten().filter(|(_, content)| !content.is_null()) {
        output::line(&write(folder, name, content)?);
    }
    Ok(())
}

async fn take(client: &Client, account: &str, step: &str, input: Value) -> Result<Value, Failure> {
    let body = json!({ "step": step, "input": input });
    let mut said: Value = client.post(&format!("/accounts/{}/steps", segment(account)), body).await?;
    Ok(said["output"].take())
}

/// Says at which gateways an account is registered now, and what opens there.
fn registered(account: &str, said: &Value, listed: &Value) {
    let at = said["gateways"].as_array();
    for plant in listed["plants"].as_array().into_iter().flatten() {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let own = |gateway: &&Value| at.is_some_and(|at| at.contains(&gateway["id"]));
        for gateway in plant["gateways"].as_array().into_iter().flatten().filter(own) {
            let doors: Vec<String> = gateway["doors"].as_array().into_iter().flatten().map(text).collect();
            let (plant, name, until) = (text(&plant["name"]), text(&gateway["name"]), text(&gateway["certificate_until"]));
            output::line(&format!("Registered at {plant}, {name}: {}; certificate good until {until}", doors.join(", ")));
        }
    }
    output::line(&format!("Its doors: doorward door list; how it stands: doorward account show {account}"));
}

/// Writes a secret file that is not there yet. Gives its path.
fn write(folder: &Path, name: &str, content: &Value) -> Result<String, Failure> {
    // Names come from the server: none leads out of the folder.
    let name = Path::new(name).file_name().ok_or_else(|| Failure::failed("a file without a name was given"))?;
    let path = folder.join(name);
    let failed = |error: io::Error| Failure::failed(format!("{}: {error}", path.display()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
    file.write_all(format!("{content:#}\n").as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    Ok(path.display().to_string())
}
