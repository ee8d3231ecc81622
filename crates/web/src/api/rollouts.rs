//! Rollouts of firmware.

use super::{
    Items,
    json::Json,
    params::{At, Sure},
    routes::{Routes, routes},
};
use crate::{ApiError, ApiResult, Web, caller::Caller};
use axum::{extract::State, http::StatusCode};
use doorward_core::{
    rollout::{Plan, Tally},
    scope::Scope,
};
use doorward_fleet::{RolloutError, RolloutView as Stood, Turn};
use doorward_store::RolloutDevice;
use doorward_wire::{
    Time,
    device::DeviceId,
    firmware::{Hardware, Version},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const DEVICES: Scope = Scope::Devices { provision_only: false };

pub(super) fn router() -> Routes {
    Routes::new().routes(routes!(list, add)).routes(routes!(show)).routes(routes!(devices)).routes(routes!(turn))
}

/// How a group of devices stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GroupView {
    /// Per cent of all devices that are reached when it is through.
    pub(crate) per_cent: u8,
    /// Not offered it yet, and connected.
    pub(crate) waiting: u32,
    /// Not offered it yet, and not connected.
    pub(crate) absent: u32,
    /// Offered it.
    pub(crate) under_way: u32,
    /// They run it.
    pub(crate) done: u32,
    /// They were tried as often as they may be.
    pub(crate) failed: u32,
}

/// A rollout.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RolloutView {
    /// Its identifier.
    pub(crate) id: String,
    /// For which devices.
    pub(crate) hardware: Hardware,
    /// What they are to run.
    pub(crate) version: Version,
    /// `draft`, `approved`, `running`, `paused`, `done`, `stopped` or `rolled_back`.
    pub(crate) state: String,
    /// Why it stands so.
    pub(crate) detail: Option<String>,
    /// The group that has begun last, from 0.
    pub(crate) group: usize,
    /// Its groups.
    pub(crate) groups: Vec<GroupView>,
    /// Per cent of a group that must run it before the next one begins.
    pub(crate) success: u8,
    /// Per cent that may fail.
    pub(crate) errors: u8,
    /// How often a device is offered it.
    pub(crate) tries: u32,
    /// Devices under way at the same time.
    pub(crate) at_once: u32,
    /// When devices are offered it: from, and until before, such as `02:00`.
    pub(crate) window: Option<[String; 2]>,
    /// When it was made.
    pub(crate) created: Time,
    /// When it last changed.
    pub(crate) changed: Time,
}

impl From<Stood> for RolloutView {
    fn from(Stood { rollout, tallies }: Stood) -> Self {
        let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        let group = |(per_cent, tally): (&u8, Tally)| {
            let Tally { waiting, absent, under_way, done, failed } = tally;
            GroupView { per_cent: *per_cent, waiting, absent, under_way, done, failed }
        };
        Self {
            groups: rollout.plan.groups.iter().zip(tallies).map(group).collect(),
            window: rollout.plan.window.map(|(from, until)| [time(from), time(until)]),
            id: rollout.id,
            hardware: rollout.hardware,
            version: rollout.version,
            state: rollout.state.to_string(),
            detail: rollout.detail,
            group: rollout.group,
            success: rollout.plan.success,
            errors: rollout.plan.errors,
            tries: rollout.plan.tries,
            at_once: rollout.plan.at_once,
            created: rollout.created,
            changed: rollout.changed,
        }
    }
}

/// Lists rollouts, newest first.
#[utoipa::path(get, path = "/rollouts", tag = "devices", responses((status = 200, body = Items<RolloutView>)))]
async fn list(caller: Caller, State(web): State<Web>) -> ApiResult<Json<Items<RolloutView>>> {
    caller.need(&DEVICES)?;
    let all = web.fleet().rollouts().await?;
    Ok(Json(Items::all(all.into_iter().map(RolloutView::from).collect())))
}

/// A rollout that is to be made. What is left out is as it usually is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRollout {
    /// What devices are to run.
    pub(crate) version: Version,
    /// For which devices; `fleet.hardware` when it is left out.
    #[serde(default)]
    pub(crate) hardware: Option<Hardware>,
    /// Per cent of the devices that each group reaches; the last one reaches 100.
    #[serde(default)]
    pub(crate) groups: Option<Vec<u8>>,
    /// Per cent of a group that must run it before the next one begins.
    #[serde(default)]
    pub(crate) success: Option<u8>,
    /// Per cent that may fail.
    #[serde(default)]
    pub(crate) errors: Option<u8>,
    /// How often a device is offered it.
    #[serde(default)]
    pub(crate) tries: Option<u32>,
    /// Devices under way at the same time.
    #[serde(default)]
    pub(crate) at_once: Option<u32>,
    /// When devices are offered it, in the time zone of the house, such as `["02:00", "05:00"]`.
    #[serde(default)]
    pub(crate) window: Option<[String; 2]>,
}

/// Makes a rollout. Nothing is offered before somebody approves it.
#[utoipa::path(post, path = "/rollouts", tag = "devices", request_body = NewRollout,
    responses((status = 201, body = RolloutView)))]
