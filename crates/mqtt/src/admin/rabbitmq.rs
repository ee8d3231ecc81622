//! RabbitMQ: users, permissions and topic permissions by the management API.
//!
//! An MQTT subscription is a queue there, `mqtt-subscription-<client id>qos0` or `qos1`, bound to `amq.topic` by a routing
//! key in which `/` is `.`, `+` is `*`. Topic permissions are regular expressions on that key, and alone are no boundary:
//! without permissions on queues a user could read a neighbour's.

use super::{AdminError, Administration, Api, Call, NewUser, Step};
use doorward_core::driver::BoxFuture;
use doorward_wire::topic::Filter;
use reqwest::Method;
use serde_json::{Value, json};

/// The exchange of the MQTT plugin.
const EXCHANGE: &str = "amq.topic";
/// Virtual host `/`.
const VHOST: &str = "%2F";

pub(super) struct RabbitMq {
    pub(super) api: Api,
}

impl Administration for RabbitMq {
    fn denies_by_default(&self) -> BoxFuture<'_, Result<(), AdminError>> {
        Box::pin(async {
            // A user without permissions may do nothing; that an administrator answers is all there is to see.
            let (status, answer) = self.api.ask(&Method::GET, "/api/whoami", None).await?;
            if status == 200 { Ok(()) } else { Err(super::refused(status, "GET /api/whoami", &answer)) }
        })
    }

    fn steps(&self, user: &NewUser) -> Vec<Step> {
        let Paths { account, permissions, topics, limits, .. } = Paths::of(user);
        let delete = |path: String| Call::Http(Method::DELETE, path, None);
        // Never a tag: `management` would let it read all of the API.
        let account_of = json!({ "password": user.secret.reveal(), "tags": "" });
        let made = ["the user", "the permissions of", "the topic permissions of", "the limits of"];
        let calls = [
            put(account.clone(), account_of),
            permissions_call(user),
            topics_call(user),
            put(limits, json!({ "value": user.connections })),
        ];
        // Limits go with their user, and cannot be deleted once it is gone.
        let paths = [account.clone(), permissions, topics, account];
        made.into_iter().zip(calls).zip(paths).map(|((makes, call), path)| Step { makes, call, undo: delete(path) }).collect()
    }

    fn rights(&self, user: &NewUser) -> Vec<Call> {
        // A connection keeps the rights that it began with, so it is ended.
        vec![permissions_call(user), topics_call(user), Call::Http(Method::DELETE, Paths::of(user).connections, None)]
    }

    fn users(&self) -> BoxFuture<'_, Result<Vec<String>, AdminError>> {
        Box::pin(async {
            match self.api.ask(&Method::GET, "/api/users?columns=name", None).await? {
                (200, answer) => Ok(super::names(&answer, "name")),
                (status, answer) => Err(super::refused(status, "GET /api/users", &answer)),
            }
        })
    }

    fn call<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<(), AdminError>> {
        Box::pin(self.api.call(call))
    }
}

/// Where a user's things are.
struct Paths {
    account: String,
    permissions: String,
    topics: String,
    limits: String,
    connections: String,
}

impl Paths {
    fn of(user: &NewUser) -> Self {
        let name = segment(&user.name);
        Self {
            account: format!("/api/users/{name}"),
            permissions: format!("/api/permissions/{VHOST}/{name}"),
            topics: format!("/api/topic-permissions/{VHOST}/{name}"),
            limits: format!("/api/user-limits/{name}/max-connections"),
            connections: format!("/api/connections/username/{name}"),
        }
    }
}

fn put(path: String, body: Value) -> Call {
    Call::Http(Method::PUT, path, Some(body))
}

fn permissions_call(user: &NewUser) -> Call {
    let queue = format!("mqtt-subscription-{}qos[01]", quoted(&user.client_id));
    let (own, all) = (format!("^{queue}$"), format!("^({queue}|{})$", quoted(EXCHANGE)));
    put(Paths::of(user).permissions, json!({ "configure": own, "write": all, "read": all }))
}

fn topics_call(user: &NewUser) -> Call {
    let rights = json!({ "exchange": EXCHANGE, "write": expression(&user.publish), "read": expression(&user.subscribe) });
    put(Paths::of(user).topics, rights)
}

/// A regular expression for the routing keys of these filters; one that matches nothing for none.
fn expression(filters: &[Filter]) -> String {
    if filters.is_empty() {
        return "^$".into();
    }
    let all: Vec<String> = filters.iter().map(|filter| one(filter.as_str())).collect();
    format!("^({})$", all.join("|"))
}

fn one(filter: &str) -> String {
    let mut expression = String::new();
    for (at, level) in filter.split('/').enumerate() {
        match level {
            // `#` also stands for its parent.
            "#" if at == 0 => expression.push_str(".*"),
            "#" => expression.push_str(r"(\..*)?"),
            level => {
                if at > 0 {
                    expression.push_str(r"\.");
                }
                // One level; a subscription to `#` below it is more than that.
                expression.push_str(&if level == "+" { r"[^.#]+".to_owned() } else { quoted(&level.replace('.', "/")) });
            }
        }
    }
    expression
}

fn quoted(text: &str) -> String {
    let mut quoted = String::new();
    for letter in text.chars() {
        if !letter.is_alphanumeric() && !matches!(letter, '_' | '-' | '/' | ' ') {
            quoted.push('\\');
        }
        quoted.push(letter);
    }
    quoted
}

/// A name as one segment of a path.
pub(super) fn segment(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(texts: &[&str]) -> Vec<Filter> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn filters_become_expressions_for_routing_keys() {
        assert_eq!(expression(&[]), "^$");
        assert_eq!(expression(&filters(&["sensor/a1/data"])), r"^(sensor\.a1\.data)$");
        assert_eq!(expression(&filters(&["sensor/a1/+", "x/#"])), r"^(sensor\.a1\.[^.#]+|x(\..*)?)$");
        assert_eq!(expression(&filters(&["a.b/c(d"])), r"^(a/b\.c\(d)$");
        assert_eq!(segment("a b/c"), "a%20b%2Fc");
    }
}
