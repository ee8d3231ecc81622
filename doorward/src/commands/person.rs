//! `doorward person …`

use super::{ask, terms, way_in};
use crate::{
    cli::{Group, Person as Verb, Token},
    client::{Client, segment},
    failure::{Exit, Failure, Outcome},
    output,
};
use reqwest::Method;
use serde_json::{Value, json};

pub(crate) async fn run(client: &Client, json: bool, verb: Verb) -> Outcome {
    match verb {
        Verb::Add { name, role } => {
            let person: Value = client.post("/people", json!({ "name": name, "role": role })).await?;
            if json {
                output::json(&person);
            } else {
                output::line(&format!("{name} is added. Send them a link: doorward person link {name:?}"));
                if role != "administrator" {
                    output::note(&format!("They open nothing yet: doorward person grant {name:?} --door DOOR"));
                }
            }
        }
        Verb::Change { person, name, role } => {
            let id = find(client, &person).await?;
            let mut body = json!({});
            for (key, value) in [("name", name), ("role", role)] {
                if let Some(value) = value {
                    body[key] = json!(value);
                }
            }
            let person: Value = client.send(Method::PATCH, &format!("/people/{id}"), Some(body)).await?;
            show(json, &person, &format!("{} is a {} now.", text(&person, "name"), text(&person, "role")));
        }
        Verb::Grant { person, doors, actions, terms } => {
            let id = find(client, &person).await?;
            let body = json!({ "person": id, "doors": terms::doors(client, &doors.doors).await?, "actions": actions, "terms": terms::terms(&terms, &Value::Null)? });
            let grant: Value = client.post("/grants", body).await?;
            show(json, &grant, &format!("The right is given: {}", text(&grant, "id")));
        }
        Verb::Grants => grants(client, json).await?,
        Verb::Ungrant { grant } => {
            client.send::<Value>(Method::DELETE, &format!("/grants/{}", segment(&grant)), None).await?;
            output::line("The right is taken back.");
        }
        Verb::Group(verb) => group(client, json, verb).await?,
        Verb::Export { person } => {
            let id = find(client, &person).await?;
            let all: Value = client.get(&format!("/people/{id}/export")).await?;
            output::json(&all);
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
                    .iter()
                    .find(|person| person["role"] == "administrator")
                    .map(|person| text(person, "id"))
                    .ok_or_else(|| {
                        Failure::failed("there is no administrator yet; add one: doorward person add NAME --role administrator")
                    })?,
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
        Verb::WayIn(verb) => way_in::run(client, json, verb).await?,
    }
    Ok(Exit::Done)
}

async fn grants(client: &Client, json: bool) -> Result<(), Failure> {
    let answer: Value = client.get("/grants").await?;
    if json {
        output::json(&answer["items"]);
        return Ok(());
    }
    let passes: Value = client.get("/passes").await?;
    let passes = passes["items"].as_array().cloned().unwrap_or_default();
    let (people, groups) = (people(client).await?, groups(client).await?);
    let row = |grant: &Value| {
        let who = [("person", &people), ("group", &groups), ("pass", &passes)].into_iter().find_map(|(kind, known)| {
            let id = grant[kind].as_str()?;
            let holder = known.iter().find(|one| one["id"] == id)?;
            let name = text(holder, "name");
            Some(if kind == "person" { name } else { format!("{kind} {name}") })
        });
        let doors = grant["doors"].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(" ");
        let over = if grant["revoked"].is_null() { String::new() } else { "taken back".into() };
        vec![
            text(grant, "id"),
            who.unwrap_or_default(),
            text(grant, "actions"),
            doors,
            grant["used"].to_string(),
            over,
            terms::words(&grant["terms"]),
        ]
    };
    let rows: Vec<Vec<String>> = answer["items"].as_array().into_iter().flatten().map(row).collect();
    output::table(&["id", "who", "actions", "doors", "used", "", "terms"], &rows);
    Ok(())
}

async fn group(client: &Client, json: bool, verb: Group) -> Result<(), Failure> {
    match verb {
        Group::Add { name, members } => {
            let body = json!({ "name": name, "members": all(client, &members).await? });
            let group: Value = client.post("/groups", body).await?;
            show(json, &group, &format!("The group is made. Give it a right: doorward person group grant {name:?} --door DOOR"));
        }
        Group::List => {
            let groups = groups(client).await?;
            if json {
                output::json(&groups);
            } else {
                let row = |group: &Value| {
                    vec![text(group, "id"), text(group, "name"), group["members"].as_array().map_or(0, Vec::len).to_string()]
                };
                output::table(&["id", "name", "members"], &groups.iter().map(row).collect::<Vec<_>>());
            }
        }
        Group::Members { group, members } => {
            let id = find_group(client, &group).await?;
            let body = json!({ "members": all(client, &members).await? });
            let group: Value = client.send(Method::PATCH, &format!("/groups/{id}"), Some(body)).await?;
            show(json, &group, "The group is changed.");
        }
        Group::Grant { group, doors, terms } => {
            let id = find_group(client, &group).await?;
            let body =
                json!({ "group": id, "doors": terms::doors(client, &doors.doors).await?, "terms": terms::terms(&terms, &Value::Null)? });
            let grant: Value = client.post("/grants", body).await?;
            show(json, &grant, &format!("The right is given: {}", text(&grant, "id")));
        }
        Group::Remove { group } => {
            let id = find_group(client, &group).await?;
            client.send::<Value>(Method::DELETE, &format!("/groups/{id}"), None).await?;
            output::line("The group is removed, with the rights that it had.");
        }
    }
    Ok(())
}

async fn all(client: &Client, people: &[String]) -> Result<Vec<String>, Failure> {
    let mut ids = Vec::new();
    for person in people {
        ids.push(find(client, person).await?);
    }
    Ok(ids)
}

async fn groups(client: &Client) -> Result<Vec<Value>, Failure> {
    let answer: Value = client.get("/groups").await?;
    Ok(answer["items"].as_array().cloned().unwrap_or_default())
}

async fn find_group(client: &Client, which: &str) -> Result<String, Failure> {
    only(&groups(client).await?, which, "group")
}

fn show(json: bool, value: &Value, words: &str) {
    if json {
        output::json(value);
    } else {
        output::line(words);
    }
}

async fn token(client: &Client, json: bool, verb: Token) -> Result<(), Failure> {
    match verb {
        Token::Create { name, scope, expires, person } => {
            let mut body = json!({ "name": name, "scopes": scope });
            if let Some(person) = person {
                body["person"] = json!(find(client, &person).await?);
            }
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

pub(super) async fn find(client: &Client, who: &str) -> Result<String, Failure> {
    only(&people(client).await?, who, "person")
}

/// The one that has this identifier or, alone, this name.
pub(super) fn only(all: &[Value], which: &str, what: &str) -> Result<String, Failure> {
    let same = |one: &&Value| one["id"] == *which || one["name"].as_str().is_some_and(|name| name.eq_ignore_ascii_case(which));
    let matching: Vec<String> = all.iter().filter(same).map(|one| text(one, "id")).collect();
    match matching.as_slice() {
        [id] => Ok(id.clone()),
        [] => Err(Failure::usage(format!("there is no {what} called “{which}”"))),
        _ => Err(Failure::usage(format!("more than one {what} is called “{which}”; use the id"))),
    }
}

pub(super) fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}