async fn add(caller: Caller, State(web): State<Web>, Json(new): Json<NewRollout>) -> ApiResult<(StatusCode, Json<RolloutView>)> {
    caller.need(&DEVICES)?;
    let made = plan(&web, &caller, new).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

pub(crate) async fn plan(web: &Web, caller: &Caller, new: NewRollout) -> ApiResult<RolloutView> {
    let usual = Plan::default();
    let window = new.window.as_ref().map(|[from, until]| Ok::<_, ApiError>((minute(from)?, minute(until)?))).transpose()?;
    let plan = Plan {
        groups: new.groups.unwrap_or(usual.groups),
        success: new.success.unwrap_or(usual.success),
        errors: new.errors.unwrap_or(usual.errors),
        tries: new.tries.unwrap_or(usual.tries),
        at_once: new.at_once.unwrap_or(usual.at_once),
        window,
    };
    let made = web.fleet().plan_rollout(new.hardware.as_ref(), &new.version, plan, &caller.actor).await?;
    found(web, &made.id).await
}

/// The minute of the day of `02:00`.
fn minute(text: &str) -> ApiResult<u16> {
    let wrong = || ApiError::Unprocessable(format!("“{text}” is no time of day such as 02:00"));
    let time: jiff::civil::Time = format!("{}:00", text.trim()).parse().map_err(|_| wrong())?;
    u16::try_from(i32::from(time.hour()) * 60 + i32::from(time.minute())).map_err(|_| wrong())
}

pub(crate) async fn found(web: &Web, id: &str) -> ApiResult<RolloutView> {
    let view = web.fleet().rollout(id).await?;
    view.map(RolloutView::from).ok_or(ApiError::NotFound("rollout with this identifier"))
}

/// One rollout.
#[utoipa::path(get, path = "/rollouts/{id}", tag = "devices", params(("id" = String, Path)), responses((status = 200, body = RolloutView)))]
async fn show(caller: Caller, State(web): State<Web>, At(id): At<String>) -> ApiResult<Json<RolloutView>> {
    caller.need(&DEVICES)?;
    found(&web, &id).await.map(Json)
}

/// A device of a rollout.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RolloutDeviceView {
    /// The device.
    pub(crate) device: DeviceId,
    /// Its group, from 0.
    pub(crate) group: usize,
    /// `waiting`, `offered`, `done` or `failed`.
    pub(crate) state: String,
    /// What it ran before.
    pub(crate) before: Option<String>,
    /// How often it was offered it.
    pub(crate) tries: i64,
    /// What went wrong last.
    pub(crate) error: Option<String>,
}

/// The devices of a rollout, in the order in which they are offered it.
#[utoipa::path(get, path = "/rollouts/{id}/devices", tag = "devices", params(("id" = String, Path)),
    responses((status = 200, body = Items<RolloutDeviceView>)))]
async fn devices(caller: Caller, State(web): State<Web>, At(id): At<String>) -> ApiResult<Json<Items<RolloutDeviceView>>> {
    caller.need(&DEVICES)?;
    found(&web, &id).await?;
    let all = web.house().store().rollout_devices(&id).await?;
    let view =
        |RolloutDevice { device, group, state, before, tries, error, .. }| RolloutDeviceView { device, group, state, before, tries, error };
    Ok(Json(Items::all(all.into_iter().map(view).collect())))
}

/// Does something with a rollout: `approve`, `pause`, `resume`, `stop` or `rollback`.
#[utoipa::path(post, path = "/rollouts/{id}/{turn}", tag = "devices", params(("id" = String, Path), ("turn" = String, Path)),
    responses((status = 200, body = RolloutView), (status = 409, description = "The rollout stands so that this cannot be done.")))]
async fn turn(Sure(caller): Sure, State(web): State<Web>, At((id, turn)): At<(String, String)>) -> ApiResult<Json<RolloutView>> {
    caller.need(&DEVICES)?;
    let turn = turn_of(&turn).ok_or(ApiError::NotFound("such thing to do with a rollout"))?;
    web.fleet().turn_rollout(&id, turn, &caller.actor).await?;
    found(&web, &id).await.map(Json)
}

pub(crate) fn turn_of(word: &str) -> Option<Turn> {
    Some(match word {
        "approve" => Turn::Approve,
        "pause" => Turn::Pause,
        "resume" => Turn::Resume,
        "stop" => Turn::Stop,
        "rollback" => Turn::RollBack,
        _ => return None,
    })
}

impl From<RolloutError> for ApiError {
    fn from(error: RolloutError) -> Self {
        match error {
            RolloutError::Store(error) => Self::Store(error),
            RolloutError::Unknown => Self::NotFound("rollout with this identifier"),
            RolloutError::Firmware => Self::NotFound("firmware of this version for this hardware"),
            error @ (RolloutError::Plan(_) | RolloutError::NoDevices) => Self::Unprocessable(error.to_string()),
            error @ (RolloutError::State(_) | RolloutError::Another) => Self::Conflict(error.to_string()),
        }
    }
}
