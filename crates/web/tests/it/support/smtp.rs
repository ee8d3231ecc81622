//! A mail server of somebody else: it keeps what it is handed, and speaks as much of RFC 5321 as a sender needs.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU16, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpListener,
    sync::mpsc,
};
use tokio_rustls::{TlsAcceptor, rustls};

/// Longer than anything takes here; reached only when a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A mail as it was handed over.
#[derive(Debug, Default)]
pub(crate) struct HandedOver {
    /// Whether anything but `EHLO` and `STARTTLS` was said without TLS.
    pub(crate) sealed: bool,
    pub(crate) user: String,
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) data: String,
}

impl HandedOver {
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> String {
        let head = self.data.split("\r\n\r\n").next().unwrap().replace("\r\n ", " ");
        let found: Vec<&str> = head.split("\r\n").filter_map(|line| line.strip_prefix(&format!("{name}: "))).collect();
        assert_eq!(found.len(), 1, "{name} is there once: {head}");
        found[0].to_owned()
    }
}

/// A running server.
pub(crate) struct MailServer {
    pub(crate) port: u16,
    pub(crate) authority: Vec<u8>,
    received: mpsc::UnboundedReceiver<HandedOver>,
    offers_tls: Arc<AtomicBool>,
    answer: Arc<AtomicU16>,
}

impl MailServer {
    /// As `localhost`, with TLS from the first byte or after `STARTTLS`.
    pub(crate) async fn start(implicit: bool) -> Self {
        super::provider();
        let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
        let (tls, authority) = (TlsAcceptor::from(Arc::new(config)), cert.der().to_vec());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, received) = mpsc::unbounded_channel();
        let (offers_tls, answer) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU16::new(250)));
        let (offers, status) = (Arc::clone(&offers_tls), Arc::clone(&answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, sender, offers, status) = (tls.clone(), sender.clone(), offers.load(Ordering::Relaxed), Arc::clone(&status));
                tokio::spawn(async move {
                    let done = async {
                        if implicit {
                            return talk(tls.accept(stream).await?, true, true, false, &status, &sender).await.map(drop);
                        }
                        let Some(stream) = talk(stream, true, false, offers, &status, &sender).await? else { return Ok(()) };
                        talk(tls.accept(stream).await?, false, true, false, &status, &sender).await.map(drop)
                    };
                    // Whoever called may hang up at any time.
                    let _: io::Result<()> = done.await;
                });
            }
        });
        Self { port, authority, received, offers_tls, answer }
    }

    /// Offers no TLS any more.
    pub(crate) fn without_tls(&self) {
        self.offers_tls.store(false, Ordering::Relaxed);
    }

    /// Answers so to what it is handed.
    pub(crate) fn answers(&self, status: u16) {
        self.answer.store(status, Ordering::Relaxed);
    }

    /// The next mail, or talk that ended before there was one.
    pub(crate) async fn next(&mut self) -> HandedOver {
        let next = tokio::time::timeout(PATIENCE, self.received.recv()).await;
        next.expect("a mail comes within 20 seconds").unwrap()
    }

    /// Whether no mail came that was not looked at.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.received.try_recv().is_err()
    }
}

/// Talks until the other side goes away; gives the connection back where TLS begins.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    greets: bool,
    sealed: bool,
    offers: bool,
    status: &AtomicU16,
    sender: &mpsc::UnboundedSender<HandedOver>,
) -> io::Result<Option<S>> {
    let mut stream = BufReader::new(stream);
    if greets {
        stream.write_all(b"220 localhost ready\r\n").await?;
    }
    let mut mail = HandedOver { sealed, ..HandedOver::default() };
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        let line = line.trim_end();
        let answer = match line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase().as_str() {
            "EHLO" if offers => "250-localhost\r\n250 STARTTLS".to_owned(),
            "EHLO" if sealed => "250-localhost\r\n250 AUTH PLAIN".to_owned(),
            "EHLO" => "250 localhost".to_owned(),
            "STARTTLS" => {
                stream.write_all(b"220 go on\r\n").await?;
                return Ok(Some(stream.into_inner()));
            }
            "AUTH" => {
                line.rsplit(' ').next().unwrap_or_default().clone_into(&mut mail.user);
                "235 welcome".to_owned()
            }
            "MAIL" => {
                line.clone_into(&mut mail.from);
                "250 go on".to_owned()
            }
            "RCPT" => {
                mail.to.push(line.to_owned());
                "250 go on".to_owned()
            }
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await?;
                read_data(&mut stream, &mut mail.data).await?;
                let handed = std::mem::replace(&mut mail, HandedOver { sealed, ..HandedOver::default() });
                let _ = sender.send(handed);
                format!("{} as it was told", status.load(Ordering::Relaxed))
            }
            "QUIT" => "221 bye".to_owned(),
            _ => "500 what?".to_owned(),
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
}

async fn read_data<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufReader<S>, data: &mut String) -> io::Result<()> {
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 || line == ".\r\n" {
            return Ok(());
        }
        data.push_str(&line);
    }
}
