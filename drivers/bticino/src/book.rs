//! What was registered: this installation's number, the gateways that know it, their certificates, and whom to believe.

use crate::{
    certificate,
    files::SipAccount,
    sip::tls::{ClientCertificate, fingerprint},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use doorward_core::{
    Secret,
    driver::{Ctx, Fault, Lease},
};
use doorward_wire::{Time, attempt::Reason};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

/// Where it is kept.
const KEY: &str = "registration";
/// How long before its end a certificate is renewed.
const AHEAD: Duration = Duration::from_hours(30 * 24);
/// Digits of this installation's number.
const DIGITS: usize = 21;
/// What the lease of a certificate begins with.
const LEASE: &str = "certificate:";

/// Everything that is kept of the registration.
#[derive(Debug, Clone, Default)]
pub(crate) struct Book {
    /// This installation's number at the vendor; made once.
    pub(crate) client_id: String,
    /// The gateways, by their identifiers.
    pub(crate) gateways: BTreeMap<String, Entry>,
    /// The authorities of the SIP server (DER), pinned when they were first seen.
    pub(crate) authorities: Vec<Vec<u8>>,
    /// Other ones, which the vendor named later and nobody has accepted.
    pub(crate) offered: Vec<Vec<u8>>,
}

/// One gateway.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The plant that it belongs to.
    pub(crate) plant: String,
    /// The name of the plant and its own, for people.
    pub(crate) name: String,
    /// What the vendor gave this installation.
    pub(crate) account: SipAccount,
    /// Its certificate.
    pub(crate) certificate: Option<Certificate>,
}

/// A client certificate with its key.
#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    /// The certificate and those above it, as DER.
    pub(crate) chain: Vec<Vec<u8>>,
    /// Its private key, as PKCS #8.
    pub(crate) key: Secret<Vec<u8>>,
    /// Until when.
    pub(crate) until: Time,
}

impl Certificate {
    /// A certificate, if it says until when it is good.
    pub(crate) fn new(chain: Vec<Vec<u8>>, key: Secret<Vec<u8>>) -> Option<Self> {
        let (_, until) = certificate::validity(chain.first()?)?;
        Some(Self { chain, key, until })
    }

    /// As TLS wants it.
    pub(crate) fn for_tls(&self) -> ClientCertificate {
        ClientCertificate { chain: self.chain.clone(), key: self.key.clone() }
    }

    /// Whether it is to be renewed.
    pub(crate) fn is_due(&self, now: Time) -> bool {
        now.plus(AHEAD) >= self.until
    }

    /// Its lease; `made` when it was made just now. Its first day is dated back, for clocks that are behind.
    pub(crate) fn lease(&self, gateway: &str, made: Option<Time>) -> Lease {
        Lease {
            id: lease_of(gateway),
            kind: "client_certificate",
            not_after: Some(self.until),
            margin: Some(AHEAD),
            made,
            fresh: made.is_some(),
        }
    }
}

/// The lease of a gateway's certificate.
pub(crate) fn lease_of(gateway: &str) -> String {
    format!("{LEASE}{gateway}")
}

/// The gateway whose certificate a lease is.
pub(crate) fn gateway_of_lease(lease: &str) -> Option<&str> {
    lease.strip_prefix(LEASE)
}

impl Book {
    /// Reads it back. A new one has a number already, which is kept with the first registration.
    pub(crate) async fn load(ctx: &dyn Ctx) -> Result<Self, Fault> {
        let Some(bytes) = ctx.kept(KEY).await? else { return Ok(Self { client_id: new_client_id(ctx), ..Self::default() }) };
        let kept: Value = serde_json::from_slice(bytes.reveal()).unwrap_or_default();
        Self::read(&kept).ok_or_else(|| {
            let log = "the kept registration cannot be read";
            Fault::protocol("The kept registration cannot be read. Register the account again.", log).because(Reason::Protocol)
        })
    }

    /// Puts it on disk.
    pub(crate) async fn keep(&self, ctx: &dyn Ctx) -> Result<(), Fault> {
        Ok(ctx.keep(KEY, Secret::new(self.written().to_string().into_bytes())).await?)
    }

    fn written(&self) -> Value {
        let certificate = |certificate: &Certificate| json!({ "chain": all_written(&certificate.chain), "key": STANDARD.encode(certificate.key.reveal()) });
        let gateways: serde_json::Map<String, Value> = self
            .gateways
            .iter()
            .map(|(id, entry)| {
                let account: Value = serde_json::from_str(entry.account.write().reveal()).unwrap_or_default();
                let entry = json!({
                    "plant": entry.plant, "name": entry.name, "account": account,
                    "certificate": entry.certificate.as_ref().map(certificate),
                });
                (id.clone(), entry)
            })
            .collect();
        json!({
            "client_id": self.client_id,
            "gateways": gateways,
            "authorities": all_written(&self.authorities),
            "offered": all_written(&self.offered),
        })
    }

    fn read(kept: &Value) -> Option<Self> {
        let mut gateways = BTreeMap::new();
        for (id, entry) in kept.get("gateways")?.as_object()? {
            let certificate = entry.get("certificate").filter(|certificate| !certificate.is_null()).and_then(|certificate| {
                let key = Secret::new(STANDARD.decode(certificate.get("key")?.as_str()?).ok()?);
                Certificate::new(all_read(certificate.get("chain")?), key)
            });
            let text = |name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned);
            let account = SipAccount::read_fields(entry.get("account")?.as_object()?).ok()?;
            gateways.insert(id.clone(), Entry { plant: text("plant")?, name: text("name")?, account, certificate });
        }
        Some(Self {
            client_id: kept.get("client_id")?.as_str()?.to_owned(),
            gateways,
            authorities: all_read(kept.get("authorities")?),
            offered: all_read(kept.get("offered")?),
        })
    }

    /// The fingerprints of the pinned authorities, as people compare them.
    pub(crate) fn pinned(&self) -> Vec<String> {
        self.authorities.iter().map(|der| fingerprint(der)).collect()
    }
}

fn all_written(ders: &[Vec<u8>]) -> Value {
    ders.iter().map(|der| STANDARD.encode(der)).collect()
}

fn all_read(list: &Value) -> Vec<Vec<u8>> {
    let texts = list.as_array().into_iter().flatten().filter_map(Value::as_str);
    texts.filter_map(|text| STANDARD.decode(text).ok()).collect()
}

/// Random digits, of which the first is not 0.
fn new_client_id(ctx: &dyn Ctx) -> String {
    let mut digits = String::with_capacity(DIGITS);
    while digits.len() < DIGITS {
        let mut byte = [0];
        ctx.fill(&mut byte);
        // Of 256 values the last six would favour some digits.
        let digit = byte[0] % 10;
        if byte[0] < 250 && !(digits.is_empty() && digit == 0) {
            digits.push(char::from(b'0' + digit));
        }
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorward_core::conformance::Bench;

    #[test]
    fn a_number_is_made_once_and_begins_with_no_zero() {
        let bench = Bench::new("2026-11-26T12:00:00Z".parse().unwrap());
        for _ in 0..100 {
            let made = new_client_id(&bench);
            assert!((21..=23).contains(&made.len()) && !made.starts_with('0') && made.bytes().all(|byte| byte.is_ascii_digit()));
        }
    }
}
