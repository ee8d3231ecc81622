//! A server of somebody else: it keeps what it is sent, and answers as it is told.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};
use tokio_rustls::{TlsAcceptor, rustls};

/// Longer than anything takes here; reached only when a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// How it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// With this status and these lines of a head, and this body.
    Says(u16, String, &'static str),
    /// Not at all.
    Nothing,
    /// With this status and a body that never ends.
    Endless(u16),
}

/// With this status alone.
pub(crate) fn says(status: u16) -> Reply {
    Reply::Says(status, String::new(), "")
}

/// A request as it came.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) line: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(own, _)| own == name);
        found.map_or_else(|| panic!("{name} is not in {:?}", self.headers), |(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A running server.
pub(crate) struct Endpoint {
    address: SocketAddr,
    reply: Arc<Mutex<Reply>>,
    received: mpsc::UnboundedReceiver<Received>,
    connections: Arc<Mutex<u32>>,
    /// How much of an endless body was taken, once nobody took more.
    pub(crate) taken: mpsc::UnboundedReceiver<usize>,
}

impl Endpoint {
    pub(crate) async fn start() -> Self {
        Self::with(None).await
    }

    /// Behind TLS for this name, with the certificate that vouches for it.
    pub(crate) async fn sealed(name: &str) -> (Self, reqwest::Certificate) {
        super::provider();
        let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
        let certificate = reqwest::Certificate::from_der(cert.der()).unwrap();
        (Self::with(Some(TlsAcceptor::from(Arc::new(config)))).await, certificate)
    }

    async fn with(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (reply, connections) = (Arc::new(Mutex::new(says(204))), Arc::new(Mutex::new(0)));
        let (sender, received) = mpsc::unbounded_channel();
        let (told, taken) = mpsc::unbounded_channel();
        let endpoint = Self { address, reply: Arc::clone(&reply), received, connections: Arc::clone(&connections), taken };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *lock(&connections) += 1;
                let (tls, reply, sender, told) = (tls.clone(), Arc::clone(&reply), sender.clone(), told.clone());
                tokio::spawn(async move {
                    let done = match tls {
                        None => serve(stream, &reply, &sender, &told).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => serve(stream, &reply, &sender, &told).await,
                            Err(error) => Err(error),
                        },
                    };
                    // Whoever called may hang up at any time.
                    drop(done);
                });
            }
        });
        endpoint
    }

    pub(crate) const fn port(&self) -> u16 {
        self.address.port()
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/in?room=1", self.address)
    }

    /// Answers so from now on.
    pub(crate) fn replies(&self, reply: Reply) {
        *lock(&self.reply) = reply;
    }

    /// How often somebody connected.
    pub(crate) fn connections(&self) -> u32 {
        *lock(&self.connections)
    }

    /// The next request.
    pub(crate) async fn next(&mut self) -> Received {
        let next = tokio::time::timeout(PATIENCE, self.received.recv()).await;
        next.expect("a request comes within 20 seconds").unwrap()
    }

    /// Whether no request came that was not looked at.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.received.try_recv().is_err()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    reply: &Mutex<Reply>,
    received: &mpsc::UnboundedSender<Received>,
    taken: &mpsc::UnboundedSender<usize>,
) -> io::Result<()> {
    let request = read(&mut stream).await?;
    let reply = lock(reply).clone();
    let _ = received.send(request);
    match reply {
        Reply::Says(status, head, body) => {
            let head = format!("HTTP/1.1 {status} X\r\n{head}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).await?;
            stream.shutdown().await
        }
        Reply::Nothing => stream.read(&mut [0]).await.map(drop),
        Reply::Endless(status) => {
            stream.write_all(format!("HTTP/1.1 {status} X\r\nConnection: close\r\n\r\n").as_bytes()).await?;
            let mut written = 0;
            while stream.write_all(&[b'x'; 4096]).await.is_ok() {
                written += 4096;
            }
            let _ = taken.send(written);
            Ok(())
        }
    }
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Received> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let line = lines.next().unwrap_or_default().to_owned();
    let headers: Vec<(String, String)> =
        lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let mut body = bytes.split_off(end);
    while body.len() < length {
        if stream.read_buf(&mut body).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(Received { line, headers, body })
}

/// Names that lead where a test wants: to one list of addresses after the other, and to the last one from then on.
#[derive(Clone, Default)]
pub(crate) struct Names {
    answers: Arc<Mutex<Vec<Vec<IpAddr>>>>,
    asked: Arc<Mutex<Vec<String>>>,
    here: bool,
}

impl Names {
    pub(crate) fn leading_to(answers: &[&[&str]]) -> Self {
        let answers = answers.iter().map(|list| list.iter().map(|address| address.parse().unwrap()).collect()).collect();
        Self { answers: Arc::new(Mutex::new(answers)), asked: Arc::default(), here: false }
    }

    /// The internet, played by this machine: every name is at a public address, and what is there is here.
    pub(crate) fn of_the_internet() -> Self {
        Self { here: true, ..Self::leading_to(&[&["9.9.9.9"]]) }
    }

    /// What was asked for so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        lock(&self.asked).clone()
    }
}

impl doorward_web::outward::Names for Names {
    fn look_up(&self, name: &str) -> doorward_core::driver::BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        lock(&self.asked).push(name.to_owned());
        let mut answers = lock(&self.answers);
        let answer = if answers.len() > 1 { answers.remove(0) } else { answers.first().cloned().unwrap_or_default() };
        Box::pin(std::future::ready(Ok(answer)))
    }

    fn place(&self, address: IpAddr) -> IpAddr {
        if self.here { IpAddr::from([127, 0, 0, 1]) } else { address }
    }
}
