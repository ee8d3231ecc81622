//! Digest authentication (RFC 2617, and RFC 2069 where `qop` is absent), with MD5 as the vendor has it.

use std::collections::BTreeMap;

use md5::{Digest, Md5};

use crate::legrand::hex;
use crate::legrand::oddities::{Challenge, Qop};

/// How many nonces are remembered.
const NONCES_MAX: usize = 10_000;

/// What an answer must be shown for.
#[derive(Clone, Debug)]
pub(crate) struct Nonce {
    /// Milliseconds since 1970.
    until: u64,
    /// The highest count that was used with it.
    count: u32,
    realm: String,
}

/// All nonces that live.
#[derive(Debug, Default)]
pub(crate) struct Nonces(BTreeMap<String, Nonce>);

/// What a client sent to prove itself: `name=value`, unquoted.
#[derive(Debug)]
pub(crate) struct Credentials(BTreeMap<String, String>);

/// What credentials are worth.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    Right,
    /// The nonce is not ours, too old, or its count did not rise.
    Stale,
    WrongPassword,
    /// Written as no client should; says why.
    Malformed(&'static str),
}

/// Whose credentials are judged, and for what.
pub(crate) struct Judged<'a> {
    pub(crate) user: &'a str,
    pub(crate) password: &'a str,
    pub(crate) method: &'a str,
    pub(crate) uri: &'a str,
    pub(crate) qop: Qop,
    pub(crate) now: u64,
}

impl Nonces {
    pub(crate) fn give(&mut self, nonce: &str, realm: &str, until: u64, now: u64) {
        if self.0.len() >= NONCES_MAX {
            self.0.retain(|_, nonce| nonce.until > now);
        }
        self.0.insert(nonce.to_owned(), Nonce { until, count: 0, realm: realm.to_owned() });
    }

    /// Makes every nonce stale.
    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }

    /// Judges credentials, and counts their nonce up when they are right.
    pub(crate) fn judge(&mut self, credentials: &Credentials, judged: &Judged<'_>) -> Verdict {
        let field = |name: &str| credentials.0.get(name).map_or("", String::as_str);
        if field("uri") != judged.uri {
            return Verdict::Malformed("uri is not the one of the request");
        }
        if !matches!(field("algorithm"), "" | "MD5") {
            return Verdict::Malformed("algorithm is another one than MD5");
        }
        let Some(nonce) = self.0.get_mut(field("nonce")).filter(|nonce| nonce.until > judged.now) else {
            return Verdict::Stale;
        };
        if field("realm") != nonce.realm {
            return Verdict::Malformed("realm is not the one of the challenge");
        }
        let qop = match (judged.qop, field("qop")) {
            (Qop::Absent, "") => None,
            (Qop::Auth | Qop::List, "auth") => Some((field("nc"), field("cnonce"))),
            (Qop::Absent, _) => return Verdict::Malformed("qop was not offered"),
            (Qop::Auth | Qop::List, _) => return Verdict::Malformed("qop is not auth"),
        };
        let count = match qop.map(|(nc, cnonce)| (counted(nc), cnonce)) {
            None => nonce.count,
            Some((Some(count), cnonce)) if !cnonce.is_empty() => count,
            Some(_) => return Verdict::Malformed("nc is not eight hexadecimal digits, or cnonce is missing"),
        };
        let ha1 = hash(&format!("{}:{}:{}", judged.user, nonce.realm, judged.password));
        if field("username") != judged.user || field("response") != response(&ha1, field("nonce"), qop, judged.method, judged.uri) {
            return Verdict::WrongPassword;
        }
        if qop.is_some() && count <= nonce.count {
            return Verdict::Stale;
        }
        nonce.count = count;
        Verdict::Right
    }
}

fn counted(nc: &str) -> Option<u32> {
    let digits = nc.len() == 8 && nc.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    digits.then(|| u32::from_str_radix(nc, 16).ok()).flatten()
}

fn response(ha1: &str, nonce: &str, qop: Option<(&str, &str)>, method: &str, uri: &str) -> String {
    let ha2 = hash(&format!("{method}:{uri}"));
    match qop {
        Some((nc, cnonce)) => hash(&format!("{ha1}:{nonce}:{nc}:{cnonce}:auth:{ha2}")),
        None => hash(&format!("{ha1}:{nonce}:{ha2}")),
    }
}

