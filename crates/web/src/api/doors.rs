//! Doors: looking at them, setting them up, asking something of them.

use super::{
    Items,
    json::Json,
    params::{At, Query, Sure, span},
    routes::{Routes, routes},
};
use crate::{ApiError, ApiResult, Web, caller::Caller};
use axum::{extract::State, http::StatusCode};
use doorward_core::{Secret, keeper::Command, scope::Scope, setup::AutoLock};
use doorward_store::DoorEdit;
use doorward_wire::{
    Time,
    attempt::{ActionWord, Attempt, AttemptId, AttemptState},
    door::{Capability, Door, DoorId},
    grant::Means,
};
use futures_util::future::join_all;
use reqwest::Url;
use serde::Deserialize;
use std::{collections::BTreeSet, ops::RangeInclusive, time::Duration};
use utoipa::{IntoParams, ToSchema};

/// The longest that a caller may wait for the end of an attempt.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// Doors that one request may name.
const DOORS_AT_ONCE: usize = 100;
/// How long a door without evidence may be waited for, in milliseconds.
const CONFIRM_WITHIN: RangeInclusive<u64> = 500..=300_000;
/// Bytes of the address of a stream.
const STREAM: usize = 500;
/// Characters of a name.
pub(super) const NAME: usize = 80;

pub(super) fn router() -> Routes {
    Routes::new()
        .routes(routes!(list))
        .routes(routes!(show, edit, remove))
        .routes(routes!(act))
        .routes(routes!(act_on_many))
        .routes(routes!(attempt))
}

/// Lists the doors that the caller sees.
#[utoipa::path(get, path = "/doors", tag = "doors", responses((status = 200, body = Items<Door>)))]
async fn list(caller: Caller, State(web): State<Web>) -> ApiResult<Json<Items<Door>>> {
    caller.need_doors()?;
    Ok(Json(Items::all(caller.doors(&web))))
}

/// Shows a door.
#[utoipa::path(get, path = "/doors/{id}", tag = "doors", params(("id" = String, Path)), responses((status = 200, body = Door)))]
async fn show(caller: Caller, State(web): State<Web>, At(id): At<DoorId>) -> ApiResult<Json<Door>> {
    caller.need_doors()?;
    caller.door(&web, &id).map(Json)
}

/// What changes at a door; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DoorBody {
    /// The name that people give it, 1 to 80 characters.
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// The site that it belongs to.
    #[serde(default)]
    pub(crate) site: Option<String>,
    /// How long a door without evidence is waited for, in milliseconds.
    #[serde(default)]
    pub(crate) confirm_within: Option<u64>,
    /// When it locks itself again; `{}` for never.
    #[serde(default)]
    pub(crate) auto_lock: Option<AutoLockBody>,
    /// Opens even when the audit cannot be written: a way out.
    #[serde(default)]
    pub(crate) fail_open: Option<bool>,
    /// A code of 4 to 10 digits that commands over MQTT must carry to open it; an empty text for none.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(crate) mqtt_code: Option<Secret<String>>,
    /// Where whoever rings can be seen: an http:// or https:// address, as of a page or stream of go2rtc; an empty text for
    /// nowhere.
    #[serde(default)]
    pub(crate) stream: Option<String>,
}

/// When a door locks itself again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AutoLockBody {
    /// Minutes after it was seen unlocked.
    #[serde(default)]
    pub(crate) after: Option<u32>,
    /// A time of day in the site's time zone, `22:00`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(crate) at: Option<jiff::civil::Time>,
}

/// Changes how a door is set up.
#[utoipa::path(patch, path = "/doors/{id}", tag = "doors", params(("id" = String, Path)), request_body = DoorBody,
    responses((status = 200, body = Door), (status = 409, description = "It is set in the configuration file.")))]
async fn edit(caller: Caller, State(web): State<Web>, At(id): At<DoorId>, Json(body): Json<DoorBody>) -> ApiResult<Json<Door>> {
    caller.need(&Scope::Config)?;
    let before = caller.door(&web, &id)?;
    let edit = checked(&web, &before, body).await?;
    let shown = Door {
        name: edit.name.clone().unwrap_or(before.name),
        site: edit.site.clone().unwrap_or(before.site),
        stream: edit.stream.clone().unwrap_or(before.stream),
        ..before
    };
    web.house().update_door(&id, &edit, &caller.actor).await?;
    Ok(Json(shown))
}

