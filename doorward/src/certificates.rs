//! The certificate with which doorward's listeners speak TLS: from files, or from a certificate authority of its own.
//!
//! The authority is made once and sealed in the store, so that a backup carries it and devices that trust it go on doing
//! so. Certificates that it gives live for a year and are made anew at each start, and while doorward runs before they
//! end. Files are read again when they change, as they do when a renewal program has run.

use crate::config::CertificateFiles;
use anyhow::{Context, Result, anyhow};
use doorward_core::Secret;
use doorward_store::Store;
use doorward_wire::Time;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd};
use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

/// Under which name the authority is kept.
const AUTHORITY: &str = "own ca";
/// How long the authority lives.
const AUTHORITY_YEARS: i16 = 20;
/// How long a certificate lives: what browsers take from any authority.
const LIFE: Duration = Duration::from_hours(24 * 397);
/// It is made anew when it has lived so long.
const RENEW_AFTER: Duration = Duration::from_hours(24 * 300);

/// A certificate that is kept fresh, and what a listener needs of it.
pub(crate) struct Certificates {
    source: Source,
    current: Arc<Current>,
    /// What `current` was made of.
    made: Mutex<Made>,
}

enum Source {
    Files(CertificateFiles),
    Own { authority: Secret<String>, hosts: Vec<String> },
}

#[derive(Clone, Copy, PartialEq)]
enum Made {
    /// When the files were last changed.
    Read(Option<SystemTime>, Option<SystemTime>),
    At(Time),
}

/// The certificate that is shown now.
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl std::fmt::Debug for Current {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Current")
    }
}

impl Certificates {
    /// A certificate from files.
    pub(crate) fn from_files(files: CertificateFiles) -> Result<Self> {
        let (key, made) = read(&files)?;
        Ok(Self::new(Source::Files(files), key, made))
    }

    /// A certificate of doorward's own authority, for these names and addresses.
    pub(crate) async fn own(store: &Store, hosts: Vec<String>, now: Time) -> Result<Self> {
        let authority = authority(store, now).await?;
        let key = issue(&authority, &hosts, now)?;
        Ok(Self::new(Source::Own { authority, hosts }, key, Made::At(now)))
    }

    fn new(source: Source, key: CertifiedKey, made: Made) -> Self {
        Self { source, current: Arc::new(Current(RwLock::new(Arc::new(key)))), made: Mutex::new(made) }
    }

    /// For a listener that speaks these protocols above TLS (ALPN).
    pub(crate) fn server_config(&self, protocols: &[&str]) -> Result<Arc<ServerConfig>> {
        let builder = ServerConfig::builder_with_provider(provider()?).with_safe_default_protocol_versions()?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::clone(&self.current) as _);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Ok(Arc::new(config))
    }

    /// Takes a newer certificate, if there is one or it is time for one. Listeners show it from then on.
    pub(crate) fn keep_fresh(&self, now: Time) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let newer = match (&self.source, *made) {
            (Source::Files(files), before) if changed(files) != before => Some(read(files)),
            (Source::Own { authority, hosts }, Made::At(at)) if now.since(at) >= RENEW_AFTER => {
                Some(issue(authority, hosts, now).map(|key| (key, Made::At(now))))
            }
            _ => None,
        };
        match newer {
            None => {}
            Some(Ok((key, newer))) => {
                *made = newer;
                *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
                tracing::info!("the certificate of the listeners was renewed");
            }
            // The old one may still do; files may be half written.
            Some(Err(error)) => tracing::error!("the newer certificate cannot be used: {error:#}"),
        }
    }
}

/// The certificate of doorward's own authority as PEM, for those who are to trust it.
pub(crate) async fn authority_pem(store: &Store, now: Time) -> Result<String> {
    let authority = authority(store, now).await?;
    let end = authority.reveal().find("-----BEGIN PRIVATE KEY-----").unwrap_or_default();
    Ok(authority.reveal()[..end].to_owned())
}

/// Certificate and key of the authority as PEM; made the first time.
async fn authority(store: &Store, now: Time) -> Result<Secret<String>> {
    if let Some(known) = store.secret_note(AUTHORITY).await? {
        return Ok(known);
    }
    let key = KeyPair::generate()?;
    let mut params = authority_params()?;
    let (year, month, day) = date(now);
    params.not_before = date_time_ymd(year.into(), month, day);
    params.not_after = date_time_ymd((year + AUTHORITY_YEARS).into(), month, day);
    let certificate = params.self_signed(&key)?;
    let pem = Secret::new(format!("{}{}", certificate.pem(), key.serialize_pem()));
    // Another copy of doorward on the same database may have been quicker.
    store.set_secret_note_once(AUTHORITY, &pem).await.context("the certificate authority cannot be kept")
}

