//! A client of the registrar, written by hand from RFC 3261 and the vectors.

use std::sync::Arc;

use doorward_sim::legrand::{Enrolment, Sim};
use md5::{Digest, Md5};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::vectors;
use crate::within;

/// The user of the vectors.
const VECTOR_USER: &str = "be372a9a-0000-4000-8000-000000000001_130325245365814065359";

/// A message as it came.
#[derive(Debug)]
pub(crate) struct Text(pub(crate) String);

/// What a challenge said.
#[derive(Clone, Debug)]
pub(crate) struct Challenge {
    field: &'static str,
    realm: String,
    pub(crate) nonce: String,
    opaque: Option<String>,
    qop: bool,
    pub(crate) count: u32,
}

pub(crate) struct Phone {
    stream: TlsStream<TcpStream>,
    inbox: Vec<u8>,
    pub(crate) who: Enrolment,
    pub(crate) challenge: Option<Challenge>,
    requests: u32,
}

impl Text {
    /// The first value of a field, whatever its form.
    pub(crate) fn header(&self, name: &str) -> &str {
        let (_, head) = self.head().split_once("\r\n").unwrap_or_default();
        head.split("\r\n")
            .filter_map(|line| line.split_once(':'))
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map_or("", |(_, value)| value.trim())
    }

    fn head(&self) -> &str {
        self.0.split("\r\n\r\n").next().unwrap_or_default()
    }

    pub(crate) fn body(&self) -> &str {
        self.0.split_once("\r\n\r\n").unwrap_or_default().1
    }

    /// The status, or the method of a request.
    pub(crate) fn what(&self) -> &str {
        let mut words = self.0.split(' ');
        let first = words.next().unwrap_or_default();
        if first == "SIP/2.0" { words.next().unwrap_or_default() } else { first }
    }
}

/// How a client trusts and shows itself.
pub(crate) fn tls(ca: Vec<u8>, who: Option<&Enrolment>) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(ca)).expect("a CA");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let config = match who {
        Some(who) => {
            let key = PrivatePkcs8KeyDer::from(who.key.clone()).into();
            config.with_client_auth_cert(vec![who.certificate.clone().into()], key).expect("a certificate")
        }
        None => config.with_no_client_auth(),
    };
    TlsConnector::from(Arc::new(config))
}

impl Phone {
    /// Somebody who is registered everywhere, connected.
    pub(crate) async fn new(sim: &Sim) -> Self {
        let who = sim.enrol(super::GATEWAY);
        Self::connect(sim, &who).await.expect("a connection")
    }

    pub(crate) async fn connect(sim: &Sim, who: &Enrolment) -> std::io::Result<Self> {
        let stream = TcpStream::connect(sim.sip_addr()).await?;
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = tls(sim.server_ca(), Some(who)).connect(name, stream).await?;
        Ok(Self { stream, inbox: Vec::new(), who: who.clone(), challenge: None, requests: 0 })
    }

    pub(crate) async fn write(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.expect("written");
        self.stream.flush().await.expect("written");
    }