/// Holds wishes for a door against what is possible.
pub(crate) async fn checked(web: &Web, door: &Door, body: DoorBody) -> ApiResult<DoorEdit> {
    let name = body.name.as_deref().map(checked_name).transpose()?;
    if let Some(site) = &body.site
        && web.house().store().sites().await?.iter().all(|known| known.id != *site)
    {
        return Err(ApiError::Unprocessable("site: there is no site with this id; make it with POST /api/v1/sites".into()));
    }
    if body.confirm_within.is_some_and(|millis| !CONFIRM_WITHIN.contains(&millis)) {
        return Err(ApiError::Unprocessable("confirm_within: must be 500 to 300000 milliseconds".into()));
    }
    if let Some(AutoLockBody { after, at }) = &body.auto_lock {
        if after.is_some_and(|minutes| !(1..=1440).contains(&minutes)) {
            return Err(ApiError::Unprocessable("auto_lock.after: must be 1 to 1440 minutes".into()));
        }
        if (after.is_some() || at.is_some()) && !door.capabilities.contains(&Capability::Lock) {
            return Err(ApiError::Unprocessable("auto_lock: this door cannot be locked".into()));
        }
    }
    let mqtt_code = body.mqtt_code.map(checked_code).transpose()?;
    let stream = body.stream.as_deref().map(str::trim).map(|stream| match stream {
        "" => Ok(None),
        stream => stream_address(stream).map(Some).map_err(|hint| ApiError::Unprocessable(format!("stream: {hint}"))),
    });
    Ok(DoorEdit {
        name,
        site: body.site,
        confirm_within: body.confirm_within.map(Duration::from_millis),
        auto_lock: body.auto_lock.map(|AutoLockBody { after, at }| AutoLock { after, at }),
        fail_open: body.fail_open,
        mqtt_code,
        stream: stream.transpose()?,
    })
}

/// An address at which whoever rings can be seen, in its one form: pages send a browser there.
pub fn stream_address(text: &str) -> Result<String, &'static str> {
    let url = Url::parse(text)
        .ok()
        .filter(Url::has_host)
        .ok_or("is not an address; write it like http://192.168.1.5:1984/stream.html?src=gate")?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("must begin with http:// or https://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must have no name and password in it: every browser that looks would be given them");
    }
    if url.as_str().len() > STREAM {
        return Err("must have at most 500 bytes");
    }
    Ok(url.into())
}

/// A code, or none for an empty text.
fn checked_code(code: Secret<String>) -> ApiResult<Option<Secret<String>>> {
    let text = code.reveal();
    if text.is_empty() {
        return Ok(None);
    }
    if !(4..=10).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ApiError::Unprocessable("mqtt_code: must have 4 to 10 digits, or be empty for none".into()));
    }
    Ok(Some(code))
}

/// Removes a door. Its events stay; the vendor's next list brings it back if it is still there.
#[utoipa::path(delete, path = "/doors/{id}", tag = "doors", params(("id" = String, Path)), responses((status = 204)))]
async fn remove(Sure(caller): Sure, State(web): State<Web>, At(id): At<DoorId>) -> ApiResult<StatusCode> {
    caller.need(&Scope::Config)?;
    caller.door(&web, &id)?;
    web.house().remove_door(&id, &caller.actor).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What is asked of a door.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ActionBody {
    /// What the door is to do.
    action: ActionWord,
    /// Made by the caller, so that a repeated request is the same command; doorward makes one when it is left out.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "uuid")]
    id: Option<AttemptId>,
    /// Stale after this time, at most 60 seconds ahead; ten seconds when it is left out.
    #[serde(default)]
    not_after: Option<Time>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Wait {
    /// Waits for the end of the attempt, at most this long (`10s`, at most `60s`).
    #[serde(default)]
    wait: Option<String>,
}

/// Asks something of a door. It is written down before it is done, and happens at most once.
#[utoipa::path(post, path = "/doors/{id}/actions", tag = "doors", params(("id" = String, Path), Wait), request_body = ActionBody,
    responses(
        (status = 200, description = "It has ended; only with `wait`.", body = Attempt),
        (status = 202, description = "It was written down and will be done.", body = Attempt),
        (status = 403, description = "It was refused; `attempt` names it."),
        (status = 409, description = "The id was used for another command."),
        (status = 422, description = "`not_after` is too far ahead or past, or the door cannot do this."),
    ))]
async fn act(
    caller: Caller,
    State(web): State<Web>,
    At(door): At<DoorId>,
    Query(Wait { wait }): Query<Wait>,
    Json(ActionBody { action, id, not_after }): Json<ActionBody>,
) -> ApiResult<(StatusCode, Json<Attempt>)> {
    caller.need_doors()?;
    let wait = waits(wait.as_deref())?;
    let attempt = submit(&web, &caller, door, action, id, not_after).await?;
    if attempt.state == AttemptState::Refused {
        return Err(ApiError::Refused(Box::new(attempt)));
    }
    let attempt = finished(&web, attempt, wait).await;
    let status = if attempt.state.is_final() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(attempt)))
}

/// The doors of a command for several.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
enum Which {
    /// The word `all`: every door that the caller sees and that can do it.
    All(AllWord),
    /// These.
    These(Vec<DoorId>),
}

#[derive(Debug, Deserialize, ToSchema)]
enum AllWord {
    #[serde(rename = "all")]
    All,
}