fn hash(text: &str) -> String {
    hex(&Md5::digest(text))
}

impl Credentials {
    /// Reads `Digest name="value", name=value`; `None` when it is no digest.
    pub(crate) fn read(value: &str) -> Option<Self> {
        let (scheme, mut rest) = value.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("Digest") {
            return None;
        }
        let mut fields = BTreeMap::new();
        while let Some((name, behind)) = rest.split_once('=') {
            let (value, left) = match behind.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => behind.split_once(',').map_or((behind, ""), |(value, _)| (value, behind.get(value.len()..).unwrap_or_default())),
            };
            fields.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
            rest = left.trim_start().strip_prefix(',').unwrap_or_default();
        }
        Some(Self(fields))
    }

    pub(crate) fn username(&self) -> &str {
        self.0.get("username").map_or("", String::as_str)
    }
}

impl Challenge {
    /// Status, the field of the challenge, and the field of its answer.
    pub(crate) fn parts(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::Proxy => (407, "Proxy-Authenticate", "Proxy-Authorization"),
            Self::Www => (401, "WWW-Authenticate", "Authorization"),
        }
    }
}

/// The value of the challenge.
pub(crate) fn challenge(realm: &str, nonce: &str, qop: Qop, opaque: Option<&str>, stale: bool) -> String {
    let opaque = opaque.map(|opaque| format!(", opaque=\"{opaque}\"")).unwrap_or_default();
    let qop = match qop {
        Qop::Auth => ", qop=\"auth\"",
        Qop::List => ", qop=\"auth,auth-int\"",
        Qop::Absent => "",
    };
    let stale = if stale { ", stale=true" } else { "" };
    format!("Digest realm=\"{realm}\", nonce=\"{nonce}\"{opaque}, algorithm=MD5{qop}{stale}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "dcd98b7102dd2f0e8b11d0f600bfb0c093";

    fn judged<'a>(qop: Qop, now: u64) -> Judged<'a> {
        Judged {
            user: "be372a9a-0000-4000-8000-000000000001_130325245365814065359",
            password: "jk3Z2470",
            method: "MESSAGE",
            uri: "sip:diy@gw-1234.bs.iotleg.com",
            qop,
            now,
        }
    }

    fn vectors() -> serde_json::Value {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors/sip.json");
        serde_json::from_slice(&std::fs::read(file).expect("the vectors are there")).expect("vectors")
    }

    #[test]
    fn the_header_of_the_original_is_right_once() {
        let vectors = vectors();
        let header = vectors["authorization_header"].as_str().expect("a text");
        let credentials = Credentials::read(header).expect("a digest");
        let mut nonces = Nonces::default();
        nonces.give(NONCE, "gw-1234.bs.iotleg.com", 1000, 0);
        assert_eq!(nonces.judge(&credentials, &judged(Qop::Auth, 1000)), Verdict::Stale, "too old");
        let other = Judged { password: "wrong", ..judged(Qop::Auth, 999) };
        assert_eq!(nonces.judge(&credentials, &other), Verdict::WrongPassword);
        assert_eq!(nonces.judge(&credentials, &judged(Qop::Auth, 999)), Verdict::Right);
        assert_eq!(nonces.judge(&credentials, &judged(Qop::Auth, 999)), Verdict::Stale, "its count did not rise");
    }

    #[test]
    fn responses_are_those_of_the_vectors() {
        for vector in vectors()["digest"].as_array().expect("digests") {
            let text = |name: &str| vector[name].as_str().expect("a text");
            let ha1 = hash(&format!("{}:{}:{}", text("username"), text("realm"), text("password")));
            assert_eq!(ha1, text("ha1"));
            let qop = vector["qop"].is_string().then(|| (text("nc"), text("cnonce")));
            assert_eq!(response(&ha1, text("nonce"), qop, text("method"), text("uri")), text("response"));
        }
    }

    #[test]
    fn counts_are_hexadecimal() {
        assert_eq!(counted("0000000a"), Some(10));
        assert_eq!((counted("00000010"), counted("10"), counted("0000000A")), (Some(16), None, None));
    }
}
