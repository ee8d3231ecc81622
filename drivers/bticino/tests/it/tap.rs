//! A listener between the client and a server, which writes down what both say.

use crate::authority::Authority;
use std::{
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

/// Who said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Client,
    Server,
}

/// What was said, in its order.
pub(crate) type Transcript = Vec<(Who, Vec<u8>)>;

pub(crate) struct Tap {
    pub(crate) port: u16,
    said: Arc<Mutex<Transcript>>,
    task: JoinHandle<()>,
}

impl Tap {
    /// Listens for one client after the other, each of which is brought to a server of its own.
    pub(crate) async fn new<S, F>(authority: &Authority, server: impl Fn() -> F + Send + 'static) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Future<Output = S> + Send,
    {
        // A second test of this process finds it installed.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let signed = authority.server(&["127.0.0.1"]);
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(signed.key.serialize_der()).into();
        let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![signed.certificate.der().clone()], key);
        let acceptor = TlsAcceptor::from(Arc::new(config.unwrap()));
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let said = Arc::new(Mutex::new(Transcript::new()));
        let writes = Arc::clone(&said);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if let Ok(client) = acceptor.accept(client).await {
                    carry(client, server().await, &writes).await;
                }
            }
        });
        Self { port, said, task }
    }

    pub(crate) fn said(&self) -> Transcript {
        self.said.lock().unwrap().clone()
    }

    /// What one side said, from beginning to end.
    pub(crate) fn by(&self, who: Who) -> Vec<u8> {
        by(&self.said.lock().unwrap(), who)
    }

    /// How often a side said these very bytes.
    pub(crate) fn count(&self, who: Who, bytes: &[u8]) -> usize {
        self.by(who).windows(bytes.len()).filter(|window| *window == bytes).count()
    }
}

/// What one side said, from beginning to end.
pub(crate) fn by(said: &Transcript, who: Who) -> Vec<u8> {
    said.iter().filter(|(said_by, _)| *said_by == who).flat_map(|(_, bytes)| bytes.clone()).collect()
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Until one side goes.
async fn carry(mut client: impl AsyncRead + AsyncWrite + Unpin, mut server: impl AsyncRead + AsyncWrite + Unpin, said: &Mutex<Transcript>) {
    let (mut of_client, mut of_server) = ([0; 4096], [0; 4096]);
    loop {
        let (who, read) = tokio::select! {
            read = client.read(&mut of_client) => (Who::Client, read.map(|count| &of_client[..count])),
            read = server.read(&mut of_server) => (Who::Server, read.map(|count| &of_server[..count])),
        };
        let Some(bytes) = read.ok().filter(|bytes| !bytes.is_empty()) else { break };
        write_down(&mut said.lock().unwrap(), who, bytes);
        let written = match who {
            Who::Client => server.write_all(bytes).await.is_ok() && server.flush().await.is_ok(),
            Who::Server => client.write_all(bytes).await.is_ok() && client.flush().await.is_ok(),
        };
        if !written {
            break;
        }
    }
    // Whoever is left is told.
    let _ = (client.shutdown().await, server.shutdown().await);
}

/// What a side says without being interrupted is one part.
fn write_down(said: &mut Transcript, who: Who, bytes: &[u8]) {
    match said.last_mut() {
        Some((last, part)) if *last == who => part.extend_from_slice(bytes),
        _ => said.push((who, bytes.to_vec())),
    }
}
