//! What may come in at all, before any handler sees it.
//!
//! * The Host must be one of ours: a foreign name that resolves to this machine (DNS rebinding) reaches nothing.
//! * A foreign `Origin` or `Sec-Fetch-Site: cross-site` is refused for everything that changes something.
//! * A forwarding header from a trusted address that is not a named proxy ends trust: a proxy on this machine must not
//!   turn the internet into loopback.
//! * Every answer carries a strict content security policy.

use crate::{ApiError, Web, serve::Peer};
use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use doorward_http::network::{forwarded_for, is_forwarded};
use doorward_wire::attempt::Reason;
use reqwest::Url;
use std::net::IpAddr;

/// Bytes that a request body may have, unless a route says less.
pub const BODY: usize = 256 * 1024;

/// Where a request came from: the peer, or what a named proxy says of it.
#[derive(Debug, Clone, Copy)]
pub struct Source(pub Option<IpAddr>);

/// Whether this request came over TLS, or from this machine.
#[derive(Debug, Clone, Copy)]
pub struct Sealed(pub bool);

/// The middleware around every route of the private and the public listener.
pub async fn guard(State(web): State<Web>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<Peer>>().map(|info| info.0);
    let Some(Peer::Tcp(address)) = peer else {
        request.extensions_mut().insert(Source(None));
        request.extensions_mut().insert(Sealed(true));
        return next.run(request).await;
    };
    let (source, sealed) = source(&web, request.headers(), address.ip());
    request.extensions_mut().insert(Source(Some(source)));
    request.extensions_mut().insert(Sealed(sealed));
    if let Err((reason, error)) = check(&web, request.method(), request.uri(), request.headers()) {
        web.house().refused(reason, Some(source));
        return error.into_response();
    }
    let html = !request.uri().path().starts_with("/api/");
    let mut response = next.run(request).await;
    harden(response.headers_mut(), html, sealed);
    response
}

/// The real source of a request, and whether nobody on the way could read it.
fn source(web: &Web, headers: &HeaderMap, peer: IpAddr) -> (IpAddr, bool) {
    let peer = peer.to_canonical();
    if !is_forwarded(headers) {
        return (peer, peer.is_loopback());
    }
    if !web.is_proxy(peer) {
        if web.trusts(peer) {
            web.end_trust();
        }
        return (peer, false);
    }
    let https = headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https");
    (forwarded_for(headers).unwrap_or(peer), https)
}

fn check(web: &Web, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), (Reason, ApiError)> {
    let host = uri.host().map(str::to_owned).or_else(|| headers.get(header::HOST)?.to_str().ok().map(str::to_owned));
    let Some(host) = host.filter(|host| is_ours(web, host)) else {
        let detail = "this name is not one of doorward's; call it by its address, or add the name to http.hosts".into();
        return Err((Reason::ForeignOrigin, ApiError::Forbidden(detail)));
    };
    if method.is_safe() {
        return Ok(());
    }
    let foreign = || (Reason::ForeignOrigin, ApiError::Forbidden("requests from other sites are refused".into()));
    if headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site" || site == "same-site") {
        return Err(foreign());
    }
    if let Some(origin) = headers.get(header::ORIGIN) {
        let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok()).ok_or_else(foreign)?;
        let same = origin.authority().is_some_and(|authority| authority.as_str() == host);
        let public = web.config().public_url.as_deref().and_then(|url| url.parse::<Uri>().ok());
        if !same && public.is_none_or(|public| public.authority() != origin.authority()) {
            return Err(foreign());
        }
    }
    Ok(())
}

/// Host must be one of `http.hosts`, an IP literal, localhost or the public host.
fn is_ours(web: &Web, host: &str) -> bool {
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map_or(host, |(name, _)| name);
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<IpAddr>().is_ok() || bare.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let public = web.config().public_url.as_deref().and_then(|url| url.parse::<Uri>().ok());
    web.config().hosts.iter().any(|own| own.eq_ignore_ascii_case(bare))
        || public.as_ref().and_then(Uri::host).is_some_and(|own| own.eq_ignore_ascii_case(bare))
}

/// What pages may do.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The same for a page with a form that is answered by leading to this address.
pub(crate) fn policy_with_forms_to(address: &str) -> Option<HeaderValue> {
    let origin = Url::parse(address).ok()?.origin().ascii_serialization();
    HeaderValue::from_str(&POLICY.replace("form-action 'self'", &format!("form-action 'self' {origin}"))).ok()
}

fn harden(headers: &mut HeaderMap, html: bool, sealed: bool) {
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // With `no-referrer` browsers send `Origin: null` with forms, also to us, and then no form of ours could be told from
        // a foreign one.
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()"),
    ];
    for (name, value) in fixed {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if sealed {
        // Browsers ignore it elsewhere, and complain.
        headers.entry("cross-origin-opener-policy").or_insert(HeaderValue::from_static("same-origin"));
    }
    if html {
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
}
