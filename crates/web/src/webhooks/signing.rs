//! The signature of a message: HMAC-SHA-256 over `id.timestamp.body` (Standard Webhooks, “Symmetric”).

use aws_lc_rs::hmac;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use doorward_core::Secret;
use std::ops::RangeInclusive;

/// What a secret begins with.
const PREFIX: &str = "whsec_";
/// Bytes of a secret.
const BYTES: RangeInclusive<usize> = 24..=64;

/// The value of `webhook-signature`: one signature for each secret. `None` when one of them is no secret.
pub(super) fn signatures(secrets: &[Secret<String>], message: &str, seconds: i64, body: &[u8]) -> Option<String> {
    let signed = [message.as_bytes(), b".", seconds.to_string().as_bytes(), b".", body].concat();
    let sign = |secret: &Secret<String>| {
        let bytes = Secret::new(BASE64_STANDARD.decode(secret.reveal().strip_prefix(PREFIX)?).ok()?);
        let key = hmac::Key::new(hmac::HMAC_SHA256, BYTES.contains(&bytes.reveal().len()).then_some(bytes.reveal())?);
        Some(format!("v1,{}", BASE64_STANDARD.encode(hmac::sign(&key, &signed))))
    };
    let signatures = secrets.iter().map(sign).collect::<Option<Vec<_>>>()?;
    (!signatures.is_empty()).then(|| signatures.join(" "))
}

#[cfg(test)]
mod tests {
    use super::signatures;
    use doorward_core::Secret;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn sign(secrets: &[&str]) -> Option<String> {
        let secrets: Vec<Secret<String>> = secrets.iter().map(|secret| Secret::from(*secret)).collect();
        signatures(&secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#)
    }

    /// The vector of the Standard Webhooks libraries.
    #[test]
    fn a_message_is_signed_as_standard_webhooks_says() {
        assert_eq!(sign(&[SECRET]).as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    }

    #[test]
    fn each_secret_signs_once_and_the_newest_first() {
        let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        let both = sign(&[SECRET, other]).unwrap();
        assert_eq!(both, format!("{} {}", sign(&[SECRET]).unwrap(), sign(&[other]).unwrap()));
    }

    #[test]
    fn what_is_no_secret_signs_nothing() {
        for wrong in ["", "whsec_", "whsec_AAAA", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_!", &format!("whsec_{}", "A".repeat(88))] {
            assert_eq!(sign(&[SECRET, wrong]), None, "{wrong}");
        }
        assert_eq!(sign(&[]), None);
    }
}
