//! EMQX 5: users and rules in its built-in database, by its REST API.
//!
//! An administrator is an API key and its secret. There must be an authenticator `password_based:built_in_database` and an
//! authorization source `built_in_database`, and what matches no rule must be denied.

use super::{AdminError, Administration, Api, Call, NewUser, Step, rabbitmq::segment};
use doorward_core::driver::BoxFuture;
use reqwest::Method;
use serde_json::{Value, json};

const USERS: &str = "/api/v5/authentication/password_based%3Abuilt_in_database/users";
const RULES: &str = "/api/v5/authorization/sources/built_in_database/rules/users";
/// Users of one page.
const PAGE: usize = 1000;
const SETTINGS: &str = "/api/v5/authorization/settings";

pub(super) struct Emqx {
    pub(super) api: Api,
}

impl Administration for Emqx {
    fn denies_by_default(&self) -> BoxFuture<'_, Result<(), AdminError>> {
        Box::pin(async {
            let (status, answer) = self.api.ask(&Method::GET, SETTINGS, None).await?;
            match (status, answer["no_match"].as_str()) {
                (200, Some("deny")) => Ok(()),
                (200, found) => Err(AdminError::new(
                    "The broker allows what no rule denies. Set no_match = deny in EMQX's authorization settings.",
                    format!("no_match is {found:?}"),
                )),
                (status, _) => Err(super::refused(status, SETTINGS, &answer)),
            }
        })
    }

    fn steps(&self, user: &NewUser) -> Vec<Step> {
        let delete = |list: &str| Call::Http(Method::DELETE, format!("{list}/{}", segment(&user.name)), None);
        vec![
            Step {
                makes: "the user",
                call: Call::Http(Method::POST, USERS.into(), Some(json!({ "user_id": user.name, "password": user.secret.reveal() }))),
                undo: delete(USERS),
            },
            Step { makes: "the rules of", call: Call::Http(Method::POST, RULES.into(), Some(json!([rules(user)]))), undo: delete(RULES) },
        ]
    }

    fn rights(&self, user: &NewUser) -> Vec<Call> {
        // EMQX asks for each message, so nobody has to come back.
        vec![Call::Http(Method::PUT, format!("{RULES}/{}", segment(&user.name)), Some(rules(user)))]
    }

    fn users(&self) -> BoxFuture<'_, Result<Vec<String>, AdminError>> {
        Box::pin(async {
            let mut all = Vec::new();
            loop {
                let page = format!("{USERS}?page={}&limit={PAGE}", all.len() / PAGE + 1);
                let (status, answer) = self.api.ask(&Method::GET, &page, None).await?;
                if status != 200 {
                    return Err(super::refused(status, "GET …/users", &answer));
                }
                let some = super::names(&answer["data"], "user_id");
                let is_last = some.len() < PAGE;
                all.extend(some);
                if is_last {
                    return Ok(all);
                }
            }
        })
    }

    fn call<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<(), AdminError>> {
        Box::pin(self.api.call(call))
    }
}

fn rules(user: &NewUser) -> Value {
    let rule = |action: &str, topic: &str| json!({ "permission": "allow", "action": action, "topic": topic });
    let publish = user.publish.iter().map(|filter| rule("publish", filter.as_str()));
    let subscribe = user.subscribe.iter().map(|filter| rule("subscribe", filter.as_str()));
    json!({ "username": user.name, "rules": publish.chain(subscribe).collect::<Vec<_>>() })
}
