//! The provisioning server, on a listener of its own: what the original's clients and the devices in the field ask for.
//!
//! A bearer token gives a device its credentials; whoever has none learns nothing, and what is secret goes over TLS or stays
//! on this machine.

use crate::{DeskError, Fleet, desk::local, download};
use axum::{
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use doorward_core::{Secret, scope::Scope};
use doorward_http::network::{contains, is_forwarded};
use doorward_listen::{Answer, Bounds, Request, limits::Trial, source, too_many};
use doorward_store::{StoreError, StoredDevice};
use doorward_wire::{
    attempt::{Actor, ActorKind, Reason},
    device::{DeviceId, Named},
    firmware::Version,
};
use serde::Serialize;
use serde_json::json;
use std::net::IpAddr;

/// Connections from one network: a site has many devices.
const FROM_ONE: usize = 1024;
/// What the original calls itself; its clients look for it.
const SERVICE: &str = "ble-gateway-config";

/// What the listener allows.
pub(crate) fn bounds(fleet: &Fleet) -> Bounds {
    let options = fleet.options();
    Bounds { connections: options.connections, from_one: FROM_ONE, proxies: options.proxies.clone(), patience: options.patience }
}

impl Answer for Fleet {
    async fn answer(&self, peer: IpAddr, request: Request) -> Response {
        let asked = Asked::of(self, peer, request.headers());
        route(self, &asked, &request).await.unwrap_or_else(IntoResponse::into_response)
    }

    fn full(&self) {
        metrics::counter!("doorward_fleet_refused_total", "reason" => "connections").increment(1);
    }
}

/// From where somebody asks.
pub(crate) struct Asked {
    /// As far as anybody knows, for bounds.
    pub(crate) source: Option<IpAddr>,
    /// The address of whoever asks, also on this machine; nobody's behind a proxy that is not named.
    address: Option<IpAddr>,
    /// Nobody on the way can read the answer.
    sealed: bool,
}

impl Asked {
    fn of(fleet: &Fleet, peer: IpAddr, headers: &HeaderMap) -> Self {
        let proxies = &fleet.options().proxies;
        let sealed = if contains(proxies, peer) {
            headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https")
        } else {
            fleet.has_tls() || (peer.is_loopback() && !is_forwarded(headers))
        };
        let source = source(proxies, peer, headers);
        let direct = !contains(proxies, peer) && !is_forwarded(headers);
        Self { source, address: source.or(direct.then_some(peer)), sealed: sealed || fleet.options().plain_http }
    }
}

/// Why somebody is refused, as the original's clients read it.
pub(crate) struct Refused {
    status: StatusCode,
    error: String,
}

impl Refused {
    pub(crate) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, error: error.into() }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            return too_many();
        }
        (self.status, answered(&json!({ "error": self.error }))).into_response()
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the provisioning server cannot use the store");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Try again later")
    }
}

impl From<DeskError> for Refused {
    fn from(error: DeskError) -> Self {
        let status = match error {
            DeskError::Store(error) => return error.into(),
            DeskError::Collides(_) | DeskError::Taken | DeskError::Revoked => StatusCode::CONFLICT,
            DeskError::Unknown => StatusCode::NOT_FOUND,
            DeskError::Network(_) | DeskError::Span => StatusCode::UNPROCESSABLE_ENTITY,
            DeskError::Pending(_) => StatusCode::SERVICE_UNAVAILABLE,
            DeskError::TooMany | DeskError::Full => StatusCode::INSUFFICIENT_STORAGE,
        };
        Self::new(status, error.to_string())
    }
}

