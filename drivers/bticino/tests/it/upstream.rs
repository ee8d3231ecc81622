//! Servers that stand where the vendor's does: one that answers what a test says, and TLS before any other.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, rustls};

/// A server that answers what a test says, and keeps what it is asked.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Request<Bytes>>>>,
}

impl Upstream {
    pub(crate) async fn start<F, A>(answer: F) -> Self
    where
        F: Fn(Request<Bytes>) -> A + Send + Sync + 'static,
        A: Future<Output = Response<Full<Bytes>>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<_>>>::default();
        let (book, answer) = (Arc::clone(&asked), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (book, answer) = (Arc::clone(&book), Arc::clone(&answer));
                let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                    let (book, answer) = (Arc::clone(&book), Arc::clone(&answer));
                    async move {
                        let (parts, body) = request.into_parts();
                        let body = body.collect().await.unwrap().to_bytes();
                        book.lock().unwrap().push(Request::from_parts(parts.clone(), body.clone()));
                        Ok::<_, Infallible>(answer(Request::from_parts(parts, body)).await)
                    }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, asked }
    }

    /// A server that sends everybody to wherever the query says, percent-encoded, after `to=`.
    pub(crate) async fn redirecting() -> Self {
        Self::start(async |request| {
            let url = reqwest::Url::parse(&format!("http://x{}", request.uri())).unwrap();
            let to = url.query_pairs().find(|(name, _)| name == "to").map(|(_, to)| to.into_owned());
            let status = request.headers().get("x-status").map_or(302, |status| status.to_str().unwrap().parse().unwrap());
            match to {
                Some(to) => Response::builder().status(status).header("location", to).body(Full::default()).unwrap(),
                None => Response::new(Full::from("a page")),
            }
        })
        .await
    }

    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Request<Bytes>> {
        self.asked.lock().unwrap().clone()
    }
}

/// TLS before a server of plain HTTP: its address, the authority's certificate (PEM), and its own (DER). It offers HTTP/2
/// as the vendor does, and speaks HTTP/1.1.
pub(crate) struct Front {
    pub(crate) base: String,
    pub(crate) authority: String,
    pub(crate) der: Vec<u8>,
}

impl Front {
    pub(crate) async fn start(behind: SocketAddr) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (authority, pem) = authority();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        let der = certificate.der().to_vec();
        let secret = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut config =
            rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate.der().clone()], secret).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut server = TcpStream::connect(behind).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
                });
            }
        });
        Self { base, authority: pem, der }
    }
}

/// An authority of its own, and its certificate (PEM).
pub(crate) fn authority() -> (Issuer<'static, KeyPair>, String) {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    (Issuer::new(params, key), pem)
}
