//! Connections that are kept: hyper's own client, with a look-up that is checked and an end to the time for connecting.
//!
//! `reqwest` stands on the same client. What it adds (redirects of its own, cookies, proxies, packed bodies) must be off
//! here, and costs a tenth of what a relay takes.

use super::{CONNECT, IDLE};
use bytes::Bytes;
use doorward_core::driver::BoxFuture;
use doorward_http::destination::{Checked, Refusal};
use http_body_util::Full;
use hyper::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{HttpConnector, dns},
    },
    rt::{TokioExecutor, TokioTimer},
};
use reqwest::dns::{Addrs, Resolve};
use std::{
    sync::Arc,
    task::{Context, Poll},
};
use tower::Service;

/// Connections to servers, by scheme, host and port.
pub(super) type Pool = Client<InTime, Full<Bytes>>;

/// Connections of one server that are kept.
const KEPT: usize = 64;

/// A pool of its own, whose connections go where the look-up says.
pub(super) fn pool(look_up: Checked) -> Result<Pool, String> {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = rustls::crypto::CryptoProvider::get_default().ok_or("this program was started without cryptography")?;
    let tls = rustls::ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("no HTTP client: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut tcp = HttpConnector::new_with_resolver(LookUp(Arc::new(look_up)));
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(tcp);
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(KEPT)
        .build(InTime(connector)))
}

/// The look-up as hyper asks for it.
#[derive(Clone)]
pub(super) struct LookUp(Arc<Checked>);

impl Service<dns::Name> for LookUp {
    type Response = Addrs;
    type Error = Refusal;
    type Future = BoxFuture<'static, Result<Addrs, Refusal>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: dns::Name) -> Self::Future {
        let look_up = Arc::clone(&self.0);
        Box::pin(async move { look_up.resolve(name.as_str().parse()?).await })
    }
}

/// A connection does not stand in time: look-up, TCP and TLS together.
#[derive(Debug, thiserror::Error)]
#[error("no connection within {} s", CONNECT.as_secs())]
pub(super) struct Late;

/// A connector that gives up.
#[derive(Clone)]
pub(super) struct InTime(HttpsConnector<HttpConnector<LookUp>>);

impl Service<Uri> for InTime {
    type Response = <HttpsConnector<HttpConnector<LookUp>> as Service<Uri>>::Response;
    type Error = Refusal;
    type Future = BoxFuture<'static, Result<Self::Response, Refusal>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connecting = tokio::time::timeout(CONNECT, self.0.call(to));
        Box::pin(async move { connecting.await.unwrap_or_else(|_| Err(Late.into())) })
    }
}
