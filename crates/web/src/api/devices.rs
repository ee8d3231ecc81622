//! Devices of the fleet.

use super::{
    Items,
    doors::waits,
    json::Json,
    params::{At, Query, Sure},
    routes::{Routes, routes},
};
use crate::{ApiError, ApiResult, Web, caller::Caller};
use axum::{extract::State, http::StatusCode};
use doorward_core::scope::Scope;
use doorward_fleet::{DeskError, Finding, Looked, Order, OrderError, Outcome, Stands, Wish};
use doorward_wire::{
    Time,
    device::{Device, DeviceId, Named, Provisioned},
    firmware::Hardware,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};

/// How long the answer of a device is waited for, if nothing else is said.
const WAIT: Duration = Duration::from_secs(10);
/// The longest time.
const LONGEST: Duration = Duration::from_mins(2);
/// Devices of one batch.
const BATCH: usize = 200;
/// Devices that the doctor looks at in one request.
const SOME: usize = 20;
/// Characters of a name.
const NAME: usize = 64;

pub(super) fn router() -> Routes {
    Routes::new()
        .routes(routes!(list, provision))
        .routes(routes!(show, edit, revoke))
        .routes(routes!(renew))
        .routes(routes!(claim, close_claim))
        .routes(routes!(batch))
        .routes(routes!(order))
        .routes(routes!(doctor))
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
    let Wish { device, name } = wish(&new)?;
    let device = web.fleet().provision(&device, name.as_deref(), &caller.actor).await?;
    Ok(Json(web.fleet().told(&device).await?))
}

fn wish(new: &NewDevice) -> ApiResult<Wish> {
    let device = named(&new.id)?;
    let name = new.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
    if name.is_some_and(|name| name.chars().count() > NAME || name.chars().any(char::is_control)) {
        return Err(ApiError::Unprocessable(format!("a name has at most {NAME} characters, and no line breaks")));
    }
    Ok(Wish { device, name: name.map(str::to_owned) })
}

/// Devices that are to be provisioned together.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewDevices {
    /// 200 at most.
    devices: Vec<NewDevice>,
}

/// What came of one of them.
#[derive(Debug, Serialize, ToSchema)]
struct BatchResult {
    /// As it was named.
    id: String,
    /// Its credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<Provisioned>,
    /// Why it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Provisions devices, all in one commit. What came of each is answered in their order; one that is wrong stops no other.
#[utoipa::path(post, path = "/devices/batch", tag = "devices", request_body = NewDevices,
    responses((status = 200, body = Items<BatchResult>)))]
async fn batch(caller: Caller, State(web): State<Web>, Json(new): Json<NewDevices>) -> ApiResult<Json<Items<BatchResult>>> {
    caller.need_any(&[Scope::Devices { provision_only: true }, Scope::Devices { provision_only: false }])?;
    if new.devices.len() > BATCH {
        return Err(ApiError::Unprocessable(format!("{BATCH} devices at most are provisioned together")));
    }
    let ids: Vec<String> = new.devices.iter().map(|device| device.id.clone()).collect();
    let mut results: Vec<Option<Result<Provisioned, String>>> = Vec::new();
    let mut wishes = Vec::new();
    for device in new.devices {
        results.push(match wish(&device) {
            Ok(wish) => {
                wishes.push(wish);
                None
            }
            Err(error) => Some(Err(error.to_string())),
        });
    }
    let zone = web.fleet().zone().await?;
    let stored = web.fleet().provision_many(&wishes, &caller.actor).await?;
    let mut stored =
        stored.into_iter().map(|device| device.map(|device| web.fleet().told_in(&device, &zone)).map_err(|error| error.to_string()));
    let results = results.into_iter().map(|wrong| wrong.or_else(|| stored.next()).unwrap_or_else(|| Err("try again".into())));
    let item = |(id, result): (String, Result<Provisioned, String>)| match result {
        Ok(device) => BatchResult { id, device: Some(device), error: None },
        Err(error) => BatchResult { id, device: None, error: Some(error) },
    };
    Ok(Json(Items::all(ids.into_iter().zip(results).map(item).collect())))
}

/// What changes about a device.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DeviceEdit {
    /// What people call it; nothing when it is left out.
    #[serde(default)]
    name: Option<String>,
    /// Its hardware; the fleet's usual one when it is left out.
    #[serde(default)]
    hardware: Option<Hardware>,
}

/// Says what people call a device, and its hardware.
#[utoipa::path(patch, path = "/devices/{id}", tag = "devices", params(("id" = String, Path)), request_body = DeviceEdit,
    responses((status = 200, body = Device)))]
async fn edit(caller: Caller, State(web): State<Web>, At(id): At<String>, Json(edit): Json<DeviceEdit>) -> ApiResult<Json<Device>> {
    caller.need(&Scope::Devices { provision_only: false })?;
    let Wish { device, name } = wish(&NewDevice { id, name: edit.name })?;
    web.fleet().edit(&device.id, name.as_deref(), edit.hardware.as_ref(), &caller.actor).await?;
    let device = web.fleet().device(&device.id).await?;
    device.map(Json).ok_or(ApiError::NotFound("device with this identifier"))
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

/// Which devices are compared.
#[derive(Debug, Deserialize, IntoParams)]
struct Rest {
    /// Those after this one; from the beginning when it is left out.
    after: Option<String>,
}

/// What the doctor is to do.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Doctor {
    /// Put right what differs.
    #[serde(default)]
    repair: bool,
}

/// Something that differs.
#[derive(Debug, Serialize, ToSchema)]
struct DeviceFinding {
    /// The device.
    device: DeviceId,
    /// What is wrong.
    what: String,
    /// Whether it was put right.
    repaired: bool,
    /// Why it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// What was compared.
#[derive(Debug, Serialize, ToSchema)]
struct DeviceFindings {
    /// How many devices.
    devices: usize,
    /// What differs.
    findings: Vec<DeviceFinding>,
    /// Where it goes on: the next `after`.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<DeviceId>,
}

/// Compares the users that devices should have at another broker with those that they have: each device's credentials are tried,
/// twenty devices at a time. A device that is connected loses its connection for a moment.
#[utoipa::path(post, path = "/devices/doctor", tag = "devices", params(Rest), request_body = Doctor,
    responses((status = 200, body = DeviceFindings)))]
async fn doctor(
    caller: Caller,
    State(web): State<Web>,
    Query(Rest { after }): Query<Rest>,
    Json(Doctor { repair }): Json<Doctor>,
) -> ApiResult<Json<DeviceFindings>> {
    caller.need(&Scope::Devices { provision_only: false })?;
    let after = after.as_deref().map(named).transpose()?.map(|named| named.id);
    let Looked { devices, findings, next } = web.fleet().doctor(after.as_ref(), SOME, repair).await?;
    let finding = |Finding { device, what, repaired, why }| DeviceFinding { device, what, repaired, why };
    Ok(Json(DeviceFindings { devices, findings: findings.into_iter().map(finding).collect(), next }))
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
    /// `answered`, `back` after a restart (`told` where the broker does not tell who comes back), or `silent` when nothing was heard in time: it may have done it all the same.
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
        Outcome::Told => ("told", None),
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
            DeskError::Pending(error) => Self::Pending(error),
            error @ (DeskError::Network(_) | DeskError::Span) => Self::Unprocessable(error.to_string()),
            error @ (DeskError::Collides(_) | DeskError::Taken | DeskError::Revoked | DeskError::TooMany | DeskError::Full) => {
                Self::Conflict(error.to_string())
            }
        }
    }
}
