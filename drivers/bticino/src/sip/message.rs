//! What SIP looks like on the wire (RFC 3261, sections 7 and 25): a message, its header fields, and how it is written.
//!
//! `inbox` reads messages from what comes in.

mod inbox;

pub use inbox::{Broken, Inbox, Piece};

use bytes::BytesMut;
use std::fmt::Write as _;

/// How a message begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// Somebody asks.
    Request {
        /// In capitals, as it came: methods have case (RFC 3261, section 7.1).
        method: String,
        /// Whom.
        uri: String,
    },
    /// Somebody answers.
    Response {
        /// 100 to 699.
        status: u16,
        /// In words.
        reason: String,
    },
}

/// One message.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// How it begins.
    pub start: Start,
    /// Header fields in their order, with full names.
    fields: Vec<(String, String)>,
    /// What follows.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Message {
    /// Fields may hold a digest: only their names are shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.fields.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Message").field("start", &self.start).field("fields", &names).field("body", &self.body.len()).finish()
    }
}

impl Message {
    /// A request without any fields yet.
    pub fn request(method: &str, uri: &str) -> Self {
        Self { start: Start::Request { method: method.to_owned(), uri: uri.to_owned() }, fields: Vec::new(), body: Vec::new() }
    }

    /// The answer to a request: its `Via`s, `From`, `To`, `Call-ID` and `CSeq` (RFC 3261, section 8.2.6). `tag` marks us
    /// where `To` has no tag yet.
    pub fn response(request: &Self, status: u16, reason: &str, tag: &str) -> Self {
        let mut response = Self { start: Start::Response { status, reason: reason.to_owned() }, fields: Vec::new(), body: Vec::new() };
        for (name, value) in &request.fields {
            let copied = ["Via", "From", "To", "Call-ID", "CSeq"].iter().find(|copied| name.eq_ignore_ascii_case(copied));
            let Some(copied) = copied else { continue };
            // Of these there is one in a message; a second one is not passed on.
            if *copied != "Via" && response.field(copied).is_some() {
                continue;
            }
            let tagged = *copied != "To" || parameter(value, "tag").is_some();
            let value = if tagged { value.clone() } else { format!("{value};tag={tag}") };
            response.fields.push(((*copied).to_owned(), value));
        }
        response
    }

    /// The same message with one more field.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.fields.push((name.to_owned(), value.into()));
        self
    }

    /// The first field of a name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Every field of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The number and method of `CSeq`.
    pub fn cseq(&self) -> Option<(u32, &str)> {
        let (number, method) = self.field("CSeq")?.split_once([' ', '\t'])?;
        Some((number.trim().parse().ok()?, method.trim()))
    }

    /// The branch of the topmost `Via`, which names the transaction (RFC 3261, section 17).
    pub fn branch(&self) -> Option<&str> {
        let via = self.field("Via")?;
        parameter(top(via), "branch").filter(|branch| !branch.is_empty())
    }

    /// The same message with a body, and its length as the next field.
    #[must_use]
    pub fn with_body(mut self, kind: &str, body: Vec<u8>) -> Self {
        self.body = body;
        let length = self.body.len().to_string();
        self.with("Content-Type", kind).with("Content-Length", length)
    }

    /// The message as a person may see it: without what proves who sends it.
    pub fn masked(&self) -> impl std::fmt::Display + '_ {
        Masked(self)
    }

    /// Writes it. Its length stands last where it has no place of its own.
    pub fn write(&self, out: &mut BytesMut) {
        let mut head = String::with_capacity(512);
        // Writing to a text never fails.
        let _ = match &self.start {
            Start::Request { method, uri } => write!(head, "{method} {uri} SIP/2.0\r\n"),
            Start::Response { status, reason } => write!(head, "SIP/2.0 {status} {reason}\r\n"),
        };
        for (name, value) in &self.fields {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if self.field("Content-Length").is_none() {
            let _ = write!(head, "Content-Length: {}\r\n", self.body.len());
        }
        head.push_str("\r\n");
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(&self.body);
    }
}

/// Bytes of a body that are shown, at most.
const SHOWN: usize = 500;

