//! `doorward account …`

use super::{account_set_up as set_up, ask, sign_in};
use crate::{
    cli::{Account as Verb, AccountSettings, LoginWay},
    client::{Client, segment},
    failure::{Exit, Failure, Outcome},
    output,
};
use doorward_wire::account::{Account, StageState, is_signed_in};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    io::{IsTerminal as _, stdin, stdout},
    path::Path,
};

/// The kind whose sign-in needs nothing but a person, so that it can follow at once.
const STRAIGHT: &str = "bticino";

#[derive(Debug, Deserialize)]
struct Items<T> {
    items: Vec<T>,
}

pub(crate) async fn run(client: &Client, json: bool, verb: Verb) -> Outcome {
    match verb {
        Verb::Add { kind, name, settings, no_login } => {
            let mut body = json!({ "kind": kind, "settings": read(client, &kind, &settings).await? });
            if let Some(name) = name {
                body["name"] = json!(name);
            }
            let account: Account = client.post("/accounts", body).await?;
            if json {
                output::json(&account);
            } else if kind == STRAIGHT && !no_login && stdin().is_terminal() && stdout().is_terminal() {
                output::line(&format!("Account {} is added.", account.id));
                sign_in::run(client, account.id.as_str(), &LoginWay::default()).await?;
            } else {
                output::line(&format!("Account {} is added. Sign in: doorward account login {}", account.id, account.id));
            }
        }
        Verb::List => {
            let accounts = client.get::<Items<Account>>("/accounts").await?.items;
            if json {
                output::json(&accounts);
            } else if accounts.is_empty() {
                output::line("There are no accounts yet. Add one: doorward account add --help");
            } else {
                let rows: Vec<Vec<String>> = accounts
                    .iter()
                    .map(|account| {
                        let expiry = account.leases.iter().filter_map(|lease| lease.not_after).min();
                        let expiry = expiry.map_or_else(String::new, |expiry| expiry.to_string());
                        vec![
                            account.id.to_string(),
                            account.name.clone(),
                            account.kind.clone(),
                            account.state.to_string(),
                            account.doors.to_string(),
                            expiry,
                        ]
                    })
                    .collect();
                output::table(&["account", "name", "kind", "state", "doors", "expires"], &rows);
            }
        }
        Verb::Show { account } => show(&fetch(client, &account).await?, json),
        Verb::Set { account, name, settings } => {
            let kind = fetch(client, &account).await?.kind;
            let mut body = json!({ "settings": read(client, &kind, &settings).await? });
            if let Some(name) = name {
                body["name"] = json!(name);
            }
            let account: Account = client.send(Method::PATCH, &format!("/accounts/{}", segment(&account)), Some(body)).await?;
            show(&account, json);
        }
        Verb::Login { account, way } => sign_in::run(client, &account, &way).await?,
        Verb::Refresh { account } => {
            let account: Account = client.post(&format!("/accounts/{}/refresh", segment(&account)), json!({})).await?;
            show(&account, json);
        }
        Verb::Call { account, name } => {
            let answer: Value = client.get(&format!("/accounts/{}/call/{}", segment(&account), segment(&name))).await?;
            output::json(&answer);
        }
        Verb::Step { account, step, input } => set_up::step(client, &account, &step, &input).await?,
        Verb::Register { account, plants, new_certificates } => {
            set_up::register(client, json, &account, plants, new_certificates).await?;
        }
        Verb::Forget { account, gateway } => set_up::forget(client, &account, &gateway).await?,
        Verb::Import { account, files } => set_up::import(client, &account, &files).await?,
        Verb::Export { account, folder, gateway } => set_up::export(client, &account, &folder, gateway.as_deref()).await?,
        Verb::Dump { account } => {
            let account = fetch(client, &account).await?;
            let mut calls = json!({});
            for name in kind_of(client, &account.kind).await?.map(|kind| kind.calls).unwrap_or_default() {
                let answer: Result<Value, Failure> = client.get(&format!("/accounts/{}/call/{name}", account.id)).await;
                calls[name.as_str()] = answer.unwrap_or_else(|failure| json!({ "error": failure.lines }));
            }
            output::json(&json!({ "version": env!("CARGO_PKG_VERSION"), "account": account, "calls": calls }));
        }
        Verb::Remove { account } => {
            client.send::<Value>(Method::DELETE, &format!("/accounts/{}", segment(&account)), None).await?;
            output::line(&format!("Account {account} is removed, with its secrets and its doors."));
        }
    }
    Ok(Exit::Done)
}

