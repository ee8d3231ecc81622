//! Firmware of the fleet.

use super::{
    Items,
    json::Json,
    params::{At, Query, Sure},
    routes::{Routes, routes},
};
use crate::{ApiError, ApiResult, Web, caller::Caller};
use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use doorward_core::scope::Scope;
use doorward_fleet::{FirmwareError, OfferError, Upload};
use doorward_store::{DeviceOffer, Firmware};
use doorward_wire::{
    Time,
    device::{DeviceId, Named},
    firmware::{Channel, Hardware, Version},
};
use futures_util::{Stream, StreamExt, stream};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};

/// How long an upload may say nothing.
const PATIENCE: Duration = Duration::from_secs(30);
const DEVICES: Scope = Scope::Devices { provision_only: false };

pub(super) fn router() -> Routes {
    Routes::new().routes(routes!(list, add)).routes(routes!(key)).routes(routes!(edit, remove)).routes(routes!(offered, offer, withdraw))
}

/// Firmware.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FirmwareView {
    /// What it is for.
    hardware: Hardware,
    /// Its version.
    version: Version,
    /// What runs this may not go back behind it.
    min_version: Version,
    /// For whom it is meant.
    channel: Channel,
    /// What people should know of it.
    notes: String,
    /// Its bytes.
    size: i64,
    /// Its SHA-256.
    sha256: String,
    /// Its Ed25519 signature, in Base64.
    signature: String,
    /// When it was added.
    created: Time,
}

impl From<Firmware> for FirmwareView {
    fn from(firmware: Firmware) -> Self {
        let Firmware { hardware, version, min_version, channel, notes, size, sha256, signature, created } = firmware;
        Self { hardware, version, min_version, channel, notes, size, sha256, signature, created }
    }
}

/// Lists firmware.
#[utoipa::path(get, path = "/firmware", tag = "devices", responses((status = 200, body = Items<FirmwareView>)))]
async fn list(caller: Caller, State(web): State<Web>) -> ApiResult<Json<Items<FirmwareView>>> {
    caller.need(&DEVICES)?;
    let all = web.fleet().all_firmware().await?;
    Ok(Json(Items::all(all.into_iter().map(FirmwareView::from).collect())))
}

/// What is said of an image.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct NewFirmware {
    /// What it is for; `fleet.hardware` when it is left out.
    #[param(value_type = Option<String>)]
    hardware: Option<Hardware>,
    /// Its version; as the image says when it is left out.
    #[param(value_type = Option<String>)]
    version: Option<Version>,
    /// A device that runs this may not go back behind it.
    #[param(value_type = Option<String>)]
    min_version: Option<Version>,
    /// For whom it is meant; `draft` when it is left out.
    channel: Option<Channel>,
    /// What people should know of it.
    notes: Option<String>,
    /// The SHA-256 that the image should have.
    sha256: Option<String>,
}

/// Takes an image in: the body is its bytes. It is hashed and signed; nothing is kept of one that is not taken.
#[utoipa::path(post, path = "/firmware", tag = "devices", params(NewFirmware),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, body = FirmwareView), (status = 409, description = "There is firmware of this version.")))]
async fn add(
    Sure(caller): Sure,
    State(web): State<Web>,
    Query(new): Query<NewFirmware>,
    body: Body,
) -> ApiResult<(StatusCode, Json<FirmwareView>)> {
    caller.need(&DEVICES)?;
    let NewFirmware { hardware, version, min_version, channel, notes, sha256 } = new;
    let upload = Upload { hardware, version, min_version, channel, notes: notes.unwrap_or_default(), sha256 };
    let made = web.fleet().upload(upload, patiently(body), &caller.actor).await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

/// The bytes of a body, as long as they come.
fn patiently(body: Body) -> impl Stream<Item = Result<Bytes, String>> {
    stream::unfold(body.into_data_stream(), |mut bytes| async {
        let next = tokio::time::timeout(PATIENCE, bytes.next()).await;
        let next = next.unwrap_or_else(|_| Some(Err(axum::Error::new("nothing came for half a minute"))))?;
        Some((next.map_err(|error| error.to_string()), bytes))
    })
}

/// The public key with which devices check signatures, as PEM.
#[utoipa::path(get, path = "/firmware/key", tag = "devices",
    responses((status = 200, content_type = "application/x-pem-file", body = String)))]
async fn key(caller: Caller, State(web): State<Web>) -> ApiResult<Response> {
    caller.need(&DEVICES)?;
    let pem = web.fleet().firmware_public_key().await?;
    Ok(([(header::CONTENT_TYPE, "application/x-pem-file")], pem).into_response())
}

/// What changes about firmware.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct FirmwareEdit {
    /// For whom it is meant.
    #[serde(default)]
    channel: Option<Channel>,
    /// What people should know of it.
    #[serde(default)]
    notes: Option<String>,
}

async fn find(web: &Web, hardware: &str, version: &str) -> ApiResult<Firmware> {
    let (Ok(hardware), Ok(version)) = (hardware.parse::<Hardware>(), version.parse::<Version>()) else {
        return Err(FirmwareError::Unknown.into());
    };
    Ok(web.house().store().firmware(&hardware, &version).await?.ok_or(FirmwareError::Unknown)?)
}

/// Says for whom firmware is meant, and what people should know of it.
#[utoipa::path(patch, path = "/firmware/{hardware}/{version}", tag = "devices",
    params(("hardware" = String, Path), ("version" = String, Path)), request_body = FirmwareEdit,
    responses((status = 200, body = FirmwareView)))]