async fn route(fleet: &Fleet, asked: &Asked, request: &Request) -> Result<Response, Refused> {
    let path = request.uri().path().trim_start_matches('/');
    let query = request.uri().query().unwrap_or_default();
    let (method, headers) = (request.method(), request.headers());
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    let wrong_method = || Refused::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    match path.split_once('/') {
        None if path == "health" => Ok(answered(&health(fleet))),
        None if path == "devices" && is_read => devices(fleet, asked, headers).await,
        Some(("provision", id)) if *method == Method::POST => provision(fleet, asked, headers, id).await,
        Some(("provision", _)) => Err(wrong_method()),
        Some(("firmware", rest)) if is_read => download::answer(fleet, asked, headers, rest, query).await,
        None if !is_read => Err(wrong_method()),
        None => configuration(fleet, asked, headers, path).await,
        Some(_) => Err(Refused::new(StatusCode::NOT_FOUND, "Not Found")),
    }
}

fn health(fleet: &Fleet) -> serde_json::Value {
    json!({ "status": "healthy", "timestamp": fleet.house().now().utc.to_string(), "service": SERVICE })
}

async fn provision(fleet: &Fleet, asked: &Asked, headers: &HeaderMap, id: &str) -> Result<Response, Refused> {
    let actor = bearer(fleet, asked, headers, &[Scope::Devices { provision_only: true }, Scope::Devices { provision_only: false }]).await?;
    let named: Named = id.parse().map_err(|_| Refused::new(StatusCode::BAD_REQUEST, "Invalid device ID"))?;
    let device = fleet.provision(&named, None, &actor).await?;
    Ok(answered(&fleet.told(&device).await?))
}

/// What a device in the field asks for when it starts. Without a right to them its secrets are absent, never empty: the firmware
/// takes what is there for its own.
#[derive(Serialize)]
struct Configuration<'a> {
    device_id: &'a DeviceId,
    company: &'a str,
    development: &'a str,
    timestamp: i64,
    mqtt_host: &'a str,
    mqtt_port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    mqtt_user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mqtt_password: Option<&'a str>,
    mqtt_use_tls: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    firmware: Option<Offered>,
}

/// Firmware that a device should fetch. Its address is the device's own, and as secret as its password.
#[derive(Serialize)]
struct Offered {
    version: Version,
    url: String,
    size: i64,
    checksum: String,
}

async fn configuration(fleet: &Fleet, asked: &Asked, headers: &HeaderMap, id: &str) -> Result<Response, Refused> {
    let Ok(id) = id.parse::<DeviceId>() else { return Err(Refused::new(StatusCode::BAD_REQUEST, "Invalid device ID format")) };
    let now = fleet.house().now();
    if fleet.limits().ask(asked.source, now.mono) == Trial::Closed {
        refuse(fleet, asked, Reason::RateLimited);
        return Err(Refused::new(StatusCode::TOO_MANY_REQUESTS, ""));
    }
    let device = fleet.house().store().device(&id).await?.filter(|device| device.revoked.is_none());
    let Some(device) = device else {
        // Whoever goes through all identifiers learns slowly which ones there are.
        fleet.limits().failed(asked.source, now.mono);
        return Err(Refused::new(StatusCode::NOT_FOUND, "Not Found"));
    };
    let given = headers.get("x-device-token").and_then(|token| token.to_str().ok()).filter(|token| !token.is_empty());
    let is_own = given.is_some_and(|given| same(device.secrets.token.reveal(), given));
    if given.is_some() && !is_own {
        fleet.limits().failed(asked.source, now.mono);
        refuse(fleet, asked, Reason::NotAuthenticated);
    }
    let told = match asked.address {
        _ if !asked.sealed => false,
        _ if is_own => true,
        Some(address) if given.is_none() => fleet.claims(&device, address).await?,
        Some(_) | None => false,
    };
    let (options, secrets) = (fleet.options(), told.then_some(&device));
    let firmware = if told { offered(fleet, &device).await? } else { None };
    Ok(answered(&Configuration {
        device_id: &device.id,
        company: &options.company,
        development: &options.development,
        timestamp: now.utc.as_micros() / 1_000_000,
        mqtt_host: &options.broker.host,
        mqtt_port: options.broker.port,
        mqtt_user: secrets.map(|device| device.user.as_str()),
        mqtt_password: secrets.map(|device| device.secrets.password.reveal().as_str()),
        mqtt_use_tls: options.broker.tls,
        firmware,
    }))
}

