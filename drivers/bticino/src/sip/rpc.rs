//! What a gate is told, and what it says to that: JSON-RPC 2.0 in the body of a MESSAGE.

use serde_json::Value;

/// The command to open a gate, as the vendor's apps write it.
pub fn open(id: &str, gate: &str) -> Vec<u8> {
    // Written by hand, since the order of its fields is the vendor's.
    let text = |text: &str| Value::from(text).to_string();
    let body = format!(
        r#"{{"id":{},"jsonrpc":"2.0","method":"lock.setStatus","params":[{{"receiver":{{"plant":{{"coal":{{"id":{}}},"id":null}}}},"status":"open"}}]}}"#,
        text(id),
        text(gate)
    );
    body.into_bytes()
}

/// What was answered to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The command's own id.
    pub id: String,
    /// Done, or what is against it, in the vendor's words.
    pub outcome: Result<(), String>,
}

/// Reads an answer. `None` where it is something else: a question, a notification, no JSON.
pub fn reply(body: &[u8]) -> Option<Reply> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let id = match body.get("id")? {
        Value::String(id) => id.clone(),
        Value::Number(id) => id.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    if body.get("method").is_some() {
        return None;
    }
    let outcome = match (body.get("error"), body.get("result")) {
        (Some(error), _) if !error.is_null() => Err(words(error)),
        (_, Some(Value::Bool(false))) => Err("no".to_owned()),
        (_, Some(_)) => Ok(()),
        (_, None) => return None,
    };
    Some(Reply { id, outcome })
}

fn words(error: &Value) -> String {
    let said = error.get("message").and_then(Value::as_str).map_or_else(|| error.to_string(), str::to_owned);
    said.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_command_is_that_of_the_vector() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors/sip.json");
        let vectors: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let ours = open("12345678", "20#2");
        assert_eq!(serde_json::from_slice::<Value>(&ours).unwrap(), vectors["gate_open_payload"]);
        let message = vectors["message"].as_str().unwrap();
        assert_eq!(String::from_utf8(ours).unwrap(), message.split_once("\r\n\r\n").unwrap().1);
        let odd: Value = serde_json::from_slice(&open("1", "a\"b\\c")).unwrap();
        assert_eq!(odd["params"][0]["receiver"]["plant"]["coal"]["id"], "a\"b\\c");
    }

    #[test]
    fn answers_are_read_and_other_things_are_not() {
        let read = |text: &str| reply(text.as_bytes()).map(|reply| (reply.id, reply.outcome));
        assert_eq!(read(r#"{"id":"1","jsonrpc":"2.0","result":true}"#), Some(("1".into(), Ok(()))));
        assert_eq!(read(r#"{"id":12345678,"result":{"status":"open"}}"#), Some(("12345678".into(), Ok(()))));
        assert_eq!(read(r#"{"id":"1","error":{"code":-1,"message":"no\nway"}}"#), Some(("1".into(), Err("noway".into()))));
        assert_eq!(read(r#"{"id":"1","error":null,"result":false}"#), Some(("1".into(), Err("no".into()))));
        for other in [
            "",
            "{}",
            "[]",
            "null",
            r#"{"id":null,"result":1}"#,
            r#"{"id":"1","method":"x","result":1}"#,
            r#"{"id":"1"}"#,
            r#"{"result":1}"#,
        ] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_body_is_read_without_panic(text in "\\PC{0,60}|\\{\"(id|error|result)\":[-0-9a-z\"{}:,]{0,30}\\}") {
            let _ = reply(text.as_bytes());
        }
    }
}
