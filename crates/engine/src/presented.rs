//! Whom a credential belongs to that somebody presented at a lock, and the command that comes of it.
//!
//! The lock has found it good: signed, in time, near enough, not seen before. Whether it opens is asked anew here, by the rights
//! that its holder has at this moment: a grant that was taken back while the token was in the air opens nothing.

use crate::{
    ctx::AccountCtx,
    errand::{carry, opening},
    message::Message,
};
use doorward_core::{
    driver::{Admitted, Fault, Presented, Report, TurnedAway},
    keeper::{Command, Input},
    policy::{Actions, Doors, Grant, Rights},
    setup::DoorSetup,
};
use doorward_store::{PhoneOf, StoreError};
use doorward_wire::attempt::{Actor, ActorKind, Reason};
use serde_json::json;

/// Looks up whose it is, asks the keeper, and waits until the door's driver is back.
pub(crate) async fn submit(ctx: AccountCtx, presented: Presented) -> Result<(), Fault> {
    let reason = match command(&ctx, &presented).await {
        Ok(Ok(command)) => return carry(&ctx, command).await,
        Ok(Err(reason)) => reason,
        Err(error) => {
            tracing::warn!(%error, account = %ctx.account, "what was presented at a lock could not be looked up");
            Reason::AuditUnavailable
        }
    };
    let fault = Fault::refused("This opens nothing here.", format!("presented at {}: {reason}", presented.external)).because(reason);
    // Nobody reads any more when the program stops.
    let _ = ctx.inputs.send(Message::Input(refused(&ctx, presented, reason)));
    Err(fault)
}

/// Looks up whom a lock let in by itself, and has it written down.
pub(crate) async fn record(ctx: AccountCtx, mut admitted: Admitted) {
    if admitted.actor.is_none() && !admitted.credential.is_empty() {
        admitted.actor = match ctx.store.ble_session(&admitted.credential).await {
            Ok(Some(session)) => Some(named(&ctx, session.of).await),
            Ok(None) => Some(device(&admitted.credential)),
            Err(error) => {
                tracing::warn!(%error, account = %ctx.account, "whom a lock let in could not be looked up");
                Some(device(&admitted.credential))
            }
        };
    }
    let report = Report::Admitted(admitted);
    let _ = ctx.inputs.send(Message::Input(Input::Report { account: ctx.account.clone(), report }));
}

/// Who it was, with the name while there is one.
async fn named(ctx: &AccountCtx, of: PhoneOf) -> Actor {
    let name = ctx.store.rights_of_phone(&of).await.ok().flatten().map(|(_, name)| name);
    actor(of, name)
}

fn actor(of: PhoneOf, name: Option<String>) -> Actor {
    let (kind, id) = match of {
        PhoneOf::Person(id) => (ActorKind::Person, id),
        PhoneOf::Pass(id) => (ActorKind::Pass, id),
    };
    Actor { kind, id, name }
}

/// Somebody of whom only what they showed is known.
fn device(credential: &str) -> Actor {
    Actor { kind: ActorKind::Device, id: credential.into(), name: None }
}

async fn command(ctx: &AccountCtx, presented: &Presented) -> Result<Result<Command, Reason>, StoreError> {
    let doors = ctx.store.doors().await?;
    let Some(door) = doors.into_iter().find(|door| door.account == ctx.account && door.external == presented.external) else {
        return Ok(Err(Reason::NoGrant));
    };
    Ok(match holder(ctx, &door, presented).await? {
        Ok((actor, rights)) => Ok(Command {
            id: ctx.clock.uuid(),
            action: opening(&door),
            door: door.id,
            actor,
            rights,
            not_after: None,
            means: presented.means,
        }),
        Err(reason) => Err(reason),
    })
}

/// Who holds it, and what they may do at doors now.
async fn holder(ctx: &AccountCtx, door: &DoorSetup, presented: &Presented) -> Result<Result<(Actor, Rights), Reason>, StoreError> {
    let Some(session) = ctx.store.ble_session(&presented.credential).await? else {
        if !presented.vouched {
            return Ok(Err(Reason::NotEnrolled));
        }
        let source = format!("session {}", presented.credential);
        let rights = Rights::of(vec![Grant::standing(source, vec![Doors::One(door.id.clone())], Actions::Act)]);
        return Ok(Ok((device(&presented.credential), rights)));
    };
    if session.revoked.is_some() {
        return Ok(Err(Reason::Revoked));
    }
    if session.door != door.id {
        return Ok(Err(Reason::NoGrant));
    }
    let Some((rights, name)) = ctx.store.rights_of_phone(&session.of).await? else { return Ok(Err(Reason::Revoked)) };
    Ok(Ok((actor(session.of, Some(name)), rights)))
}

fn refused(ctx: &AccountCtx, presented: Presented, reason: Reason) -> Input {
    let about = json!({ "session": presented.credential });
    let turned = TurnedAway { external: presented.external, reason, means: presented.means, about };
    Input::Report { account: ctx.account.clone(), report: Report::TurnedAway(turned) }
}
