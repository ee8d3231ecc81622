//! Codes of authenticator apps: RFC 6238 with SHA-1, six digits and steps of 30 seconds, which is what every app does
//! whatever the link says.

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac};
use doorward_core::Secret;
use doorward_wire::Time;
use std::fmt::Write as _;

/// Seconds of a step.
const STEP: i64 = 30;
/// Steps before and after this one whose codes count too: clocks differ, and people type slowly (RFC 6238, section 5.2).
const DRIFT: i64 = 1;
/// RFC 4648, section 6.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The step whose code this is, around now. That it was not used before is the store's to say.
pub(crate) fn step_of(secret: &[u8], code: &str, now: Time) -> Option<i64> {
    // Apps show codes in two groups.
    let code: String = code.chars().filter(|letter| !letter.is_whitespace()).collect();
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let step = now.as_micros().div_euclid(1_000_000).div_euclid(STEP);
    let mut found = None;
    // All of them, so that how long it takes does not tell which one it was.
    for step in step.saturating_sub(DRIFT)..=step.saturating_add(DRIFT) {
        if verify_slices_are_equal(code_at(&key, step).as_bytes(), code.as_bytes()).is_ok() {
            found = Some(step);
        }
    }
    found
}

/// RFC 4226, section 5.3.
fn code_at(key: &hmac::Key, step: i64) -> String {
    let tag = hmac::sign(key, &step.to_be_bytes());
    let at = usize::from(tag.as_ref()[19] & 15);
    let number = tag.as_ref()[at..at + 4].iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
    format!("{:06}", (number & 0x7fff_ffff) % 1_000_000)
}

/// What an app photographs. `account` is the name of the person, for the app's list.
pub(crate) fn link(secret: &Secret<Vec<u8>>, host: &str, account: &str) -> Secret<String> {
    let plain = |text: &str| {
        text.bytes().fold(String::new(), |mut out, byte| {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_') {
                out.push(byte.into());
            } else {
                let _ = write!(out, "%{byte:02X}");
            }
            out
        })
    };
    let issuer = plain(&format!("doorward {host}"));
    Secret::new(format!("otpauth://totp/{issuer}:{}?secret={}&issuer={issuer}", plain(account), base32(secret.reveal())))
}

/// The secret as it is typed into an app, in groups of four.
pub(crate) fn typed(secret: &Secret<Vec<u8>>) -> Secret<String> {
    let text = base32(secret.reveal()).to_lowercase();
    let groups: Vec<&str> = text.as_bytes().chunks(4).filter_map(|group| std::str::from_utf8(group).ok()).collect();
    Secret::new(groups.join(" "))
}

fn base32(bytes: &[u8]) -> String {
    let letters = |chunk: &[u8]| {
        let number = chunk.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)) << (40 - 8 * chunk.len());
        (0..(chunk.len() * 8).div_ceil(5))
            .map(move |at| char::from(BASE32[usize::try_from(number >> (35 - 5 * at) & 31).unwrap_or_default()]))
    };
    bytes.chunks(5).flat_map(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"12345678901234567890";

    fn at(seconds: i64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    /// RFC 6238, appendix B, the last six of the eight digits there.
    #[test]
    fn codes_are_those_of_the_standard() {
        let vectors = [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ];
        for (seconds, code) in vectors {
            assert_eq!(step_of(SECRET, code, at(seconds)), Some(seconds / 30), "{code}");
            assert_eq!(step_of(SECRET, &format!("{} {}", &code[..3], &code[3..]), at(seconds)), Some(seconds / 30));
        }
    }

    #[test]
    fn a_code_counts_a_step_early_or_late_and_no_longer() {
        for (now, counts) in [(0, true), (29, true), (30, true), (89, true), (90, false), (-1, false)] {
            assert_eq!(step_of(SECRET, "287082", at(now)), counts.then_some(1), "{now}");
        }
        for wrong in ["", "287083", "28708", "2870820", "２８７０８２", "287082x"] {
            assert_eq!(step_of(SECRET, wrong, at(59)), None, "{wrong}");
        }
    }

    #[test]
    fn an_app_reads_the_link() {
        let secret = Secret::new(SECRET.to_vec());
        let link = link(&secret, "door.example", "Ada & Söhne");
        assert_eq!(
            link.reveal(),
            "otpauth://totp/doorward%20door.example:Ada%20%26%20S%C3%B6hne?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=doorward%20door.example"
        );
        assert_eq!(typed(&secret).reveal(), "gezd gnbv gy3t qojq gezd gnbv gy3t qojq");
    }

    /// RFC 4648, section 10, without padding.
    #[test]
    fn base32_is_that_of_the_standard() {
        for (plain, text) in [("", ""), ("f", "MY"), ("fo", "MZXQ"), ("foo", "MZXW6"), ("foob", "MZXW6YQ"), ("fooba", "MZXW6YTB")] {
            assert_eq!(base32(plain.as_bytes()), text);
        }
    }
}
