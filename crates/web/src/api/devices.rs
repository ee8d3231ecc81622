//! Devices of the fleet.

use super::{
    Items,
    doors::waits,
    json::Json,
    params::{At, Query, Sure},
};
use crate::{ApiError, ApiResult, Web, caller::Caller};
use axum::{extract::State, http::StatusCode};
use doorward_core::scope::Scope;
use doorward_fleet::{DeskError, Order, OrderError, Outcome, Stands};
use doorward_wire::{
    Time,
    device::{Device, Named, Provisioned},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

/// How long the answer of a device is waited for, if nothing else is said.
const WAIT: Duration = Duration::from_secs(10);
/// The longest time.
const LONGEST: Duration = Duration::from_mins(2);
/// Characters of a name.
const NAME: usize = 64;

pub(super) fn router() -> OpenApiRouter<Web> {
    OpenApiRouter::new()
        .routes(routes!(list, provision))
        .routes(routes!(show, revoke))
        .routes(routes!(renew))
        .routes(routes!(claim, close_claim))
        .routes(routes!(order))
}

/// A device that is to be provisioned.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewDevice {
    /// What it prints, 6 to 12 hexadecimal digits; or its MAC, with colons.
    #[schema(example = "A1B2C3D4E5F6")]
    id: String,
    /// What people call it.
    #[serde(default)]
    name: Option<String>,
}

/// Lists devices.
#[utoipa::path(get, path = "/devices", tag = "devices", responses((status = 200, body = Items<Device>)))]
async fn list(caller: Caller, State(web): State<Web>) -> ApiResult<Json<Items<Device>>> {
    caller.need(&Scope::Devices { provision_only: false })?;
    Ok(Json(Items::all(web.fleet().devices().await?)))
}

/// One device.
#[utoipa::path(get, path = "/devices/{id}", tag = "devices", params(("id" = String, Path)), responses((status = 200, body = Device)))]
async fn show(caller: Caller, State(web): State<Web>, At(id): At<String>) -> ApiResult<Json<Device>> {
    caller.need(&Scope::Devices { provision_only: false })?;
    let device = web.fleet().device(&named(&id)?.id).await?;
    device.map(Json).ok_or(ApiError::NotFound("device with this identifier"))
}

/// Provisions a device: gives it a user at the broker with the rights of its role. One that was provisioned before keeps its
/// credentials, and they are answered again.
#[utoipa::path(post, path = "/devices", tag = "devices", request_body = NewDevice,
    responses((status = 200, body = Provisioned), (status = 409, description = "Another device prints the same, or it was revoked.")))]
async fn provision(caller: Caller, State(web): State<Web>, Json(new): Json<NewDevice>) -> ApiResult<Json<Provisioned>> {
    caller.need_any(&[Scope::Devices { provision_only: true }, Scope::Devices { provision_only: false }])?;
    let named = named(&new.id)?;
    let name = new.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
    if name.is_some_and(|name| name.chars().count() > NAME || name.chars().any(char::is_control)) {
        return Err(ApiError::Unprocessable(format!("a name has at most {NAME} characters, and no line breaks")));
    }
    let device = web.fleet().provision(&named, name, &caller.actor).await?;
    Ok(Json(web.fleet().told(&device).await?))
}

/// Takes a device's rights and ends its connection. Its identifier stays known, so that nobody provisions it by mistake.
#[utoipa::path(delete, path = "/devices/{id}", tag = "devices", params(("id" = String, Path)), responses((status = 204)))]
async fn revoke(Sure(caller): Sure, State(web): State<Web>, At(id): At<String>) -> ApiResult<StatusCode> {
    caller.need(&Scope::Devices { provision_only: false })?;
    web.fleet().revoke(&named(&id)?.id, &caller.actor).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a device other secrets. One that was revoked has its rights again.
#[utoipa::path(post, path = "/devices/{id}/rotate", tag = "devices", params(("id" = String, Path)),
    responses((status = 200, body = Provisioned)))]
async fn renew(Sure(caller): Sure, State(web): State<Web>, At(id): At<String>) -> ApiResult<Json<Provisioned>> {
    caller.need(&Scope::Devices { provision_only: false })?;
    let device = web.fleet().renew(&named(&id)?.id, &caller.actor).await?;
    Ok(Json(web.fleet().told(&device).await?))
}

/// A claim: the device may fetch its credentials itself from the provisioning server.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewClaim {
    /// Seconds for which it stands; as `fleet.claim_for` says when it is left out.
    #[serde(default)]
    seconds: Option<u64>,
    /// It stands until it is closed: for firmware that asks again after each restart.
    #[serde(default)]
    until_closed: bool,
    /// The network from which it counts, such as `192.168.1.0/24`; from anywhere when it is left out.
    #[serde(default)]
    network: Option<String>,
}

/// A claim as it stands.
#[derive(Debug, Serialize, ToSchema)]
struct ClaimView {
    /// When it ends; `null` when it stands until it is closed.
    until: Option<Time>,
    /// The network from which it counts.
    network: Option<String>,
}

