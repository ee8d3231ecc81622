//! SIP as text (RFC 3261): cutting a stream of bytes into messages, reading them, writing our own.

use std::fmt::Write;

use crate::legrand::oddities::HeaderForm;

/// A header larger than that is no header.
const HEAD_MAX: usize = 16 * 1024;
/// A body larger than that is no command.
const BODY_MAX: usize = 64 * 1024;

/// Names with a compact form.
const COMPACT: [(&str, &str); 10] = [
    ("v", "Via"),
    ("f", "From"),
    ("t", "To"),
    ("i", "Call-ID"),
    ("m", "Contact"),
    ("l", "Content-Length"),
    ("c", "Content-Type"),
    ("k", "Supported"),
    ("s", "Subject"),
    ("e", "Content-Encoding"),
];

/// What a stream brings.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Piece {
    /// Two empty lines: somebody asks whether we are there (RFC 5626).
    Ping,
    Message(Message),
}

/// A request or a response.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Message {
    pub(crate) start: Start,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Start {
    Request { method: String, uri: String },
    Response { status: u16, reason: String },
}

/// Bytes that came and were not read yet.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    read: usize,
}

impl Inbox {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.read);
        self.read = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next piece; `None` when more bytes are needed.
    pub(crate) fn next(&mut self) -> Result<Option<Piece>, String> {
        let left = self.bytes.get(self.read..).unwrap_or_default();
        if left.starts_with(b"\r\n\r\n") {
            self.read += 4;
            return Ok(Some(Piece::Ping));
        }
        if b"\r\n\r".starts_with(left) {
            return Ok(None);
        }
        if left.starts_with(b"\r\n") {
            self.read += 2;
            return self.next();
        }
        let Some(head) = left.windows(4).position(|four| four == b"\r\n\r\n") else {
            return if left.len() > HEAD_MAX { Err("the header does not end".to_owned()) } else { Ok(None) };
        };
        let mut message = read(left.get(..head).unwrap_or_default())?;
        let length = message.header("Content-Length").ok_or("Content-Length is missing, and this is a stream")?;
        let length: usize = length.parse().map_err(|_| "Content-Length is no number")?;
        if length > BODY_MAX {
            return Err("the body is too long".to_owned());
        }
        let Some(body) = left.get(head + 4..head + 4 + length) else {
            return Ok(None);
        };
        message.body = body.to_vec();
        self.read += head + 4 + length;
        Ok(Some(Piece::Message(message)))
    }
}

fn read(head: &[u8]) -> Result<Message, String> {
    let head = std::str::from_utf8(head).map_err(|_| "the header is not UTF-8")?;
    let mut lines = head.split("\r\n");
    let start = start(lines.next().unwrap_or_default())?;
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in lines {
        if line.contains(['\r', '\n']) {
            return Err("a line ends otherwise than in CR LF".to_owned());
        }
        if let Some((_, value)) = headers.last_mut().filter(|_| line.starts_with([' ', '\t'])) {
            if !value.is_empty() {
                value.push(' ');
            }
            value.push_str(line.trim());
            continue;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| format!("no header field: {line:?}"))?;
        headers.push((name.trim_end().to_owned(), value.trim().to_owned()));
    }
    Ok(Message { start, headers, body: Vec::new() })
}

fn start(line: &str) -> Result<Start, String> {
    let wrong = || format!("no start of a message: {line:?}");
    let mut words = line.splitn(3, ' ');
    let (Some(first), Some(second), Some(third)) = (words.next(), words.next(), words.next()) else {
        return Err(wrong());
    };
    if first == "SIP/2.0" {
        let status = second.parse().map_err(|_| wrong())?;
        return Ok(Start::Response { status, reason: third.to_owned() });
    }
    let method = first.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-' || byte == b'_');
    if first.is_empty() || !method || third != "SIP/2.0" {
        return Err(wrong());
    }
    Ok(Start::Request { method: first.to_owned(), uri: second.to_owned() })
}

impl Message {
    /// A request of our own.
    pub(crate) fn request(method: &str, uri: &str) -> Self {
        let start = Start::Request { method: method.to_owned(), uri: uri.to_owned() };
        Self { start, headers: Vec::new(), body: Vec::new() }
    }

