//! What is sealed: binary HTTP (RFC 9292). Requests and whole answers have known lengths, answers in chunks have none.

use super::{MOST_BODY, OpenError, PUBLIC, SealError, credential::Credential, mac_input};
use aws_lc_rs::digest::{SHA256, digest};
use bhttp::{ControlData, Error, FieldSection, Message, Mode, StatusCode};
use std::io::Cursor;

/// The first byte of an answer without known lengths (RFC 9292, section 3.3).
const INDETERMINATE_RESPONSE: u8 = 3;
/// Bytes of method and path, at most.
const MOST_WORD: usize = 1024;
/// Bytes of the head of an answer, at most.
const MOST_HEAD: usize = 16 << 10;

/// A request, opened. Who sent it is not known before [`Self::is_by`].
pub struct Request {
    /// The method, such as `POST`.
    pub method: String,
    /// The path, such as `/gateway`.
    pub path: String,
    /// JSON.
    pub body: Vec<u8>,
    /// The public key that was made for this request.
    pub enc: [u8; PUBLIC],
    credential: Option<Credential>,
}

impl Request {
    /// Which key the request says to be from.
    pub fn key_id(&self) -> Option<&str> {
        self.credential.as_ref().map(|credential| credential.key_id.as_str())
    }

    /// Whether the client's key made the request. Where no key has the id, ask with any key, so that it takes as long.
    pub fn is_by(&self, key: &[u8; 32]) -> bool {
        let input = mac_input(&self.enc, &self.method, &self.path, &self.body);
        self.credential.as_ref().zip(input).is_some_and(|(credential, input)| credential.is_by(key, &input))
    }

    /// By what the request is remembered, so that it is done once: the first 12 bytes of the SHA-256 of `enc`.
    pub fn nonce(&self) -> [u8; 12] {
        let mut nonce = [0; 12];
        let hash = digest(&SHA256, &self.enc);
        nonce.copy_from_slice(&hash.as_ref()[..12]);
        nonce
    }

    /// Reads what was opened.
    pub(super) fn read(plain: &[u8], enc: [u8; PUBLIC]) -> Result<Self, OpenError> {
        let message = read(plain)?;
        let control = message.control();
        let (Some(method), Some(path)) = (control.method(), control.path()) else { return Err(OpenError::Malformed) };
        let (method, path) = (word(method)?, word(path)?);
        if message.content().len() > MOST_BODY {
            return Err(OpenError::TooLong);
        }
        // With two of them it would not be known which one counts.
        let mut credentials = message.header().get_all(b"authorization");
        let credential = credentials.next().filter(|_| credentials.next().is_none()).and_then(Credential::read);
        Ok(Self { method, path, body: message.content().to_vec(), enc, credential })
    }

    /// A request as bytes.
    pub(super) fn write(method: &str, path: &str, credential: &str, body: &[u8]) -> Result<Vec<u8>, SealError> {
        if word(method.as_bytes()).is_err() || word(path.as_bytes()).is_err() || body.len() > MOST_BODY {
            return Err(SealError);
        }
        // The authority says nothing: the gateway is the one that can open this.
        let mut message = Message::request(method.into(), b"https".to_vec(), Vec::new(), path.into());
        message.put_header("authorization", credential);
        message.put_header("content-type", "application/json");
        message.write_content(body);
        write(&message)
    }
}

/// An answer, opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status, of 200 to 599.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// Reads what was opened.
    pub(super) fn read(plain: &[u8]) -> Result<Self, OpenError> {
        let message = read(plain)?;
        let status = message.control().status().ok_or(OpenError::Malformed)?.code();
        Ok(Self { status, body: message.content().to_vec() })
    }

    /// An answer as bytes.
    pub(super) fn write(status: u16, content_type: &str, body: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut message = Message::response(final_status(status)?);
        message.put_header("content-type", content_type);
        message.write_content(body);
        write(&message)
    }
}

/// The head of an answer whose length is not known yet.
pub(super) fn write_head(status: u16, content_type: &str) -> Result<Vec<u8>, SealError> {
    let mut head = vec![INDETERMINATE_RESPONSE];
    let mut fields = FieldSection::default();
    fields.put("content-type", content_type);
    ControlData::Response(final_status(status)?).write_bhttp(&mut head).map_err(|_| SealError)?;
    fields.write_bhttp(Mode::IndeterminateLength, &mut head).map_err(|_| SealError)?;
    Ok(head)
}

