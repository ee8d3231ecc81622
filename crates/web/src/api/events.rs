//! Events: read back, and as a live stream.

use super::{
    Items,
    json::Json,
    params::Query,
    routes::{Routes, routes},
    stream::{self, Follow},
};
use crate::{ApiError, ApiResult, Web, caller::Caller};
use axum::{
    extract::State,
    http::{HeaderMap, request::Parts},
    response::{IntoResponse, Response},
};
use doorward_core::scope::Scope;
use doorward_store::EventQuery;
use doorward_wire::{
    door::DoorId,
    event::{Event, EventKind},
};
use serde::Deserialize;
use utoipa::IntoParams;

/// Events of one answer, unless the caller says so.
const USUAL: u32 = 200;
/// Events of one answer at most.
const MOST: u32 = 1000;
/// Pages that are read for one answer when most events are hidden from the caller.
const PAGES: usize = 20;

pub(super) fn router() -> Routes {
    Routes::new().routes(routes!(list)).routes(routes!(follow))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Only those after this one, oldest first. Without it the newest are read.
    #[serde(default)]
    after: Option<i64>,
    /// Only those before this one.
    #[serde(default)]
    before: Option<i64>,
    /// Only those about this door.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    door: Option<DoorId>,
    /// Only those of this kind.
    #[serde(default)]
    kind: Option<EventKind>,
    /// At most so many; 200 unless said, 1000 at most.
    #[serde(default)]
    limit: Option<u32>,
}

/// Reads events, oldest first. `next` is there while more follow: it goes into `after`.
///
/// A token with `events:read` reads every event; together with `doors:act:<door>` alone it reads those of that door.
#[utoipa::path(get, path = "/events", tag = "events", params(Filter), responses((status = 200, body = Items<Event>)))]
async fn list(caller: Caller, State(web): State<Web>, Query(filter): Query<Filter>) -> ApiResult<Json<Items<Event>>> {
    caller.need(&Scope::EventsRead)?;
    let limit = filter.limit.unwrap_or(USUAL).clamp(1, MOST);
    let mut query =
        EventQuery { after: filter.after, before: filter.before, door: filter.door, kind: filter.kind, limit, ..EventQuery::default() };
    let mut found: Vec<Event> = Vec::new();
    let mut more = false;
    for _ in 0..PAGES {
        let page = web.house().store().events(&query).await?;
        more = page.len() == limit as usize;
        let Some((first, last)) = page.first().zip(page.last()).map(|(first, last)| (first.id, last.id)) else { break };
        let readable = page.into_iter().filter(|event| caller.reads(&web, event));
        if query.after.is_some() {
            query.after = Some(last);
            found.extend(readable);
        } else {
            query.before = Some(first);
            found.splice(0..0, readable);
        }
        if !more || found.len() >= limit as usize {
            break;
        }
    }
    let limit = limit as usize;
    if filter.after.is_none() {
        let beyond = found.len().saturating_sub(limit);
        found.drain(..beyond);
        return Ok(Json(Items::all(found)));
    }
    let cut = found.len() > limit;
    found.truncate(limit);
    let next = if cut { found.last().map(|event| event.id) } else { query.after.filter(|_| more) };
    Ok(Json(Items { items: found, next }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Following {
    /// Begins after this event; `Last-Event-ID` comes first.
    #[serde(default)]
    after: Option<i64>,
    /// Only those about this door.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    door: Option<DoorId>,
    /// Only those of this kind.
    #[serde(default)]
    kind: Option<EventKind>,
}

/// Follows events as they happen (server-sent events). It goes on after `Last-Event-ID` without a gap or a repeat.
#[utoipa::path(get, path = "/events/stream", tag = "events",
    params(Following, ("Last-Event-ID" = Option<i64>, Header, description = "The last event that was received.")),
    responses((status = 200, description = "One event in each message, as JSON.", content_type = "text/event-stream", body = String)))]
async fn follow(caller: Caller, State(web): State<Web>, Query(filter): Query<Following>, parts: Parts) -> ApiResult<Response> {
    caller.need(&Scope::EventsRead)?;
    let follow = Follow { after: last_event_id(&parts.headers)?.or(filter.after), door: filter.door, kind: filter.kind };
    Ok(stream::open(web, caller, parts, follow).await?.into_response())
}

fn last_event_id(headers: &HeaderMap) -> ApiResult<Option<i64>> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.trim().parse().ok()).filter(|number: &i64| *number >= 0);
    number.map(Some).ok_or_else(|| ApiError::BadRequest("Last-Event-ID: must be the number of an event".into()))
}
