//! Digest access authentication (RFC 2617, as SIP takes it: RFC 3261, section 22), with MD5, the one that the vendor's
//! server speaks.
//!
//! A challenge is answered many times: each request counts its nonce up, so that the answer can be sent ahead and opening
//! a gate is one round trip.

use doorward_core::Secret;
use md5::{Digest, Md5};
use std::fmt::Write as _;

/// Bytes of a challenge, at most.
const LONGEST: usize = 2048;

/// Who somebody is, for one account.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The SIP user: `<user id>_<client id>`.
    pub username: String,
    /// Its password.
    pub password: Secret<String>,
}

/// What a server wants to know, from `WWW-Authenticate` or `Proxy-Authenticate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Option<String>,
    /// Whether `qop=auth` is offered.
    qop: bool,
    /// The answer before was right, and its nonce too old.
    pub stale: bool,
}

impl Challenge {
    /// Reads the value of the header. `None` where it asks for something else than MD5 with `auth`, or is none.
    pub fn read(value: &str) -> Option<Self> {
        let (scheme, rest) = value.trim().split_once([' ', '\t'])?;
        if value.len() > LONGEST || !scheme.eq_ignore_ascii_case("digest") {
            return None;
        }
        let fields = fields(rest)?;
        let field = |wanted: &str| fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.clone());
        let algorithm = field("algorithm");
        let qop = field("qop").map(|list| list.split(',').any(|word| word.trim().eq_ignore_ascii_case("auth")));
        // What is offered without `auth` is `auth-int` alone, which nobody needs here.
        let known = algorithm.as_ref().is_none_or(|word| word.eq_ignore_ascii_case("md5")) && qop != Some(false);
        known.then_some(())?;
        let stale = field("stale").is_some_and(|word| word.eq_ignore_ascii_case("true"));
        Some(Self { realm: field("realm")?, nonce: field("nonce")?, opaque: field("opaque"), algorithm, qop: qop.is_some(), stale })
    }

    /// The value of `Authorization` or `Proxy-Authorization` for one request. `count` says how often this nonce is used,
    /// from 1; `cnonce` is random. Fields are in the order in which the vendor's apps write them.
    pub fn answer(&self, who: &Credentials, method: &str, uri: &str, count: u32, cnonce: &str) -> Secret<String> {
        let ha1 = md5(&[&who.username, &self.realm, who.password.reveal()]);
        let ha2 = md5(&[method, uri]);
        let count = format!("{count:08x}");
        let response = if self.qop { md5(&[&ha1, &self.nonce, &count, cnonce, "auth", &ha2]) } else { md5(&[&ha1, &self.nonce, &ha2]) };
        let mut answer = format!("Digest realm={}, nonce={}", quoted(&self.realm), quoted(&self.nonce));
        if let Some(algorithm) = &self.algorithm {
            let _ = write!(answer, ", algorithm={algorithm}");
        }
        if let Some(opaque) = &self.opaque {
            let _ = write!(answer, ", opaque={}", quoted(opaque));
        }
        let _ = write!(answer, ", username={}, uri={}, response=\"{response}\"", quoted(&who.username), quoted(uri));
        if self.qop {
            let _ = write!(answer, ", cnonce={}, nc={count}, qop=auth", quoted(cnonce));
        }
        Secret::new(answer)
    }
}

/// `name=value` and `name="value"`, with commas between them. `None` where it is something else.
fn fields(mut rest: &str) -> Option<Vec<(String, String)>> {
    let mut fields = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return Some(fields);
        }
        let (name, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let (value, left) = if let Some(text) = after.strip_prefix('"') {
            text_until_quote(text)?
        } else {
            let end = after.find([',', ' ', '\t']).unwrap_or(after.len());
            (after[..end].to_owned(), &after[end..])
        };
        let plain = |text: &str| !text.chars().any(char::is_control);
        if name.trim().is_empty() || !plain(name) || !plain(&value) {
            return None;
        }
        fields.push((name.trim().to_owned(), value));
        rest = left.trim_start();
        if !rest.is_empty() && !rest.starts_with(',') {
            return None;
        }
    }
}