    /// A response to a request: the fields that must be the same are.
    pub(crate) fn response(to: &Self, status: u16, tag: &str) -> Self {
        let start = Start::Response { status, reason: reason(status).to_owned() };
        let mut response = Self { start, headers: Vec::new(), body: Vec::new() };
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            for value in to.all(name) {
                let tagged = name == "To" && status > 100 && parameter(value, "tag").is_none();
                let value = if tagged { format!("{value};tag={tag}") } else { value.to_owned() };
                response.headers.push((name.to_owned(), value));
            }
        }
        response
    }

    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    #[must_use]
    pub(crate) fn with_body(mut self, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.with("Content-Type", kind)
    }

    /// Every value of a field, whatever its case and form.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let compact = COMPACT.iter().find(|(_, long)| long.eq_ignore_ascii_case(name)).map(|(short, _)| *short);
        let name = name.to_owned();
        self.headers
            .iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(&name) || compact.is_some_and(|short| known.eq_ignore_ascii_case(short)))
            .map(|(_, value)| value.as_str())
    }

    /// The first value of a field.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Replaces the first value of a field.
    pub(crate) fn replace(&mut self, name: &str, value: String) {
        if let Some((_, old)) = self.headers.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            *old = value;
        }
    }

    /// The bytes on the wire.
    pub(crate) fn written(&self, form: HeaderForm) -> Vec<u8> {
        let mut text = match &self.start {
            Start::Request { method, uri } => format!("{method} {uri} SIP/2.0\r\n"),
            Start::Response { status, reason } => format!("SIP/2.0 {status} {reason}\r\n"),
        };
        let length = self.body.len().to_string();
        let fields = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in fields.chain([("Content-Length", length.as_str())]) {
            // Writing into a String cannot fail.
            let _ = match form {
                HeaderForm::Usual => write!(text, "{name}: {value}\r\n"),
                HeaderForm::Compact => {
                    let compact = COMPACT.iter().find(|(_, long)| *long == name).map_or(name, |(short, _)| *short);
                    write!(text, "{compact}:{value}\r\n")
                }
                HeaderForm::Small => write!(text, "{} : {value}\r\n", name.to_ascii_lowercase()),
                HeaderForm::Folded => write!(text, "{name}:\r\n  {value}\r\n"),
            };
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// The value of `;name=value` behind an address or a Via; empty for a bare `;name`.
pub(crate) fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let behind = value.rsplit_once('>').map_or(value, |(_, behind)| behind);
    let mut parts = behind.split(';').skip(1).map(str::trim);
    parts.find_map(|part| {
        let (known, value) = part.split_once('=').unwrap_or((part, ""));
        known.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// The URI of an address, with or without angle brackets; without brackets, parameters are not part of it.
pub(crate) fn address(value: &str) -> &str {
    match value.split_once('<') {
        Some((_, rest)) => rest.split('>').next().unwrap_or_default(),
        None => value.split(';').next().unwrap_or_default().trim(),
    }
}

/// User and host of `sip:user@host…`.
pub(crate) fn user_and_host(uri: &str) -> Option<(&str, &str)> {
    let rest = uri.strip_prefix("sip:")?;
    let rest = rest.split([';', '?']).next()?;
    let (user, host) = rest.split_once('@').unwrap_or(("", rest));
    Some((user, host.split(':').next()?))
}

fn reason(status: u16) -> &'static str {
    match status {
        180 => "Ringing",
        200 => "OK",
        202 => "Accepted",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        423 => "Interval Too Brief",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        486 => "Busy Here",
        500 => "Server Internal Error",
        503 => "Service Unavailable",
        _ => "Because",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: &str = "OPTIONS sip:a@b SIP/2.0\r\nv: SIP/2.0/TLS x;branch=z9hG4bK1\r\nSubject: one\r\n two\r\nL: 3\r\n\r\nabc";

    fn method(piece: Option<Piece>) -> String {
        match piece {
            Some(Piece::Message(Message { start: Start::Request { method, .. }, .. })) => method,
            other => panic!("no request: {other:?}"),
        }
    }

    #[test]
    fn a_stream_is_cut_by_content_length_however_it_arrives() {
        let stream = format!("\r\n{OPTIONS}{OPTIONS}\r\n\r\n");
        for size in 1..stream.len() {
            let mut inbox = Inbox::default();
            let mut pieces = Vec::new();
            for part in stream.as_bytes().chunks(size) {
                inbox.push(part);
                while let Some(piece) = inbox.next().unwrap() {
                    pieces.push(piece);
                }
            }
            assert_eq!(pieces.len(), 3, "in parts of {size}");
            assert_eq!(pieces.pop(), Some(Piece::Ping));
            assert_eq!(method(pieces.pop()), "OPTIONS");
        }
    }

    #[test]
    fn fields_are_found_in_every_form() {
        let mut inbox = Inbox::default();
        inbox.push(OPTIONS.as_bytes());
        let Ok(Some(Piece::Message(message))) = inbox.next() else { panic!("a message") };
        assert_eq!(message.header("via").and_then(|via| parameter(via, "branch")), Some("z9hG4bK1"));
        assert_eq!(message.header("s"), None);
        assert_eq!((message.header("Subject"), message.body.as_slice()), (Some("one two"), b"abc".as_slice()));
    }

    #[test]
    fn what_is_no_sip_is_refused() {
        for wrong in ["GET / HTTP/1.1\r\nhost: x\r\n\r\n", "OPTIONS sip:a@b SIP/2.0\r\n\r\n", "OPTIONS sip:a@b SIP/2.0\r\nl: x\r\n\r\n"] {
            let mut inbox = Inbox::default();
            inbox.push(wrong.as_bytes());
            assert!(inbox.next().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn our_own_can_be_read_in_all_forms() {
        for form in [HeaderForm::Usual, HeaderForm::Compact, HeaderForm::Small, HeaderForm::Folded] {
            let ours = Message::request("MESSAGE", "sip:a@b").with("Call-ID", "7").with_body("text/plain", "hi");
            let mut inbox = Inbox::default();
            inbox.push(&ours.written(form));
            let Ok(Some(Piece::Message(read))) = inbox.next() else { panic!("a message in {form:?}") };
            assert_eq!((read.header("Call-ID"), read.body.as_slice()), (Some("7"), b"hi".as_slice()));
        }
    }

    #[test]
    fn addresses_come_with_and_without_brackets() {
        assert_eq!(address("\"A\" <sip:a@b;transport=tls>;tag=1"), "sip:a@b;transport=tls");
        assert_eq!(address("sip:diy@b;tag=1"), "sip:diy@b");
        assert_eq!(parameter("<sip:a@b;lr>;tag=1", "lr"), None);
        assert_eq!(user_and_host("sip:a@b:5060;transport=tls"), Some(("a", "b")));
        assert_eq!(user_and_host("sip:b"), Some(("", "b")));
    }
}