/// What is asked of several doors.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ManyBody {
    /// What the doors are to do; all of them can only be locked.
    action: ActionWord,
    /// `all`, or a list of at most 100 ids.
    doors: Which,
}

/// Asks something of several doors at once.
#[utoipa::path(post, path = "/doors/actions", tag = "doors", params(Wait), request_body = ManyBody,
    responses((status = 200, description = "One attempt for each door, refused ones too.", body = Items<Attempt>)))]
async fn act_on_many(
    caller: Caller,
    State(web): State<Web>,
    Query(Wait { wait }): Query<Wait>,
    Json(ManyBody { action, doors }): Json<ManyBody>,
) -> ApiResult<Json<Items<Attempt>>> {
    caller.need_doors()?;
    let wait = waits(wait.as_deref())?;
    let doors = match doors {
        Which::All(AllWord::All) if action == ActionWord::Lock => {
            let mut doors = caller.doors(&web);
            doors.retain(|door| door.capabilities.contains(&Capability::Lock));
            doors.into_iter().map(|door| door.id).collect()
        }
        Which::All(AllWord::All) => return Err(ApiError::Unprocessable("action: all doors at once can only be locked".into())),
        Which::These(mut doors) => {
            let mut named = BTreeSet::new();
            doors.retain(|door| named.insert(door.clone()));
            if doors.len() > DOORS_AT_ONCE {
                return Err(ApiError::Unprocessable(format!("doors: at most {DOORS_AT_ONCE} at once")));
            }
            if doors.iter().any(|door| web.house().board().door(door).is_none()) {
                return Err(ApiError::NotFound("door with one of these ids"));
            }
            doors
        }
    };
    let attempts = doors.into_iter().map(async |door| match submit(&web, &caller, door, action, None, None).await {
        Ok(attempt) => Ok(Some(finished(&web, attempt, wait).await)),
        // It was removed just now; the others count.
        Err(ApiError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    });
    let attempts = join_all(attempts).await.into_iter().filter_map(Result::transpose).collect::<ApiResult<_>>()?;
    Ok(Json(Items::all(attempts)))
}

pub(super) fn waits(wait: Option<&str>) -> ApiResult<Option<Duration>> {
    wait.map(|wait| span(wait).ok_or_else(|| ApiError::BadRequest("wait: write it like 10s".into()))).transpose()
}

async fn finished(web: &Web, attempt: Attempt, wait: Option<Duration>) -> Attempt {
    match wait {
        Some(wait) => web.house().finish(attempt, wait.min(LONGEST_WAIT)).await,
        None => attempt,
    }
}

async fn submit(
    web: &Web,
    caller: &Caller,
    door: DoorId,
    action: ActionWord,
    id: Option<AttemptId>,
    not_after: Option<Time>,
) -> ApiResult<Attempt> {
    // Whoever does not see the door learns nothing of its attempts by naming one of them.
    let id = id.filter(|_| caller.sees(web, &door)).unwrap_or_else(|| web.house().clock().uuid());
    let command = Command { id, door, action, actor: caller.actor.clone(), rights: caller.rights.clone(), not_after, means: Means::Remote };
    Ok(web.house().submit(command).await?)
}

/// Shows an attempt.
#[utoipa::path(get, path = "/attempts/{id}", tag = "doors", params(("id" = String, Path)), responses((status = 200, body = Attempt)))]
async fn attempt(caller: Caller, State(web): State<Web>, At(id): At<AttemptId>) -> ApiResult<Json<Attempt>> {
    caller.need_doors()?;
    let attempt = web.house().attempt(id).await?.filter(|attempt| caller.sees(&web, &attempt.door));
    attempt.map(Json).ok_or(ApiError::NotFound("attempt with this id"))
}

/// A name that people can read: 1 to 80 characters on one line.
pub(crate) fn checked_name(name: &str) -> ApiResult<String> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > NAME || name.chars().any(char::is_control) {
        return Err(ApiError::Unprocessable(format!("name: must have 1 to {NAME} characters on one line")));
    }
    Ok(name.into())
}

#[cfg(test)]
mod tests {
    use super::stream_address;

    #[test]
    fn a_stream_is_an_address_that_any_browser_may_be_sent_to() {
        for (text, address) in [
            ("http://192.168.1.5:1984/stream.html?src=gate", "http://192.168.1.5:1984/stream.html?src=gate"),
            ("https://Cam.example/ü#x", "https://cam.example/%C3%BC#x"),
            ("http://cam/\r\nSet-Cookie:a", "http://cam/Set-Cookie:a"),
        ] {
            assert_eq!(stream_address(text).as_deref(), Ok(address));
        }
        let long = format!("http://cam/{}", "x".repeat(500));
        for wrong in
            ["", "gate", "/gate", "javascript:alert(1)", "data:text/html,x", "rtsp://cam/1", "http://a:b@cam/", "http://a@cam/", &long]
        {
            stream_address(wrong).unwrap_err();
        }
    }
}
