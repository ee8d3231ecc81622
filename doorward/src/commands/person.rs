//! `doorward person …`

use super::ask;
use crate::{
    cli::{Person as Verb, Token},
    client::{Client, segment},
    failure::{Exit, Failure, Outcome},
    output,
};
use reqwest::Method;
use serde_json::{Value, json};

pub(crate) async fn run(client: &Client, json: bool, verb: Verb) -> Outcome {
    match verb {
        Verb::Add { name } => {
            let person: Value = client.post("/people", json!({ "name": name })).await?;
            if json {
                output::json(&person);
            } else {
                output::line(&format!("{name} is added. Send them a link: doorward person link {name:?}"));
            }
        }
        Verb::List => {
            let people = people(client).await?;
            if json {
                output::json(&people);
            } else {
                let rows: Vec<Vec<String>> =
                    people.iter().map(|person| vec![text(person, "id"), text(person, "name"), text(person, "role")]).collect();
                output::table(&["id", "name", "role"], &rows);
            }
        }
        Verb::Remove { person } => {
            let id = find(client, &person).await?;
            client.send::<Value>(Method::DELETE, &format!("/people/{id}"), None).await?;
            output::line(&format!("{person} is removed and signed out everywhere."));
        }
        Verb::Link { person } => {
            let id = match person {
                Some(person) => find(client, &person).await?,
                None => people(client)
                    .await?
                    .first()
                    .map(|person| text(person, "id"))
                    .ok_or_else(|| Failure::failed("there are no people yet"))?,
            };
            let link: Value = client.post(&format!("/people/{id}/link"), json!({})).await?;
            if json {
                output::json(&link);
            } else {
                output::line(&text(&link, "url"));
                eprintln!("It works once, until {}.", text(&link, "expires"));
            }
        }
        Verb::Password { person, password_file } => {
            let id = find(client, &person).await?;
            let password = ask::new_secret(password_file.as_deref(), "New password")?;
            client.send::<Value>(Method::PUT, &format!("/people/{id}/password"), Some(json!({ "password": password.reveal() }))).await?;
            output::line("The password is set.");
        }
        Verb::Token(verb) => token(client, json, verb).await?,
    }
    Ok(Exit::Done)
}

async fn token(client: &Client, json: bool, verb: Token) -> Result<(), Failure> {
    match verb {
        Token::Create { name, scope, expires } => {
            let mut body = json!({ "name": name, "scopes": scope });
            if let Some(expires) = expires {
                body["expires"] = json!(expires);
            }
            let token: Value = client.post("/tokens", body).await?;
            if json {
                output::json(&token);
            } else {
                output::line(&text(&token, "secret"));
                eprintln!("It is shown this once. Take it back with: doorward person token revoke {}", text(&token, "id"));
            }
        }
        Token::List => {
            let answer: Value = client.get("/tokens").await?;
            if json {
                output::json(&answer["items"]);
            } else {
                let rows: Vec<Vec<String>> = answer["items"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|token| {
                        let scopes: Vec<&str> = token["scopes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                        vec![text(token, "id"), text(token, "name"), scopes.join(" "), text(token, "last_used")]
                    })
                    .collect();
                output::table(&["id", "name", "scopes", "last used"], &rows);
            }
        }
        Token::Revoke { token } => {
            client.send::<Value>(Method::DELETE, &format!("/tokens/{}", segment(&token)), None).await?;
            output::line("The token is taken back.");
        }
    }
    Ok(())
}

async fn people(client: &Client) -> Result<Vec<Value>, Failure> {
    let answer: Value = client.get("/people").await?;
    Ok(answer["items"].as_array().cloned().unwrap_or_default())
}

async fn find(client: &Client, who: &str) -> Result<String, Failure> {
    let people = people(client).await?;
    let matching: Vec<String> = people
        .iter()
        .filter(|person| person["id"] == *who || person["name"].as_str().is_some_and(|name| name.eq_ignore_ascii_case(who)))
        .map(|person| text(person, "id"))
        .collect();
    match matching.as_slice() {
        [id] => Ok(id.clone()),
        [] => Err(Failure::usage(format!("there is nobody called “{who}”"))),
        _ => Err(Failure::usage(format!("several people are called “{who}”; use the id"))),
    }
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}