async fn fetch(client: &Client, id: &str) -> Result<Account, Failure> {
    client.get(&format!("/accounts/{}", segment(id))).await
}

fn show(account: &Account, json: bool) {
    if json {
        return output::json(account);
    }
    output::line(&format!("{} ({})", account.name, account.id));
    output::line(&format!("  state     {}", account.state));
    if let Some(detail) = &account.detail {
        output::line(&format!("            {detail}"));
    }
    for lease in &account.leases {
        let time = |time: Option<doorward_wire::Time>| time.map_or_else(|| "unknown".into(), |time| time.to_string());
        output::line(&format!("  {:<9} expires {}, renewed {}", lease.kind, time(lease.not_after), time(lease.renewed)));
        if let Some(error) = &lease.last_error {
            output::line(&format!("            last error: {error}"));
        }
    }
    for stage in &account.stages {
        let detail = stage.detail.as_ref().map_or_else(String::new, |detail| format!(": {detail}"));
        output::line(&format!("  {:<9} {}{detail}", stage.state, stage.label));
    }
    output::line(&format!("  doors     {}", account.doors));
    for (key, value) in &account.settings {
        output::line(&format!("  {key} = {value}"));
    }
    if !is_signed_in(account.state, &account.stages) {
        output::line(&format!("  sign in with: doorward account login {}", account.id));
    } else if account.stages.iter().any(|stage| stage.name == "registration" && stage.state != StageState::Done) {
        output::line(&format!("  register with: doorward account register {}", account.id));
    }
}

/// The part of a driver that says what its settings are.
#[expect(clippy::struct_field_names, reason = "`kind` is the word of the API")]
#[derive(Deserialize)]
struct Kind {
    kind: String,
    fields: Vec<Field>,
    calls: Vec<String>,
}

#[derive(Deserialize)]
struct Field {
    name: String,
    kind: String,
}

/// What an account of this kind has; nothing when the server does not offer it.
async fn kind_of(client: &Client, kind: &str) -> Result<Option<Kind>, Failure> {
    Ok(client.get::<Items<Kind>>("/kinds").await?.items.into_iter().find(|known| known.kind == kind))
}

/// Settings from `--set` and `--secret-file` as JSON, each as its driver wants it: a key of digits is no number.
async fn read(client: &Client, kind: &str, settings: &AccountSettings) -> Result<Value, Failure> {
    let known = kind_of(client, kind).await?.map(|known| known.fields).unwrap_or_default();
    let mut all = serde_json::Map::new();
    for pair in &settings.set {
        let (key, value) = pair.split_once('=').ok_or_else(|| Failure::usage(format!("“{pair}” is not KEY=VALUE")))?;
        let kind = known.iter().find(|field| field.name == key).map(|field| field.kind.as_str());
        let typed = match (kind, value) {
            (Some("switch"), "true" | "on") => json!(true),
            (Some("switch"), "false" | "off") => json!(false),
            (Some("number"), number) => number.parse::<i64>().map_or_else(|_| json!(number), |number| json!(number)),
            (_, text) => json!(text),
        };
        all.insert(key.into(), typed);
    }
    for pair in &settings.secret_file {
        let (key, file) = pair.split_once('=').ok_or_else(|| Failure::usage(format!("“{pair}” is not KEY=FILE")))?;
        all.insert(key.into(), json!(ask::secret(Some(Path::new(file)), key)?.reveal()));
    }
    Ok(Value::Object(all))
}
