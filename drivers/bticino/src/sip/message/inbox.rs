//! What comes in over a connection, cut into messages: with bounds, and however its bytes arrive.
//!
//! Names are compared without case and in their compact forms, folded lines are joined, bare line feeds are taken. What
//! cannot be framed any more ends the connection; what is framed and wrong is one bad message, and the next one is read.

use super::{Message, Start};
use bytes::{Buf as _, BytesMut};

/// Bytes of start line and header fields together, at most.
const LONGEST_HEAD: usize = 16 << 10;
/// Bytes of a body, at most.
const LONGEST_BODY: usize = 64 << 10;
/// Header fields of a message, at most.
const MOST_FIELDS: usize = 100;
/// Compact names (RFC 3261, section 20; RFC 3265; RFC 4028).
const COMPACT: [(u8, &str); 14] = [
    (b'a', "Accept-Contact"),
    (b'b', "Referred-By"),
    (b'c', "Content-Type"),
    (b'e', "Content-Encoding"),
    (b'f', "From"),
    (b'i', "Call-ID"),
    (b'k', "Supported"),
    (b'l', "Content-Length"),
    (b'm', "Contact"),
    (b'o', "Event"),
    (b's', "Subject"),
    (b't', "To"),
    (b'v', "Via"),
    (b'x', "Session-Expires"),
];

/// Why nothing more can be read from a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// More than anybody needs to say.
    #[error("a message is longer than {LONGEST_HEAD} bytes of header or {LONGEST_BODY} of body")]
    TooLong,
    /// Where it ends cannot be told.
    #[error("a message does not say how long it is")]
    NoLength,
    /// Not SIP.
    #[error("this is no SIP")]
    NotSip,
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A message.
    Message(Message),
    /// Two empty lines: the other side wants to hear an empty one (RFC 5626, section 3.5.1).
    Ping,
    /// One empty line: the answer to a ping of ours, or the first half of one of theirs that came in two reads.
    Pong,
    /// A message that is framed and cannot be understood; why.
    Malformed(&'static str),
}

/// Cuts what comes in into messages.
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: BytesMut,
    /// So many bytes were looked at for the end of a head.
    seen: usize,
    /// The last piece was an empty line: a second one right behind it makes a ping of both.
    half: bool,
}

impl Inbox {
    /// Takes what came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Where the next bytes are to be read to.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    /// A ping was sent: the empty line that answers it is no second half of one that came before.
    pub fn pinged(&mut self) {
        self.half = false;
    }

    /// The next piece, if it is there whole.
    pub fn take(&mut self) -> Result<Option<Piece>, Broken> {
        if let Some(piece) = self.empty_lines() {
            return Ok(Some(piece));
        }
        // A part of an empty line is not the beginning of a message.
        if self.bytes.is_empty() || matches!(self.bytes.as_ref(), b"\r" | b"\r\n" | b"\r\n\r" | b"\n") {
            self.give_back();
            return Ok(None);
        }
        let Some((head, gap)) = self.end_of_head()? else { return Ok(None) };
        let lines = unfolded(&self.bytes[..head]).ok_or(Broken::NotSip)?;
        let length = content_length(&lines)?;
        if self.bytes.len() < head + gap + length {
            return Ok(None);
        }
        let piece = match read(&lines) {
            Ok((start, fields)) => {
                let body = self.bytes[head + gap..head + gap + length].to_vec();
                Piece::Message(Message { start, fields, body })
            }
            Err(why) => Piece::Malformed(why),
        };
        self.bytes.advance(head + gap + length);
        (self.seen, self.half) = (0, false);
        self.give_back();
        Ok(Some(piece))
    }

    /// Empty lines before a message. Two are a ping, whenever the second one comes; the first one is told at once, unless
    /// the second one is under way.
    fn empty_lines(&mut self) -> Option<Piece> {
        let line = [&b"\r\n"[..], b"\n"].into_iter().find(|line| self.bytes.starts_with(line))?;
        let rest = &self.bytes[line.len()..];
        let (piece, length) = match rest {
            _ if self.half => (Piece::Ping, line.len()),
            _ if rest.starts_with(line) => (Piece::Ping, 2 * line.len()),
            b"\r" => return None,
            _ => (Piece::Pong, line.len()),
        };
        self.bytes.advance(length);
        self.half = piece == Piece::Pong;
        Some(piece)
    }

