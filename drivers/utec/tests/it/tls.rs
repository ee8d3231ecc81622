//! A cloud behind TLS: it is known by an authority or by its certificate, and never taken on trust.

use crate::house::{FRONT, bench, build, door, settings};
use base64::Engine as _;
use doorward_core::{
    Secret,
    conformance::Bench,
    driver::{Action, Ctx, Driver, Family, Fault, Target},
};
use rcgen::{CertifiedKey, PublicKeyData as _};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{TlsAcceptor, rustls};

/// A server with a certificate of its own making: its address, certificate (PEM and DER) and public key (DER).
struct Cloud {
    base: String,
    pem: String,
    der: Vec<u8>,
    key: Vec<u8>,
}

async fn cloud() -> Cloud {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let mut config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
    // As many servers do; the client speaks HTTP/1.1 alone.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                // The request is short and comes in one piece.
                let _ = stream.read(&mut [0; 16384]).await;
                let _ = stream.write_all(b"HTTP/1.1 204 X\r\nconnection: close\r\n\r\n").await;
                let _ = stream.shutdown().await;
            });
        }
    });
    Cloud { base, pem: cert.pem(), der: cert.der().to_vec(), key: signing_key.subject_public_key_info() }
}

async fn unlock(base: &str, setting: Option<(&str, String)>) -> Result<(), Fault> {
    let mut settings = settings(base);
    if let Some((key, value)) = setting {
        settings.values.insert(key.into(), json!(value));
    }
    let (driver, bench): (Arc<dyn Driver>, Arc<Bench>) = (build(&settings), bench());
    let step = Action::Setup { step: "tokens".into(), input: Secret::new(json!({ "access_token": "AT", "expires_in": 1000 }).to_string()) };
    driver.act(&*bench, &Target::Account, step).await.unwrap();
    let once = doorward_core::driver::Once { not_after: bench.now().utc.plus(Duration::from_secs(10)) };
    driver.act(&*bench, &door(FRONT), Action::Unlock(once)).await.map(|_| ())
}

#[tokio::test]
async fn rule_6_a_certificate_that_nobody_vouches_for_gets_nothing() {
    let cloud = cloud().await;
    for setting in [None, Some(("pin_sha256", "00".repeat(32)))] {
        let fault = unlock(&cloud.base, setting).await.unwrap_err();
        assert_eq!(fault.family, Family::Offline, "not a byte was sent: {fault}");
    }
}

#[tokio::test]
async fn rule_6_a_pin_of_the_certificate_or_of_its_key_is_enough() {
    let cloud = cloud().await;
    for der in [&cloud.der, &cloud.key] {
        let pin = Sha256::digest(der);
        // As `openssl` writes it.
        let hex: Vec<String> = pin.iter().map(|byte| format!("{byte:02X}")).collect();
        for pin in [hex.join(":"), base64::engine::general_purpose::STANDARD.encode(pin)] {
            unlock(&cloud.base, Some(("pin_sha256", pin))).await.unwrap();
        }
    }
}

#[tokio::test]
async fn rule_6_an_authority_of_the_account_is_trusted_besides_the_public_ones() {
    let cloud = cloud().await;
    let file = std::env::temp_dir().join(format!("doorward-utec-ca-{}.pem", std::process::id()));
    std::fs::write(&file, &cloud.pem).unwrap();
    let outcome = unlock(&cloud.base, Some(("ca_file", file.to_str().unwrap().to_owned()))).await;
    std::fs::remove_file(&file).unwrap();
    outcome.unwrap();
}
