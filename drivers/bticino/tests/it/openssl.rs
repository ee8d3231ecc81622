//! OpenSSL reads the certificate request as it reads the vector, which the original wrote.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use doorward_bticino::csr::{Subject, new_key, request};
use doorward_core::Secret;
use serde_json::Value;
use std::{fs, path::Path, process::Command};

fn vector() -> Value {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors/sip.json");
    serde_json::from_slice::<Value>(&fs::read(file).unwrap()).unwrap()["csr"].take()
}

fn subject(vector: &Value) -> Subject {
    let value = |at: usize| vector["subject"][at]["value"].as_str().unwrap().to_owned();
    Subject { client_id: value(0), owner_email: value(6), sip_uri: vector["san_uri"].as_str().unwrap().into() }
}

fn openssl(words: &[&str], der: &Path) -> (String, String) {
    let output = Command::new("openssl").args(words).args(["-inform", "DER", "-in"]).arg(der).output();
    let output = output.expect("OpenSSL is installed: `make test` does it");
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// What OpenSSL says about a request: its text, its tags with their lengths, and whether it is signed by its own key.
struct Seen {
    text: String,
    tags: Vec<String>,
    signed: bool,
}

fn seen(der: &[u8]) -> Seen {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("request.der");
    fs::write(&file, der).unwrap();
    let (text, said) = openssl(&["req", "-noout", "-text", "-verify", "-nameopt", "sep_multiline,show_type,lname"], &file);
    let (tags, _) = openssl(&["asn1parse"], &file);
    // The length of a signature is not always the same, nor is that of the whole.
    let lines: Vec<_> = tags.lines().map(str::to_owned).collect();
    let (all, signature) = (&lines[0], &lines[lines.len() - 1]);
    assert!(all.contains("cons: SEQUENCE") && signature.contains("prim: BIT STRING"), "{tags}");
    Seen { text, tags: lines[1..lines.len() - 1].to_vec(), signed: said.contains("verify OK") }
}

/// The text but for what begins at one of these lines, until the next line that is indented as little.
fn without(text: &str, headings: &[&str]) -> Vec<String> {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let mut skips = None;
    let kept = text.lines().filter(|line| {
        if skips.is_some_and(|heading| depth(line) <= heading) {
            skips = None;
        }
        if headings.iter().any(|heading| line.trim_start().starts_with(heading)) {
            skips = Some(depth(line));
        }
        skips.is_none()
    });
    kept.map(str::to_owned).collect()
}

#[test]
fn a_request_is_read_as_the_vendors_but_for_its_signature() {
    let vector = vector();
    let pem: String = vector["private_key_pem"].as_str().unwrap().lines().filter(|line| !line.starts_with('-')).collect();
    let key = Secret::new(STANDARD.decode(pem).unwrap());
    let theirs = seen(&STANDARD.decode(vector["csr_base64_der"].as_str().unwrap()).unwrap());
    let ours = seen(&request(&key, &subject(&vector)).unwrap());
    assert!(theirs.signed && ours.signed);
    assert_eq!(ours.tags, theirs.tags);
    let signature = ["Signature Value"];
    assert_eq!(without(&ours.text, &signature), without(&theirs.text, &signature));
    for told in ["PRINTABLESTRING:user@example.com", "ASN1 OID: prime256v1", "ecdsa-with-SHA256", subject(&vector).sip_uri.as_str()] {
        assert!(ours.text.contains(told), "{told}: {}", ours.text);
    }
}

#[test]
fn a_request_for_a_new_key_differs_in_key_and_signature_alone() {
    let vector = vector();
    let theirs = seen(&STANDARD.decode(vector["csr_base64_der"].as_str().unwrap()).unwrap());
    let der = request(&new_key().unwrap(), &subject(&vector)).unwrap();
    let ours = seen(&der);
    assert!(ours.signed);
    assert_eq!(ours.tags, theirs.tags);
    assert_ne!(without(&ours.text, &["Signature Value"]), without(&theirs.text, &["Signature Value"]));
    let both = ["Signature Value", "pub:"];
    assert_eq!(without(&ours.text, &both), without(&theirs.text, &both));
    // One letter of the signed part makes the signature that of another request.
    let mut other = der;
    let at = other.windows(5).position(|bytes| bytes == b"Paris").unwrap();
    other[at] = b'p';
    assert!(!seen(&other).signed);
}
