//! What must be known of a certificate (X.509, RFC 5280): until when it is good. TLS looks at the rest.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use doorward_core::Secret;
use doorward_wire::Time;
use serde_json::Value;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
/// `[0]` of a certificate: its version.
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// Bytes of a certificate, at most.
const LONGEST: usize = 16 << 10;
/// Certificates of an authority, at most.
const MOST: usize = 10;

/// One element of DER: its tag, its content, and what follows it (X.690, section 8.1).
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let length = if first < 0x80 {
        usize::from(first)
    } else {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 3 {
            return None;
        }
        let (bytes, behind) = rest.split_at_checked(count)?;
        rest = behind;
        bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte))
    };
    let (content, behind) = rest.split_at_checked(length)?;
    Some((tag, content, behind))
}

fn expect(der: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    element(der).filter(|(tag, ..)| *tag == wanted).map(|(_, content, behind)| (content, behind))
}

/// From when until when a certificate (DER) is good.
pub fn validity(der: &[u8]) -> Option<(Time, Time)> {
    if der.len() > LONGEST {
        return None;
    }
    let (certificate, _) = expect(der, SEQUENCE)?;
    let (mut fields, _) = expect(certificate, SEQUENCE)?;
    if let Some((_, behind)) = expect(fields, VERSION) {
        fields = behind;
    }
    let (_, fields) = expect(fields, INTEGER)?;
    let (_, fields) = expect(fields, SEQUENCE)?;
    // The issuer.
    let (_, fields) = expect(fields, SEQUENCE)?;
    let (dates, _) = expect(fields, SEQUENCE)?;
    let (from, dates) = time(dates)?;
    let (until, _) = time(dates)?;
    Some((from, until))
}

/// A time, in either form (RFC 5280, section 4.1.2.5).
fn time(der: &[u8]) -> Option<(Time, &[u8])> {
    let (tag, content, behind) = element(der)?;
    let digits = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = match (tag, digits.len()) {
        (UTC_TIME, 12) if digits < "50" => format!("20{digits}"),
        (UTC_TIME, 12) => format!("19{digits}"),
        (GENERALIZED_TIME, 14) => digits.to_owned(),
        _ => return None,
    };
    let part = |from: usize, to: usize| digits.get(from..to);
    let text = format!("{}-{}-{}T{}:{}:{}Z", part(0, 4)?, part(4, 6)?, part(6, 8)?, part(8, 10)?, part(10, 12)?, part(12, 14)?);
    Some((text.parse().ok()?, behind))
}

/// The DER of every certificate in a PEM text (RFC 7468).
pub fn from_pem(text: &str) -> Vec<Vec<u8>> {
    sections(text, "CERTIFICATE").filter_map(Result::ok).take(MOST).collect()
}

/// The private key (PKCS #8) in a PEM text.
pub fn key_from_pem(text: &str) -> Option<Secret<Vec<u8>>> {
    sections(text, "PRIVATE KEY").next()?.ok().map(Secret::new)
}

fn sections<'a>(text: &'a str, label: &str) -> impl Iterator<Item = Result<Vec<u8>, base64::DecodeError>> + 'a {
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let mut rest = text;
    std::iter::from_fn(move || {
        let (_, behind) = rest.split_once(&begin)?;
        let (content, behind) = behind.split_once(&end)?;
        rest = behind;
        let base64: String = content.chars().filter(|c| !c.is_whitespace()).collect();
        Some(STANDARD.decode(base64))
    })
}

/// A certificate or key as PEM.
pub fn to_pem(label: &str, der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let lines = base64.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned());
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.collect::<Vec<_>>().join("\n"))
}

/// The certificates in an answer of the vendor: base64 of DER or PEM, in any text or list of it.
pub fn in_answer(answer: &Value) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    gather(answer, 0, &mut found);
    found.truncate(MOST);
    found
}

fn gather(value: &Value, depth: u8, found: &mut Vec<Vec<u8>>) {
    match value {
        Value::String(text) if text.contains("-----BEGIN ") => found.extend(from_pem(text)),
        Value::String(text) => {
            let der = STANDARD.decode(text.split_whitespace().collect::<String>()).unwrap_or_default();
            if validity(&der).is_some() {
                found.push(der);
            }
        }
        Value::Array(list) if depth < 4 => list.iter().for_each(|value| gather(value, depth + 1, found)),
        Value::Object(fields) if depth < 4 => fields.values().for_each(|value| gather(value, depth + 1, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use serde_json::json;

    fn made(from: i32, until: i32) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["x".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 2), date_time_ymd(until, 12, 31));
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn a_certificate_says_until_when_it_is_good() {
        for (from, until) in [(1999, 2049), (2020, 2051)] {
            let expected = (format!("{from}-01-02T00:00:00Z").parse().unwrap(), format!("{until}-12-31T00:00:00Z").parse().unwrap());
            assert_eq!(validity(&made(from, until)), Some(expected));
        }
        let good = made(2020, 2030);
        for cut in 0..good.len() {
            let _ = validity(&good[..cut]);
        }
        assert_eq!(validity(&good[..100]), None);
    }

    #[test]
    fn certificates_are_found_however_the_vendor_wraps_them() {
        let (one, two) = (made(2020, 2030), made(2021, 2031));
        let (base64, pem) = (STANDARD.encode(&one), to_pem("CERTIFICATE", &two));
        assert_eq!(in_answer(&json!({ "chain": [base64, pem] })), [one.clone(), two.clone()]);
        assert_eq!(in_answer(&json!({ "cert": base64 })), std::slice::from_ref(&one));
        assert_eq!(in_answer(&json!({ "chain": format!("{pem}{pem}") })), [two.clone(), two.clone()]);
        assert_eq!(in_answer(&json!(base64)), [one]);
        assert_eq!(in_answer(&json!({ "message": "no", "code": 1 })), Vec::<Vec<u8>>::new());
        assert_eq!(from_pem(&pem), [two]);
    }

    #[test]
    fn of_too_many_certificates_and_too_deep_ones_none_is_kept() {
        let (one, list) = (STANDARD.encode(made(2020, 2030)), to_pem("CERTIFICATE", &made(2020, 2030)).repeat(MOST + 5));
        assert_eq!(in_answer(&json!(vec![one.clone(); MOST + 5])).len(), MOST);
        assert_eq!(in_answer(&json!({ "chain": list.clone() })).len(), MOST);
        assert_eq!(in_answer(&json!([[list.clone(), list]])).len(), MOST);
        let nested = |depth| (0..depth).fold(json!(one), |inner, _| json!([inner]));
        assert_eq!((in_answer(&nested(4)).len(), in_answer(&nested(5)).len()), (1, 0));
        let mut long = made(2020, 2030);
        long.resize(LONGEST + 1, 0);
        assert_eq!(in_answer(&json!(STANDARD.encode(long))), Vec::<Vec<u8>>::new());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = validity(&bytes);
        }
    }
}