    fn end_of_head(&mut self) -> Result<Option<(usize, usize)>, Broken> {
        let from = self.seen.saturating_sub(3);
        for at in from..self.bytes.len() {
            let rest = &self.bytes[at..];
            let gap = [&b"\r\n\r\n"[..], b"\n\n", b"\n\r\n"].iter().find(|end| rest.starts_with(end)).map(|end| end.len());
            if let Some(gap) = gap {
                return if at > LONGEST_HEAD { Err(Broken::TooLong) } else { Ok(Some((at, gap))) };
            }
        }
        self.seen = self.bytes.len();
        // The last three bytes may belong to its end already.
        if self.bytes.len() > LONGEST_HEAD + 3 { Err(Broken::TooLong) } else { Ok(None) }
    }

    /// An idle connection keeps no memory.
    fn give_back(&mut self) {
        if self.bytes.is_empty() {
            self.bytes = BytesMut::new();
        }
    }
}

/// The lines of a head, with folded ones joined (RFC 3261, section 7.3.1).
fn unfolded(head: &[u8]) -> Option<Vec<String>> {
    let head = std::str::from_utf8(head).ok()?;
    let mut lines: Vec<String> = Vec::new();
    for line in head.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        match lines.last_mut() {
            Some(last) if line.starts_with([' ', '\t']) => {
                last.push(' ');
                last.push_str(line.trim());
            }
            _ => lines.push(line.to_owned()),
        }
    }
    Some(lines)
}

/// Over TCP a message without a length has no end (RFC 3261, section 18.3); one without a body is often sent without.
fn content_length(lines: &[String]) -> Result<usize, Broken> {
    let mut told = None;
    for line in lines.iter().skip(1) {
        let Some((name, value)) = line.split_once(':') else { continue };
        if full_name(name.trim()).is_some_and(|name| name.eq_ignore_ascii_case("Content-Length")) {
            let length = digits(value.trim()).ok_or(Broken::NoLength)?;
            if told.is_some_and(|told| told != length) {
                return Err(Broken::NoLength);
            }
            told = Some(length);
        }
    }
    let length = told.unwrap_or(0);
    if length > LONGEST_BODY { Err(Broken::TooLong) } else { Ok(length) }
}

/// A number without a sign: another reader might frame `+3` differently.
fn digits(text: &str) -> Option<usize> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

type Head = (Start, Vec<(String, String)>);

fn read(lines: &[String]) -> Result<Head, &'static str> {
    let (first, rest) = lines.split_first().ok_or("it has no first line")?;
    let start = start(first).ok_or("its first line is neither a request nor a response")?;
    if rest.len() > MOST_FIELDS {
        return Err("it has too many header fields");
    }
    let mut fields = Vec::with_capacity(rest.len());
    for line in rest {
        let (name, value) = line.split_once(':').ok_or("a header field has no colon")?;
        let name = full_name(name.trim_end()).ok_or("the name of a header field is none")?;
        fields.push((name.to_owned(), value.trim().to_owned()));
    }
    Ok((start, fields))
}

fn start(line: &str) -> Option<Start> {
    if let Some(rest) = line.strip_prefix("SIP/2.0 ") {
        let (status, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        let three = status.len() == 3 && status.bytes().all(|digit| digit.is_ascii_digit());
        let status: u16 = three.then(|| status.parse().ok())??;
        return (100..700).contains(&status).then(|| Start::Response { status, reason: reason.to_owned() });
    }
    let mut words = line.split(' ');
    let (method, uri, version) = (words.next()?, words.next()?, words.next()?);
    let good = version == "SIP/2.0" && words.next().is_none() && is_token(method) && !uri.is_empty();
    good.then(|| Start::Request { method: method.to_owned(), uri: uri.to_owned() })
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte))
}