/// What a device is offered at this moment.
async fn offered(fleet: &Fleet, device: &StoredDevice) -> Result<Option<Offered>, StoreError> {
    let Some(offer) = fleet.open_offer(&device.id) else { return Ok(None) };
    let image = fleet.house().store().firmware(&offer.hardware, &offer.version).await?;
    Ok(image.map(|image| Offered {
        url: fleet.firmware_url(device, &image.version),
        version: image.version,
        size: image.size,
        checksum: image.sha256,
    }))
}

async fn devices(fleet: &Fleet, asked: &Asked, headers: &HeaderMap) -> Result<Response, Refused> {
    bearer(fleet, asked, headers, &[Scope::Devices { provision_only: false }]).await?;
    let zone = fleet.zone().await?;
    let devices: Vec<serde_json::Value> = fleet
        .devices()
        .await?
        .into_iter()
        .map(|device| {
            json!({
                "device_id": device.id,
                "firmware_version": device.firmware.as_deref().unwrap_or("unknown"),
                "last_seen": device.seen.map_or_else(|| "never".into(), |seen| local(seen, &zone)),
                "registered_at": local(device.provisioned, &zone),
            })
        })
        .collect();
    let total = devices.len();
    Ok(answered(&json!({ "devices": devices, "total": total })))
}

/// Who shows a token with one of these scopes. Nothing else is looked at before.
async fn bearer(fleet: &Fleet, asked: &Asked, headers: &HeaderMap, scopes: &[Scope]) -> Result<Actor, Refused> {
    if !asked.sealed {
        refuse(fleet, asked, Reason::NotAuthenticated);
        let detail = "TLS required: call https, or from this machine, or set fleet.plain_http";
        return Err(Refused::new(StatusCode::FORBIDDEN, detail));
    }
    let now = fleet.house().now();
    if fleet.limits().ask(asked.source, now.mono) == Trial::Closed {
        refuse(fleet, asked, Reason::RateLimited);
        return Err(Refused::new(StatusCode::TOO_MANY_REQUESTS, ""));
    }
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| value.strip_prefix("Bearer "));
    let unauthorized = || Refused::new(StatusCode::UNAUTHORIZED, "Unauthorized");
    let Some(given) = given.map(Secret::from) else {
        refuse(fleet, asked, Reason::NotAuthenticated);
        return Err(unauthorized());
    };
    if fleet.options().admin_token.as_ref().is_some_and(|own| same(own.reveal(), given.reveal())) {
        return Ok(Actor { kind: ActorKind::Token, id: "fleet.admin_token".into(), name: None });
    }
    let Some(token) = fleet.house().store().find_token(&given, now.utc).await? else {
        fleet.limits().failed(asked.source, now.mono);
        refuse(fleet, asked, Reason::NotAuthenticated);
        return Err(unauthorized());
    };
    if !token.scopes.iter().any(|scope| *scope == Scope::Admin || scopes.contains(scope)) {
        refuse(fleet, asked, Reason::NoGrant);
        return Err(Refused::new(StatusCode::FORBIDDEN, "this token has not the scope that this needs"));
    }
    Ok(Actor { kind: ActorKind::Token, id: token.id, name: Some(token.name) })
}

pub(crate) fn refuse(fleet: &Fleet, asked: &Asked, reason: Reason) {
    metrics::counter!("doorward_fleet_refused_total", "reason" => reason.as_str()).increment(1);
    fleet.house().refused(reason, asked.source);
}

/// Compares without telling by its time how much is right.
pub(crate) fn same(own: &str, given: &str) -> bool {
    use aws_lc_rs::{constant_time::verify_slices_are_equal, digest};
    let digest = |text: &str| digest::digest(&digest::SHA256, text.as_bytes());
    verify_slices_are_equal(digest(own).as_ref(), digest(given).as_ref()).is_ok()
}

fn answered(body: &(impl Serialize + ?Sized)) -> Response {
    let body = serde_json::to_string(body).unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], body).into_response()
}