struct Masked<'a>(&'a Message);

impl std::fmt::Display for Masked<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0.start {
            Start::Request { method, uri } => write!(f, "{method} {uri}")?,
            Start::Response { status, reason } => write!(f, "{status} {reason}")?,
        }
        for (name, value) in &self.0.fields {
            let secret = ["Authorization", "Proxy-Authorization"].iter().any(|secret| name.eq_ignore_ascii_case(secret));
            write!(f, " | {name}: {}", if secret { "…" } else { value })?;
        }
        if !self.0.body.is_empty() {
            let body = String::from_utf8_lossy(&self.0.body);
            write!(f, " | {}", body.chars().filter(|c| !c.is_control()).take(SHOWN).collect::<String>())?;
        }
        Ok(())
    }
}

/// The first of several values in one field (RFC 3261, section 7.3.1).
fn top(value: &str) -> &str {
    let mut quoted = false;
    for (at, letter) in value.char_indices() {
        match letter {
            '"' => quoted = !quoted,
            ',' if !quoted => return value[..at].trim_end(),
            _ => {}
        }
    }
    value
}

/// A parameter of a field: what follows `;name=`, outside of quotes and angle brackets.
pub fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let behind = value.rfind('>').map_or(value, |at| &value[at + 1..]);
    behind.split(';').skip(1).find_map(|part| {
        let (known, value) = part.split_once('=').unwrap_or((part, ""));
        known.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
    })
}

/// Who a `From` or `To` is: the name in words, if it has one, and the user of its address.
pub fn party(value: &str) -> (Option<String>, Option<String>) {
    let (name, uri) = match value.split_once('<') {
        Some((name, rest)) => (name.trim(), rest.split('>').next().unwrap_or_default()),
        None => ("", value.split(';').next().unwrap_or_default()),
    };
    let name = name.trim_matches('"').replace("\\\"", "\"").replace("\\\\", "\\");
    let address = uri.trim().strip_prefix("sips:").or_else(|| uri.trim().strip_prefix("sip:")).unwrap_or_default();
    let user = address.split_once('@').map(|(user, _)| user.to_owned());
    let clean = |text: String| Some(text.chars().filter(|c| !c.is_control()).take(100).collect()).filter(|text: &String| !text.is_empty());
    (clean(name), user.and_then(clean))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_repeats_what_there_is_one_of_once() {
        let fields = [
            ("Via", "a"),
            ("Via", "b"),
            ("From", "c"),
            ("From", "d"),
            ("To", "e"),
            ("Call-ID", "f"),
            ("CSeq", "1 OPTIONS"),
            ("CSeq", "2 BYE"),
        ];
        let request = fields.into_iter().fold(Message::request("OPTIONS", "sip:a"), |request, (name, value)| request.with(name, value));
        let response = Message::response(&request, 200, "OK", "ours");
        let values: Vec<&str> = ["Via", "From", "To", "Call-ID", "CSeq"].iter().flat_map(|name| response.all(name)).collect();
        assert_eq!(values, ["a", "b", "c", "e;tag=ours", "f", "1 OPTIONS"]);
    }

    #[test]
    fn parameters_are_those_behind_the_brackets() {
        assert_eq!(parameter("\"a;tag=x\" <sip:a;tag=y>;tag=z", "TAG"), Some("z"));
        assert_eq!(parameter("<sip:a@b;transport=tls>;expires=600", "expires"), Some("600"));
        assert_eq!(parameter("sip:diy@d", "tag"), None);
        assert_eq!(party("\"Por\\\"ta\" <sip:c300x@gw>;tag=1"), (Some("Por\"ta".into()), Some("c300x".into())));
        assert_eq!(party("sip:diy@gw;tag=1"), (None, Some("diy".into())));
        assert_eq!(party("nonsense"), (None, None));
    }

    #[test]
    fn debug_shows_no_field() {
        let message = Message::request("MESSAGE", "sip:a").with("Proxy-Authorization", "Digest response=\"geheim\"");
        assert!(!format!("{message:?}").contains("geheim"));
    }
}