/// The full form of a name; `None` when it is no name at all.
fn full_name(name: &str) -> Option<&str> {
    if let [letter] = name.as_bytes() {
        let known = COMPACT.iter().find(|(compact, _)| compact.eq_ignore_ascii_case(letter)).map(|(_, name)| *name);
        return known.or(is_token(name).then_some(name));
    }
    is_token(name).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(bytes: &[u8]) -> Result<Vec<Piece>, Broken> {
        let mut inbox = Inbox::default();
        inbox.push(bytes);
        let mut pieces = Vec::new();
        while let Some(piece) = inbox.take()? {
            pieces.push(piece);
        }
        Ok(pieces)
    }

    fn one(text: &str) -> Message {
        match all(text.as_bytes()).unwrap().as_slice() {
            [Piece::Message(message)] => message.clone(),
            other => panic!("{other:?}"),
        }
    }

    const INVITE: &str = "INVITE sip:user@192.0.2.10:5060;transport=tls SIP/2.0\r\nVia: SIP/2.0/TLS 198.51.100.7:5228;branch=z9hG4bKxyz;rport\r\n\
        From: \"Porta\" <sip:c300x@gw-1234.bs.iotleg.com>;tag=111\r\nTo: <sip:all@gw-1234.bs.iotleg.com>\r\nCall-ID: ring-1\r\n\
        CSeq: 102 INVITE\r\nContent-Length: 3\r\n\r\nabc";

    #[test]
    fn a_message_is_read_however_its_bytes_arrive() {
        let whole = one(INVITE);
        assert_eq!((whole.field("call-id"), whole.cseq(), whole.branch()), (Some("ring-1"), Some((102, "INVITE")), Some("z9hG4bKxyz")));
        assert_eq!(whole.body, b"abc");
        let three = [INVITE, INVITE, INVITE].concat();
        for size in 1..80 {
            let mut inbox = Inbox::default();
            let mut read = 0;
            for bytes in three.as_bytes().chunks(size) {
                inbox.push(bytes);
                while let Some(piece) = inbox.take().unwrap() {
                    assert_eq!(piece, Piece::Message(whole.clone()));
                    read += 1;
                }
            }
            assert_eq!(read, 3, "in pieces of {size}");
        }
    }

    #[test]
    fn names_are_read_in_any_case_compact_and_folded() {
        let compact = one(
            "INVITE sip:user@192.0.2.10:5060;transport=tls SIP/2.0\nV: SIP/2.0/TLS 198.51.100.7:5228\n ;branch=z9hG4bKxyz;rport\n\
            l : 3\nF:\"Porta\" <sip:c300x@gw-1234.bs.iotleg.com>;tag=111\nt: <sip:all@gw-1234.bs.iotleg.com>\ni:ring-1\ncseq: 102 INVITE\n\nabc",
        );
        assert_eq!((compact.branch(), compact.field("From")), (Some("z9hG4bKxyz"), one(INVITE).field("From")));
        assert_eq!((compact.field("Call-ID"), compact.body.as_slice()), (Some("ring-1"), &b"abc"[..]));
        let ringing = Message::response(&compact, 180, "Ringing", "ours");
        let mut out = BytesMut::new();
        ringing.write(&mut out);
        assert!(String::from_utf8(out.to_vec()).unwrap().contains("To: <sip:all@gw-1234.bs.iotleg.com>;tag=ours\r\n"));
    }

    #[test]
    fn pings_and_pongs_stand_between_messages() {
        assert_eq!(all(b"\r\n\r\n").unwrap(), [Piece::Ping]);
        assert_eq!(all(b"\r\n").unwrap(), [Piece::Pong]);
        let mixed = all(format!("\r\n{INVITE}\r\n\r\n{INVITE}").as_bytes()).unwrap();
        assert!(matches!(mixed.as_slice(), [Piece::Pong, Piece::Message(_), Piece::Ping, Piece::Message(_)]), "{mixed:?}");
    }

    #[test]
    fn a_ping_is_heard_once_however_its_bytes_arrive() {
        let three = format!("\r\n\r\n{INVITE}\r\n\r\n\r\n\r\n{INVITE}");
        for size in 1..=three.len() {
            let mut inbox = Inbox::default();
            let (mut pings, mut messages) = (0, 0);
            for bytes in three.as_bytes().chunks(size) {
                inbox.push(bytes);
                while let Some(piece) = inbox.take().unwrap() {
                    pings += usize::from(piece == Piece::Ping);
                    messages += usize::from(matches!(piece, Piece::Message(_)));
                }
            }
            assert_eq!((pings, messages), (3, 2), "in pieces of {size}");
        }
    }

    #[test]
    fn what_answers_our_pings_is_no_ping_and_no_half_of_one() {
        let mut inbox = Inbox::default();
        let mut next = |bytes: &[u8]| {
            inbox.push(bytes);
            let piece = inbox.take().unwrap();
            assert!(matches!(inbox.take(), Ok(None)), "one piece at a time");
            inbox.pinged();
            piece
        };
        for _ in 0..3 {
            assert_eq!(next(b"\r\n"), Some(Piece::Pong));
        }
        assert_eq!(next(b"\r\n\r\n"), Some(Piece::Ping), "theirs crosses ours");
        assert_eq!(next(b"\r\n"), Some(Piece::Pong));
    }

    #[test]
    fn empty_lines_with_a_message_between_them_are_no_ping() {
        let mixed = all(format!("\r\n{INVITE}\r\n{INVITE}").as_bytes()).unwrap();
        assert!(matches!(mixed.as_slice(), [Piece::Pong, Piece::Message(_), Piece::Pong, Piece::Message(_)]), "{mixed:?}");
    }

    #[test]
    fn a_message_that_cannot_be_understood_does_not_hide_the_next_one() {
        let bad = "HELLO\r\nContent-Length: 2\r\n\r\nxx";
        assert!(matches!(all(format!("{bad}{INVITE}").as_bytes()).unwrap().as_slice(), [Piece::Malformed(_), Piece::Message(_)]));
        for bad in [
            "A B SIP/3.0",
            "SIP/2.0 99 Low",
            "SIP/2.0 2000 High",
            "SIP/2.0 +20 Sign",
            "INVITE  SIP/2.0",
            "IN VITE sip:a SIP/2.0",
            "(A) sip:a SIP/2.0",
        ] {
            assert!(matches!(all(format!("{bad}\r\nVia: x\r\n\r\n").as_bytes()).unwrap().as_slice(), [Piece::Malformed(_)]), "{bad}");
        }
        let many = format!("OPTIONS sip:a SIP/2.0\r\n{}\r\n", "A: b\r\n".repeat(101));
        assert!(matches!(all(many.as_bytes()).unwrap().as_slice(), [Piece::Malformed(_)]));
    }

    #[test]
    fn what_cannot_be_framed_ends_the_connection() {
        let with = |field: &str| format!("OPTIONS sip:a SIP/2.0\r\n{field}\r\n\r\n");
        assert_eq!(all(with("Content-Length: -1").as_bytes()), Err(Broken::NoLength));
        assert_eq!(all(with("Content-Length: 1\r\nl: 2").as_bytes()), Err(Broken::NoLength), "two lengths: request smuggling");
        assert_eq!(all(with("Content-Length: 65537").as_bytes()), Err(Broken::TooLong));
        assert_eq!(all(with("Content-Length: +1").as_bytes()), Err(Broken::NoLength));
        assert_eq!(all("A".repeat(LONGEST_HEAD + 4).as_bytes()), Err(Broken::TooLong));
        assert_eq!(all(b"\xff\xfe: x\r\n\r\n"), Err(Broken::NotSip));
    }

    #[test]
    fn the_longest_head_is_read_however_its_bytes_arrive() {
        let head = |length: usize| {
            let first = "OPTIONS sip:a SIP/2.0\r\nSubject: ";
            format!("{first}{}\r\n\r\n", "x".repeat(length - first.len()))
        };
        for (length, is_read) in [(LONGEST_HEAD, true), (LONGEST_HEAD + 1, false)] {
            for cut in 1..=4 {
                let text = head(length);
                let (one, two) = text.as_bytes().split_at(text.len() - cut);
                let mut inbox = Inbox::default();
                inbox.push(one);
                let early = inbox.take();
                inbox.push(two);
                let read = early.and_then(|piece| Ok(piece.is_none() && inbox.take()?.is_some()));
                assert_eq!(read, if is_read { Ok(true) } else { Err(Broken::TooLong) }, "{length} {cut}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = all(&bytes);
        }

        #[test]
        fn nearly_sip_is_read_without_panic(text in "(SIP/2.0 [0-9]{1,4}|INVITE sip:a SIP/2.0|\r\n)(\r\n[vftiVl]{1,2} ?: ?[ -~]{0,20}){0,5}\r\n\r\n[a-z]{0,5}") {
            let _ = all(text.as_bytes());
        }
    }
}
