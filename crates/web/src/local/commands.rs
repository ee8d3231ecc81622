//! Locking and unlocking: the same command as from everywhere else, answered when the cloud has accepted it.

use super::{auth::Guest, error::Refusal, forms};
use crate::{ApiError, Web};
use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use doorward_core::keeper::{Command, Notice};
use doorward_wire::{
    attempt::{ActionWord, Attempt, AttemptId, AttemptState, Reason},
    door::{Door, EvidenceKind},
    grant::Means,
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::sync::broadcast;

/// The house gives up a driver after a minute; this is a little longer, so that its verdict is told.
const PATIENCE: Duration = Duration::from_secs(65);
/// How long a question about the state waits for a command that is on its way.
const PASSING: Duration = Duration::from_secs(10);

pub(super) async fn lock(guest: Guest, State(web): State<Web>, request: Request) -> Result<Json<Value>, Refusal> {
    act(&guest, &web, request, ActionWord::Lock).await
}

pub(super) async fn unlock(guest: Guest, State(web): State<Web>, request: Request) -> Result<Json<Value>, Refusal> {
    act(&guest, &web, request, ActionWord::Unlock).await
}

async fn act(guest: &Guest, web: &Web, request: Request, action: ActionWord) -> Result<Json<Value>, Refusal> {
    let body = forms::json(request, web).await?;
    let external = forms::id(&body).ok_or_else(|| Refusal::bad("name the device: {\"id\": …}"))?;
    let door = guest.door(web, &external)?;
    let notices = web.house().subscribe();
    let command = Command {
        id: web.house().clock().uuid(),
        door: door.id,
        action,
        actor: guest.actor.clone(),
        rights: guest.rights.clone(),
        not_after: None,
        means: Means::Remote,
    };
    let attempt = web.house().submit(command).await.map_err(ApiError::from)?;
    let attempt = accepted(web, notices, attempt, PATIENCE).await;
    if is_accepted(&attempt) { Ok(Json(json!({ "status": "ok" }))) } else { Err(refusal(&attempt)) }
}

/// Waits until the cloud has answered about an attempt, at most this long.
async fn accepted(web: &Web, mut notices: broadcast::Receiver<Arc<Notice>>, mut attempt: Attempt, within: Duration) -> Attempt {
    let clock = web.house().clock();
    let end = clock.now().mono.plus(within);
    while !attempt.state.is_final() && !is_accepted(&attempt) {
        tokio::select! {
            notice = notices.recv() => match notice {
                Ok(notice) => {
                    if let Notice::Attempt(newer) = &*notice
                        && newer.id == attempt.id
                    {
                        attempt.clone_from(newer);
                    }
                }
                Err(broadcast::error::RecvError::Lagged(_)) => attempt = known(web, attempt),
                Err(broadcast::error::RecvError::Closed) => return attempt,
            },
            () = clock.sleep_until(end) => return known(web, attempt),
        }
    }
    attempt
}

fn known(web: &Web, attempt: Attempt) -> Attempt {
    web.house().board().attempt(attempt.id).unwrap_or(attempt)
}

fn is_accepted(attempt: &Attempt) -> bool {
    attempt.state == AttemptState::Confirmed || attempt.evidence.iter().any(|evidence| evidence.kind == EvidenceKind::Accepted)
}

/// Lets a command that is on its way to the cloud pass before the cloud is asked for the state.
pub(super) async fn let_pass(web: &Web, door: &Door) {
    let notices = web.house().subscribe();
    let pending = |attempt: &Attempt| attempt.action != ActionWord::Refresh && !attempt.state.is_final();
    let door = web.house().board().door(&door.id);
    let Some(id) = door.and_then(|door| door.attempt).filter(pending).map(|attempt: Attempt| -> AttemptId { attempt.id }) else { return };
    if let Some(attempt) = web.house().board().attempt(id) {
        accepted(web, notices, attempt, PASSING).await;
    }
}

fn refusal(attempt: &Attempt) -> Refusal {
    let status = match attempt.reason {
        Some(Reason::NeedsSignIn) => StatusCode::UNAUTHORIZED,
        Some(Reason::NoGrant) => StatusCode::FORBIDDEN,
        Some(Reason::NotCapable) => StatusCode::UNPROCESSABLE_ENTITY,
        Some(Reason::Busy | Reason::RateLimited) => StatusCode::TOO_MANY_REQUESTS,
        Some(Reason::AuditUnavailable) => StatusCode::SERVICE_UNAVAILABLE,
        // It went wrong between doorward and the lock.
        _ => StatusCode::BAD_GATEWAY,
    };
    let detail = attempt.detail.clone().unwrap_or_else(|| match attempt.state {
        AttemptState::Pending => "The lock's cloud has not answered. Look at the door.".into(),
        AttemptState::Confirmed | AttemptState::Unconfirmed | AttemptState::Contradicted | AttemptState::Refused | AttemptState::Failed => {
            format!("The {} is {}.", attempt.action, attempt.state)
        }
    });
    Refusal::new(status, detail)
}