/// Content with its length before it. Content without bytes would be the end.
pub(super) fn write_content(content: &[u8]) -> Vec<u8> {
    let length = content.len() as u64;
    let mut bytes = match length {
        0..0x40 => vec![content.len().to_le_bytes()[0]],
        0x40..0x4000 => (length | 1 << 14).to_be_bytes()[6..].to_vec(),
        0x4000..0x4000_0000 => (length | 2 << 30).to_be_bytes()[4..].to_vec(),
        _ => (length | 3 << 62).to_be_bytes().to_vec(),
    };
    bytes.extend_from_slice(content);
    bytes
}

/// The end of content, and of the fields behind it.
pub(super) const END: [u8; 2] = [0, 0];

/// An answer that comes in pieces.
#[derive(Default)]
pub(super) struct Reading {
    /// What came and cannot be read yet.
    rest: Vec<u8>,
    /// The status, once the head is there.
    pub(super) status: Option<u16>,
    /// Bytes of content that come before the next length.
    open: u64,
    /// Whether all of the content was there.
    pub(super) ended: bool,
}

impl Reading {
    /// Takes the next piece, and gives the content that is in it.
    pub(super) fn push(&mut self, plain: &[u8]) -> Result<Vec<u8>, OpenError> {
        self.rest.extend_from_slice(plain);
        let mut used = 0;
        if self.status.is_none() {
            let Some((status, head)) = read_head(&self.rest)? else { return Ok(Vec::new()) };
            self.status = Some(status);
            used = head;
        }
        let mut content = Vec::new();
        while !self.ended {
            let rest = &self.rest[used..];
            if self.open == 0 {
                let Some((length, prefix)) = read_length(rest) else { break };
                (self.open, self.ended) = (length, length == 0);
                used += prefix;
            } else {
                let length = usize::try_from(self.open).unwrap_or(usize::MAX).min(rest.len());
                if length == 0 {
                    break;
                }
                content.extend_from_slice(&rest[..length]);
                self.open -= length as u64;
                used += length;
            }
        }
        // Behind the end there may be fields and padding, of which there is no use.
        self.rest.drain(..if self.ended { self.rest.len() } else { used });
        Ok(content)
    }
}

/// Status and length of a head, if all of it is there.
fn read_head(bytes: &[u8]) -> Result<Option<(u16, usize)>, OpenError> {
    let Some((first, rest)) = bytes.split_first() else { return Ok(None) };
    if *first != INDETERMINATE_RESPONSE {
        return Err(OpenError::Malformed);
    }
    let mut cursor = Cursor::new(rest);
    let head = ControlData::read_bhttp(false, &mut cursor)
        .and_then(|control| FieldSection::read_bhttp(Mode::IndeterminateLength, &mut cursor).map(|_| control));
    match head {
        Ok(control) => {
            let status = control.status().filter(|status| !status.informational()).ok_or(OpenError::Malformed)?;
            let used = usize::try_from(cursor.position()).map_err(|_| OpenError::Malformed)?;
            Ok(Some((status.code(), 1 + used)))
        }
        Err(Error::Truncated) if bytes.len() <= MOST_HEAD => Ok(None),
        Err(_) => Err(OpenError::Malformed),
    }
}

/// A length and how many bytes say it (RFC 9000, section 16), if all of them are there.
pub(super) fn read_length(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let prefix = 1 << (first >> 6);
    let rest = bytes.get(1..prefix)?;
    Some((rest.iter().fold(u64::from(first & 0x3f), |length, byte| length << 8 | u64::from(*byte)), prefix))
}

/// A message, behind which there is nothing but padding (RFC 9292, section 3.8).
fn read(plain: &[u8]) -> Result<Message, OpenError> {
    let mut cursor = Cursor::new(plain);
    let message = Message::read_bhttp(&mut cursor).map_err(|_| OpenError::Malformed)?;
    let used = usize::try_from(cursor.position()).map_err(|_| OpenError::Malformed)?;
    let is_padded = plain.get(used..).is_some_and(|rest| rest.iter().all(|byte| *byte == 0));
    if is_padded { Ok(message) } else { Err(OpenError::Malformed) }
}

fn write(message: &Message) -> Result<Vec<u8>, SealError> {
    let mut bytes = Vec::new();
    message.write_bhttp(Mode::KnownLength, &mut bytes).map_err(|_| SealError)?;
    Ok(bytes)
}

/// A method or a path: visible ASCII.
fn word(bytes: &[u8]) -> Result<String, OpenError> {
    if bytes.is_empty() || bytes.len() > MOST_WORD || !bytes.iter().all(u8::is_ascii_graphic) {
        return Err(OpenError::Malformed);
    }
    String::from_utf8(bytes.to_vec()).map_err(|_| OpenError::Malformed)
}

/// A status that nothing comes after.
fn final_status(status: u16) -> Result<StatusCode, SealError> {
    StatusCode::try_from(status).ok().filter(|status| !status.informational()).ok_or(SealError)
}