/// What stands before the closing quote, and what stands behind it.
fn text_until_quote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(letters.next()?.1),
            letter => value.push(letter),
        }
    }
    None
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// MD5 over parts with colons between them, as hexadecimal digits.
fn md5(parts: &[&str]) -> String {
    Md5::digest(parts.join(":")).iter().fold(String::with_capacity(32), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn vectors() -> Value {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors/sip.json");
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
    }

    fn read(value: &str) -> Challenge {
        Challenge::read(value).unwrap_or_else(|| panic!("{value}"))
    }

    #[test]
    fn answers_are_those_of_the_vectors() {
        for vector in vectors()["digest"].as_array().unwrap() {
            let word = |name: &str| vector[name].as_str().unwrap_or_default().to_owned();
            let qop = vector["qop"].as_str().map_or_else(String::new, |qop| format!(", qop=\"{qop}\""));
            let challenge = read(&format!("Digest realm=\"{}\", nonce=\"{}\"{qop}", word("realm"), word("nonce")));
            let who = Credentials { username: word("username"), password: Secret::new(word("password")) };
            let answer = challenge.answer(&who, &word("method"), &word("uri"), 1, &word("cnonce"));
            assert!(answer.reveal().contains(&format!("response=\"{}\"", word("response"))), "{vector}");
            assert_eq!(answer.reveal().contains("nc="), vector["qop"].is_string());
        }
    }

    #[test]
    fn the_header_is_written_as_the_apps_write_it() {
        let vectors = vectors();
        let challenge = vectors["challenge_407"].as_str().unwrap();
        let challenge = challenge.lines().find_map(|line| line.strip_prefix("Proxy-Authenticate: ")).unwrap();
        let vector = &vectors["digest"][0];
        let who = Credentials {
            username: vector["username"].as_str().unwrap().into(),
            password: Secret::from(vector["password"].as_str().unwrap()),
        };
        let answer = read(challenge).answer(&who, "MESSAGE", vector["uri"].as_str().unwrap(), 1, vector["cnonce"].as_str().unwrap());
        assert_eq!(answer.reveal(), vectors["authorization_header"].as_str().unwrap());
        assert!(!format!("{answer:?}").contains("response"), "it cannot be printed");
    }

    #[test]
    fn each_use_of_a_nonce_counts() {
        let challenge = read("Digest realm=\"r\", nonce=\"n\", qop=\"auth-int,auth\"");
        let who = Credentials { username: "u".into(), password: Secret::from("p") };
        let nth = |count| challenge.answer(&who, "MESSAGE", "sip:a", count, "c").reveal().clone();
        assert!(nth(10).contains("nc=0000000a") && nth(1) != nth(2));
    }

    #[test]
    fn challenges_are_read_however_they_are_written() {
        let plain = read("Digest realm=\"r\", nonce=\"n\"");
        assert_eq!(read("DIGEST\tNonce = \"n\" ,,REALM=\"r\""), plain);
        assert_eq!(read("Digest realm=r,nonce=n"), plain);
        assert!(read("Digest realm=\"a, \\\"b\\\"\", nonce=\"n\", stale=TRUE").stale);
        assert_eq!(read("Digest realm=\"a, \\\"b\\\"\", nonce=\"n\"").realm, "a, \"b\"");
        for wrong in [
            "",
            "Digest",
            "Basic realm=\"r\"",
            "Digest realm=\"r\"",
            "Digest nonce=\"n\"",
            "Digest realm=\"r\", nonce=\"n\", algorithm=SHA-256",
            "Digest realm=\"r\", nonce=\"n\", qop=\"auth-int\"",
            "Digest realm=\"r\", nonce=\"n",
            "Digest realm=\"r\" nonce=\"n\"",
            "Digest realm=\"r\r\nX: y\", nonce=\"n\"",
        ] {
            assert_eq!(Challenge::read(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_read_gives_one_line(value in "Digest [ -~]{0,80}") {
            if let Some(challenge) = Challenge::read(&value) {
                let who = Credentials { username: "u".into(), password: Secret::from("p") };
                prop_assert!(!challenge.answer(&who, "MESSAGE", "sip:a", 1, "c").reveal().contains(['\r', '\n']));
            }
        }
    }
}