/// What is the same of every authority: what it signs names it by this, and by its key.
fn authority_params() -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "doorward own authority");
    params.distinguished_name.push(DnType::OrganizationName, "doorward");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn issue(authority: &Secret<String>, hosts: &[String], now: Time) -> Result<CertifiedKey> {
    let pem = authority.reveal();
    let issuer = Issuer::new(authority_params()?, KeyPair::from_pem(key_part(pem)?)?);
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(hosts.to_vec())?;
    params.distinguished_name.push(DnType::CommonName, hosts.first().map_or("doorward", String::as_str));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    // Clocks of devices are seldom right: a day back.
    let (from, to) = (date(now.minus(Duration::from_hours(24))), date(now.plus(LIFE)));
    params.not_before = date_time_ymd(from.0.into(), from.1, from.2);
    params.not_after = date_time_ymd(to.0.into(), to.1, to.2);
    let certificate = params.signed_by(&key, &issuer)?;
    let private = PrivateKeyDer::try_from(key.serialize_der()).map_err(|error| anyhow!("{error}"))?;
    let authority = CertificateDer::from_pem_slice(pem.as_bytes())?;
    Ok(CertifiedKey::from_der(vec![certificate.der().clone(), authority], private, provider()?.as_ref())?)
}

fn key_part(pem: &str) -> Result<&str> {
    let at = pem.find("-----BEGIN PRIVATE KEY-----").ok_or_else(|| anyhow!("the kept authority has no key"))?;
    Ok(&pem[at..])
}

fn date(time: Time) -> (i16, u8, u8) {
    let date = time.timestamp().to_zoned(jiff::tz::TimeZone::UTC).date();
    (date.year(), date.month().unsigned_abs(), date.day().unsigned_abs())
}

fn read(files: &CertificateFiles) -> Result<(CertifiedKey, Made)> {
    let made = changed(files);
    let shown = |path: &Path| path.display().to_string();
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect)
        .with_context(|| format!("{} is no PEM file with certificates", shown(&files.certificate)))?;
    let key =
        PrivateKeyDer::from_pem_file(&files.key).with_context(|| format!("{} is no PEM file with a private key", shown(&files.key)))?;
    let key = CertifiedKey::from_der(chain, key, provider()?.as_ref())
        .with_context(|| format!("{} and {} do not belong together", shown(&files.certificate), shown(&files.key)))?;
    Ok((key, made))
}

fn changed(files: &CertificateFiles) -> Made {
    let when = |path: &Path| std::fs::metadata(path).and_then(|about| about.modified()).ok();
    Made::Read(when(&files.certificate), when(&files.key))
}

fn provider() -> Result<Arc<CryptoProvider>> {
    CryptoProvider::get_default().map(Arc::clone).ok_or_else(|| anyhow!("this program was started without cryptography"))
}

/// The names and addresses under which this machine is reached: what is configured, and what it calls itself.
pub(crate) fn hosts(configured: &[String], public_url: Option<&str>) -> Vec<String> {
    let mut hosts = vec!["localhost".to_owned(), "127.0.0.1".into(), "::1".into()];
    hosts.extend(configured.iter().cloned());
    hosts.extend(public_url.and_then(|url| reqwest::Url::parse(url).ok()?.host_str().map(str::to_owned)));
    if let Some(name) = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().filter(|name| name.trim().len() > 1) {
        let name = name.trim().to_ascii_lowercase();
        if !name.contains('.') {
            hosts.push(format!("{name}.local"));
        }
        hosts.push(name);
    }
    let routes = std::fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    hosts.extend(own_addresses(&routes));
    let mut known = std::collections::BTreeSet::new();
    hosts.retain(|host| !host.is_empty() && known.insert(host.clone()));
    hosts
}

/// The addresses of this machine, as the kernel's routing table lists them: a line with the address, and below it one that
/// says that it is local.
fn own_addresses(routes: &str) -> Vec<String> {
    let mut addresses = Vec::new();
    let mut last = "";
    for line in routes.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address;
        } else if line.contains("host LOCAL") && !addresses.iter().any(|known| known == last) {
            addresses.push(last.to_owned());
        }
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_addresses_are_read_from_the_routing_table() {
        let routes = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     +-- 192.168.1.0/24 2 0 2\n        \
                      |-- 192.168.1.7\n           /32 host LOCAL\n        |-- 192.168.1.255\n           /32 link BROADCAST\n";
        assert_eq!(own_addresses(routes), ["192.168.1.7"]);
        assert_eq!(own_addresses(""), Vec::<String>::new());
    }

    #[test]
    fn a_certificate_names_what_is_configured() {
        let hosts = hosts(&["doors.lan".into()], Some("https://doors.example.org/x"));
        for host in ["localhost", "127.0.0.1", "doors.lan", "doors.example.org"] {
            assert_eq!(hosts.iter().filter(|known| *known == host).count(), 1, "{host} in {hosts:?}");
        }
    }
}
