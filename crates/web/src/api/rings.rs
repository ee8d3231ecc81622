//! Rings: what rings now and what rang, and what people do about it.

use super::{
    access,
    json::Json,
    params::{At, Query, Sure},
    routes::{Routes, routes},
};
use crate::{ApiError, ApiResult, Web, caller::Caller};
use axum::extract::State;
use doorward_core::keeper::{RingCommand, RingEnd};
use doorward_store::RingQuery;
use doorward_wire::{
    attempt::ActionWord,
    door::DoorId,
    ring::{Ring, RingId, RingState},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Rings of one answer, unless the caller says so.
const USUAL: u32 = 50;
/// Rings of one answer at most.
const MOST: u32 = 500;
/// Pages that are read for one answer when most rings are hidden from the caller.
const PAGES: usize = 20;

pub(super) fn router() -> Routes {
    Routes::new().routes(routes!(list)).routes(routes!(show)).routes(routes!(answer)).routes(routes!(ignore))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Only those at this door.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    door: Option<DoorId>,
    /// Only those that stand so; `ringing` for what rings now.
    #[serde(default)]
    state: Option<RingState>,
    /// Only those that are older than this ring.
    #[serde(default)]
    #[param(value_type = Option<String>, format = "uuid")]
    before: Option<RingId>,
    /// At most so many; 50 unless said, 500 at most.
    #[serde(default)]
    limit: Option<u32>,
}

/// Rings, the newest first.
#[derive(Debug, Serialize, ToSchema)]
struct RingList {
    /// What it holds.
    items: Vec<Ring>,
    /// Goes into `before` for those that are older; `null` when there are none.
    #[schema(value_type = Option<String>, format = "uuid")]
    next: Option<RingId>,
}

/// Lists what rings and what rang at the doors that the caller sees, the newest first.
#[utoipa::path(get, path = "/rings", tag = "rings", params(Filter), responses((status = 200, body = RingList)))]
async fn list(caller: Caller, State(web): State<Web>, Query(filter): Query<Filter>) -> ApiResult<Json<RingList>> {
    caller.need_doors()?;
    let limit = filter.limit.unwrap_or(USUAL).clamp(1, MOST);
    let mut query = RingQuery { before: filter.before, door: filter.door, state: filter.state, limit };
    let limit = limit as usize;
    let (mut items, mut more) = (Vec::new(), false);
    for _ in 0..PAGES {
        let page = web.house().store().rings(&query).await?;
        more = page.len() == limit;
        let Some(last) = page.last() else { break };
        query.before = Some(last.id);
        items.extend(page.into_iter().filter(|ring| caller.sees(&web, &ring.door)));
        if !more || items.len() >= limit {
            break;
        }
    }
    let cut = items.len() > limit;
    items.truncate(limit);
    let next = if cut { items.last().map(|ring: &Ring| ring.id) } else { query.before.filter(|_| more) };
    Ok(Json(RingList { items, next }))
}

/// Shows a ring.
#[utoipa::path(get, path = "/rings/{id}", tag = "rings", params(("id" = String, Path)), responses((status = 200, body = Ring)))]
async fn show(caller: Caller, State(web): State<Web>, At(id): At<RingId>) -> ApiResult<Json<Ring>> {
    seen(&web, &caller, id).await.map(Json)
}

/// Answers a ring. One that is over stays as it ended.
#[utoipa::path(post, path = "/rings/{id}/answer", tag = "rings", params(("id" = String, Path)),
    responses((status = 200, description = "As it stands now.", body = Ring), (status = 403, description = "The caller may not open this door.")))]
async fn answer(Sure(caller): Sure, State(web): State<Web>, At(id): At<RingId>) -> ApiResult<Json<Ring>> {
    end_ring(&web, &caller, id, RingEnd::Answered).await.map(Json)
}

/// Ignores a ring. One that is over stays as it ended.
#[utoipa::path(post, path = "/rings/{id}/ignore", tag = "rings", params(("id" = String, Path)),
    responses((status = 200, description = "As it stands now.", body = Ring), (status = 403, description = "The caller may not open this door.")))]
async fn ignore(Sure(caller): Sure, State(web): State<Web>, At(id): At<RingId>) -> ApiResult<Json<Ring>> {
    end_ring(&web, &caller, id, RingEnd::Rejected).await.map(Json)
}

async fn seen(web: &Web, caller: &Caller, id: RingId) -> ApiResult<Ring> {
    caller.need_doors()?;
    let ring = web.house().ring(id).await?.filter(|ring| caller.sees(web, &ring.door));
    ring.ok_or(ApiError::NotFound("ring with this id"))
}

/// Ends a ring for somebody who may open its door: nobody else speaks for the house.
pub(crate) async fn end_ring(web: &Web, caller: &Caller, id: RingId, end: RingEnd) -> ApiResult<Ring> {
    let ring = seen(web, caller, id).await?;
    let decision = access::decide(web, &caller.rights, &ring.door, ActionWord::Open, web.house().now().utc).await?;
    if !decision.allowed {
        return Err(ApiError::Forbidden(format!(
            "whoever answers or ignores a ring must be allowed to open the door: {}",
            decision.reasons.join("; ")
        )));
    }
    let ended = web.house().end_ring(RingCommand { id, end, actor: caller.actor.clone() }).await?;
    ended.ok_or(ApiError::NotFound("ring with this id"))
}