    /// One read from the connection; nothing when it is closed or broken.
    pub(crate) async fn read_some(&mut self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 16 * 1024];
        let count = within("bytes", self.stream.read(&mut buffer)).await.unwrap_or_default();
        buffer.truncate(count);
        (count > 0).then_some(buffer)
    }

    /// The next message; nothing when the connection ends before it.
    pub(crate) async fn read(&mut self) -> Option<Text> {
        loop {
            while self.inbox.starts_with(b"\r\n") {
                self.inbox.drain(..2);
            }
            if let Some(length) = whole(&self.inbox) {
                let message = self.inbox.drain(..length).collect();
                return Some(Text(String::from_utf8(message).expect("a text")));
            }
            let more = self.read_some().await?;
            self.inbox.extend(more);
        }
    }

    pub(crate) async fn next(&mut self) -> Text {
        self.read().await.expect("a message")
    }

    /// Sends a request and gives the next message.
    pub(crate) async fn ask(&mut self, request: &str) -> Text {
        self.write(request).await;
        self.next().await
    }

    /// Asks, and again with credentials when it is challenged; gives the last answer.
    pub(crate) async fn prove(&mut self, build: impl Fn(&mut Self) -> String) -> Text {
        let request = build(self);
        let answer = self.ask(&request).await;
        if !self.challenged(&answer) {
            return answer;
        }
        let request = build(self);
        self.ask(&request).await
    }

    /// Remembers a challenge.
    pub(crate) fn challenged(&mut self, answer: &Text) -> bool {
        let (field, shown) = match answer.what() {
            "407" => ("Proxy-Authorization", answer.header("Proxy-Authenticate")),
            "401" => ("Authorization", answer.header("WWW-Authenticate")),
            _ => return false,
        };
        let quoted = |name: &str| shown.split_once(&format!("{name}=\"")).and_then(|(_, rest)| rest.split('"').next()).map(str::to_owned);
        self.challenge = Some(Challenge {
            field,
            realm: quoted("realm").expect("a realm"),
            nonce: quoted("nonce").expect("a nonce"),
            opaque: quoted("opaque"),
            qop: quoted("qop").is_some_and(|qop| qop.split(',').any(|one| one == "auth")),
            count: 0,
        });
        true
    }

    /// The request of the vectors for this client; `Contact` with so many seconds.
    pub(crate) fn register(&mut self, expires: u32) -> String {
        let text = self.ours(vectors()["register"].as_str().expect("a text"));
        let text = text.replace("expires=600", &format!("expires={expires}"));
        self.fresh(&text, "REGISTER", "1 REGISTER")
    }

    /// The command of the vectors for this client.
    pub(crate) fn command(&mut self, opener: &str) -> String {
        let text = self.ours(vectors()["message"].as_str().expect("a text"));
        let json_id = 10_000_000 + self.requests;
        let text = text.replace("20#2", opener).replace("12345678", &json_id.to_string());
        self.fresh(&text, "MESSAGE", "20 MESSAGE")
    }

    pub(crate) fn ours(&self, text: &str) -> String {
        text.replace(VECTOR_USER, &self.who.user)
    }

    /// With numbers that were not used before, and credentials when there was a challenge.
    pub(crate) fn fresh(&mut self, text: &str, method: &str, cseq: &str) -> String {
        self.requests += 1;
        let text = text
            .replace("cccccccccccccccc", &format!("{:016}", self.requests))
            .replace("bbbbbbbbbbbbbbbb", &format!("call-{}", self.who.client_id))
            .replace(&format!("CSeq: {cseq}"), &format!("CSeq: {} {method}", self.requests));
        let uri = text.split(' ').nth(1).expect("a URI").to_owned();
        match self.authorization(method, &uri) {
            Some(line) => text.replacen("\r\nContent-Length", &format!("\r\n{line}\r\nContent-Length"), 1),
            None => text,
        }
    }

    /// The line that proves who we are, its nonce counted up.
    pub(crate) fn authorization(&mut self, method: &str, uri: &str) -> Option<String> {
        let challenge = self.challenge.as_mut()?;
        challenge.count += 1;
        let (nc, cnonce) = (format!("{:08x}", challenge.count), "0a4f113b5c6d7e8f");
        let ha1 = md5(&format!("{}:{}:{}", self.who.user, challenge.realm, self.who.password));
        let ha2 = md5(&format!("{method}:{uri}"));
        let nonce = &challenge.nonce;
        let response = if challenge.qop { format!("{ha1}:{nonce}:{nc}:{cnonce}:auth:{ha2}") } else { format!("{ha1}:{nonce}:{ha2}") };
        let opaque = challenge.opaque.as_ref().map(|opaque| format!(", opaque=\"{opaque}\"")).unwrap_or_default();
        let tail = if challenge.qop { format!(", cnonce=\"{cnonce}\", nc={nc}, qop=auth") } else { String::new() };
        Some(format!(
            "{}: Digest realm=\"{}\", nonce=\"{nonce}\", algorithm=MD5{opaque}, username=\"{}\", uri=\"{uri}\", response=\"{}\"{tail}",
            challenge.field,
            challenge.realm,
            self.who.user,
            md5(&response)
        ))
    }

    /// Registers for ten minutes.
    pub(crate) async fn registered(&mut self) {
        let answer = self.prove(|phone| phone.register(600)).await;
        assert_eq!(answer.what(), "200", "{answer:?}");
    }

    /// Answers a request, as the vectors do.
    pub(crate) async fn answer(&mut self, request: &Text, status: &str) {
        let to = request.header("To");
        let to = if to.contains(";tag=") { to.to_owned() } else { format!("{to};tag=dddddddddddddddd") };
        let text = format!(
            "SIP/2.0 {status}\r\nVia: {}\r\nFrom: {}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {}\r\nContent-Length: 0\r\n\r\n",
            request.header("Via"),
            request.header("From"),
            request.header("Call-ID"),
            request.header("CSeq")
        );
        self.write(&text).await;
    }
}

/// How long the first message is, once it is there.
fn whole(bytes: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(bytes);
    let head = text.find("\r\n\r\n")?;
    let lower = text[..head].to_ascii_lowercase().replace("\r\n ", "");
    let length = lower.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        matches!(name.trim(), "content-length" | "l").then(|| value.trim().parse::<usize>().expect("a number"))
    });
    let all = head + 4 + length.expect("a Content-Length");
    (bytes.len() >= all).then_some(all)
}

pub(crate) fn md5(text: &str) -> String {
    let number: [u8; 16] = Md5::digest(text).into();
    format!("{:032x}", u128::from_be_bytes(number))
}