async fn edit(
    caller: Caller,
    State(web): State<Web>,
    At((hardware, version)): At<(String, String)>,
    Json(edit): Json<FirmwareEdit>,
) -> ApiResult<Json<FirmwareView>> {
    caller.need(&DEVICES)?;
    let before = find(&web, &hardware, &version).await?;
    let after = Firmware { channel: edit.channel.unwrap_or(before.channel), notes: edit.notes.unwrap_or(before.notes.clone()), ..before };
    web.fleet().edit_firmware(&after, &caller.actor).await?;
    Ok(Json(after.into()))
}

/// Removes firmware.
#[utoipa::path(delete, path = "/firmware/{hardware}/{version}", tag = "devices",
    params(("hardware" = String, Path), ("version" = String, Path)), responses((status = 204)))]
async fn remove(Sure(caller): Sure, State(web): State<Web>, At((hardware, version)): At<(String, String)>) -> ApiResult<StatusCode> {
    caller.need(&DEVICES)?;
    let firmware = find(&web, &hardware, &version).await?;
    web.fleet().remove_firmware(&firmware.hardware, &firmware.version, &caller.actor).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a device is offered, or was.
#[derive(Debug, Serialize, ToSchema)]
struct OfferView {
    /// The device.
    device: DeviceId,
    /// The version.
    version: Version,
    /// `offered`, `downloading`, `updating`, `restarting`, `done`, `failed` or `withdrawn`.
    state: String,
    /// Per cent of the image.
    progress: i64,
    /// What went wrong.
    error: Option<String>,
    /// How often this version was offered.
    tries: i64,
    /// When it was offered.
    offered: Time,
    /// When it last changed.
    changed: Time,
}

impl From<DeviceOffer> for OfferView {
    fn from(offer: DeviceOffer) -> Self {
        let DeviceOffer { device, version, state, progress, error, tries, offered, changed, .. } = offer;
        Self { device, version, state, progress, error, tries, offered, changed }
    }
}

/// Firmware for one device.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewOffer {
    /// Its version.
    version: Version,
    /// It may be older than what the device runs.
    #[serde(default)]
    back: bool,
}

fn named(id: &str) -> ApiResult<DeviceId> {
    id.parse::<Named>().map(|named| named.id).map_err(|error| ApiError::Unprocessable(format!("a device's identifier {error}")))
}

/// What a device is offered, or was last.
#[utoipa::path(get, path = "/devices/{id}/firmware", tag = "devices", params(("id" = String, Path)),
    responses((status = 200, body = OfferView)))]
async fn offered(caller: Caller, State(web): State<Web>, At(id): At<String>) -> ApiResult<Json<OfferView>> {
    caller.need(&DEVICES)?;
    let offer = web.fleet().offer_of(&named(&id)?).await?;
    offer.map(|offer| Json(offer.into())).ok_or(ApiError::NotFound("firmware that this device was offered"))
}

/// Offers firmware to one device: at once when it is connected, else when it comes back.
#[utoipa::path(post, path = "/devices/{id}/firmware", tag = "devices", params(("id" = String, Path)), request_body = NewOffer,
    responses((status = 200, body = OfferView), (status = 409, description = "The device runs it already, or may not go back to it.")))]
async fn offer(caller: Caller, State(web): State<Web>, At(id): At<String>, Json(new): Json<NewOffer>) -> ApiResult<Json<OfferView>> {
    caller.need(&DEVICES)?;
    Ok(Json(web.fleet().offer(&named(&id)?, &new.version, new.back, &caller.actor).await?.into()))
}

/// Takes an offer back. A device that has begun may go on all the same.
#[utoipa::path(delete, path = "/devices/{id}/firmware", tag = "devices", params(("id" = String, Path)), responses((status = 204)))]
async fn withdraw(Sure(caller): Sure, State(web): State<Web>, At(id): At<String>) -> ApiResult<StatusCode> {
    caller.need(&DEVICES)?;
    let was_open = web.fleet().withdraw(&named(&id)?, &caller.actor).await?;
    if was_open { Ok(StatusCode::NO_CONTENT) } else { Err(ApiError::NotFound("offer to this device that is under way")) }
}

impl From<FirmwareError> for ApiError {
    fn from(error: FirmwareError) -> Self {
        match error {
            FirmwareError::Store(error) => Self::Store(error),
            FirmwareError::Unknown => Self::NotFound("firmware of this version for this hardware"),
            error @ (FirmwareError::Taken | FirmwareError::Full) => Self::Conflict(error.to_string()),
            error @ (FirmwareError::Image(_)
            | FirmwareError::TooLarge(_)
            | FirmwareError::Version
            | FirmwareError::Checksum(_)
            | FirmwareError::Interrupted(_)
            | FirmwareError::Notes
            | FirmwareError::MinVersion) => Self::Unprocessable(error.to_string()),
        }
    }
}

impl From<OfferError> for ApiError {
    fn from(error: OfferError) -> Self {
        match error {
            OfferError::Store(error) => Self::Store(error),
            OfferError::Device => Self::NotFound("device with this identifier that has rights"),
            OfferError::Firmware => Self::NotFound("firmware of this version for the hardware of this device"),
            error @ (OfferError::Runs | OfferError::Older(_) | OfferError::TooOld(_) | OfferError::NoListener) => {
                Self::Conflict(error.to_string())
            }
        }
    }
}