/// Lets a device fetch its credentials itself for a while. The first address that asks gets them; a second one ends the claim,
/// and the device gets other secrets.
#[utoipa::path(put, path = "/devices/{id}/claim", tag = "devices", params(("id" = String, Path)), request_body = NewClaim,
    responses((status = 200, body = ClaimView)))]
async fn claim(caller: Caller, State(web): State<Web>, At(id): At<String>, Json(new): Json<NewClaim>) -> ApiResult<Json<ClaimView>> {
    caller.need(&Scope::Devices { provision_only: false })?;
    let stands = match (new.seconds, new.until_closed) {
        (None, false) => Stands::Usual,
        (Some(seconds), false) => Stands::For(Duration::from_secs(seconds)),
        (None, true) => Stands::UntilClosed,
        (Some(_), true) => return Err(ApiError::Unprocessable("a claim has an end, or stands until it is closed".into())),
    };
    let claim = web.fleet().open_claim(&named(&id)?.id, stands, new.network.as_deref(), &caller.actor).await?;
    Ok(Json(ClaimView { until: claim.until, network: claim.network }))
}

/// Closes a claim.
#[utoipa::path(delete, path = "/devices/{id}/claim", tag = "devices", params(("id" = String, Path)), responses((status = 204)))]
async fn close_claim(Sure(caller): Sure, State(web): State<Web>, At(id): At<String>) -> ApiResult<StatusCode> {
    caller.need(&Scope::Devices { provision_only: false })?;
    if web.fleet().close_claim(&named(&id)?.id, &caller.actor).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::NotFound("claim of this device"))
    }
}

/// Something that a device is told.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, tag = "command", rename_all = "snake_case")]
enum DeviceCommand {
    /// It starts again.
    Restart,
    /// It does what its firmware calls this, and answers.
    Call {
        /// The method.
        method: String,
        /// Its parameters, any JSON.
        #[serde(default)]
        params: serde_json::Value,
    },
}

/// What came of a command.
#[derive(Debug, Serialize, ToSchema)]
struct DeviceAnswer {
    /// `answered`, `back` after a restart, or `silent` when nothing was heard in time: it may have done it all the same.
    outcome: &'static str,
    /// What it answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<serde_json::Value>,
}

/// How long an answer is waited for.
#[derive(Debug, Deserialize, IntoParams)]
struct Wait {
    /// Such as `30s`: 10 seconds when it is left out, 2 minutes at most.
    wait: Option<String>,
}

/// Tells a device to do something. Only one that is connected is told: nothing reaches it later.
#[utoipa::path(post, path = "/devices/{id}/commands", tag = "devices", params(("id" = String, Path), Wait), request_body = DeviceCommand,
    responses((status = 200, body = DeviceAnswer), (status = 409, description = "The device is not connected.")))]
async fn order(
    caller: Caller,
    State(web): State<Web>,
    At(id): At<String>,
    Query(Wait { wait }): Query<Wait>,
    Json(command): Json<DeviceCommand>,
) -> ApiResult<Json<DeviceAnswer>> {
    caller.need(&Scope::Devices { provision_only: false })?;
    let order = match command {
        DeviceCommand::Restart => Order::Restart,
        DeviceCommand::Call { method, params } => Order::Call { method, params },
    };
    let wait = waits(wait.as_deref())?.unwrap_or(WAIT).min(LONGEST);
    let outcome = web.fleet().order(&named(&id)?.id, &order, &caller.actor, wait).await?;
    let (outcome, answer) = match outcome {
        Outcome::Answered(answer) => ("answered", Some(answer)),
        Outcome::Back => ("back", None),
        Outcome::Silent => ("silent", None),
    };
    Ok(Json(DeviceAnswer { outcome, answer }))
}

impl From<OrderError> for ApiError {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::Store(error) => Self::Store(error),
            OrderError::Unknown => Self::NotFound("device with this identifier"),
            error @ OrderError::Method => Self::Unprocessable(error.to_string()),
            error @ (OrderError::Away | OrderError::Busy | OrderError::Broker) => Self::Conflict(error.to_string()),
        }
    }
}

fn named(text: &str) -> ApiResult<Named> {
    text.parse().map_err(|error| ApiError::Unprocessable(format!("a device's identifier {error}")))
}

impl From<DeskError> for ApiError {
    fn from(error: DeskError) -> Self {
        match error {
            DeskError::Store(error) => Self::Store(error),
            DeskError::Unknown => Self::NotFound("device with this identifier that has rights"),
            error @ (DeskError::Network(_) | DeskError::Span) => Self::Unprocessable(error.to_string()),
            error @ (DeskError::Collides(_) | DeskError::Taken | DeskError::Revoked | DeskError::TooMany | DeskError::Full) => {
                Self::Conflict(error.to_string())
            }
        }
    }
}
