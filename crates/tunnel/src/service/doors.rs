//! Doors of this house.

use crate::{
    Tunnel,
    gateway::{FRESH, Reply, Request},
};
use doorward_core::keeper::{Command, CommandError};
use doorward_wire::{
    attempt::{ActionWord, Actor, ActorKind, Attempt, AttemptState, Reason},
    door::{Door, DoorId},
    grant::Means,
    tunnel::AtDoor,
};
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

/// How long an answer waits for what comes of a command.
const WAIT: Duration = Duration::from_secs(12);

/// Lists doors, looks at one, or asks it to do something.
pub(crate) async fn act(tunnel: &Tunnel, request: &Request, wish: AtDoor) -> Reply {
    let rights = request.key.allowed.doors();
    let board = tunnel.house().board();
    let now = tunnel.house().now().utc;
    if wish.action == "list" {
        let doors: Vec<Value> = board.doors().iter().filter(|door| rights.sees(&door.id, &door.site, now)).map(shown).collect();
        return Reply::json(200, &json!({ "doors": doors }));
    }
    let Some(text) = &wish.door else {
        return Reply::refused(400, "Missing required field: 'door'", Reason::BadRequest);
    };
    // A door that the key may not see is one that is not there.
    let door = text.parse::<DoorId>().ok().and_then(|id| board.door(&id)).filter(|door| rights.sees(&door.id, &door.site, now));
    let Some(door) = door else {
        return Reply::refused(404, "Unknown door", Reason::NoGrant);
    };
    let action = match wish.action.as_str() {
        "status" => return Reply::json(200, &shown(&door)),
        word @ ("open" | "lock" | "unlock") => word.parse::<ActionWord>(),
        _ => return Reply::refused(400, "Field 'action' must be list, status, open, lock or unlock", Reason::BadRequest),
    };
    let Ok(action) = action else { return Reply::error(400, "Unknown action") };
    let id = match wish.id.map(|id| id.parse::<Uuid>()) {
        Some(Ok(id)) => id,
        Some(Err(_)) => return Reply::refused(400, "Field 'id' must be a UUID", Reason::BadRequest),
        None => tunnel.house().clock().uuid(),
    };
    if action.opens() && (now.since(request.made) > FRESH || request.made.since(now) > FRESH) {
        return Reply::refused(403, "Request expired", Reason::StaleCommand);
    }
    let actor = Actor { kind: ActorKind::Tunnel, id: request.key.name.clone(), name: Some(request.key.name.clone()) };
    let not_after = request.made.min(now).plus(FRESH);
    let not_after = if action.opens() { not_after } else { not_after.max(now.plus(FRESH)) };
    let command = Command { id, door: door.id, action, actor, rights, not_after: Some(not_after), means: Means::Remote };
    match tunnel.house().submit(command).await {
        Ok(attempt) => told(&tunnel.house().finish(attempt, WAIT).await),
        Err(CommandError::Conflict) => Reply::refused(409, "This id was used before, for another command", Reason::Replay),
        Err(CommandError::UnknownDoor) => Reply::refused(404, "Unknown door", Reason::NoGrant),
        Err(error @ (CommandError::TooFarAhead | CommandError::Stopping)) => Reply::error(503, &error.to_string()),
    }
}

/// What a phone shows of a door.
fn shown(door: &Door) -> Value {
    json!({
        "id": door.id,
        "name": door.name,
        "site": door.site,
        "kind": door.kind,
        "state": door.state,
        "since": door.since,
        "online": door.online,
        "battery": door.battery,
        "capabilities": door.capabilities,
        "contact_open": door.contact_open,
    })
}

/// An attempt, with a status for clients that look at nothing else: what is not known to have failed is no error.
fn told(attempt: &Attempt) -> Reply {
    let (status, refused) = match attempt.state {
        AttemptState::Confirmed | AttemptState::Unconfirmed => (200, None),
        AttemptState::Pending => (202, None),
        AttemptState::Refused => (403, attempt.reason),
        AttemptState::Failed | AttemptState::Contradicted => (502, None),
    };
    let body = json!({
        "id": attempt.id,
        "door": attempt.door,
        "action": attempt.action,
        "state": attempt.state,
        "reason": attempt.reason,
        "detail": attempt.detail,
    });
    Reply { refused, ..Reply::json(status, &body) }
}
