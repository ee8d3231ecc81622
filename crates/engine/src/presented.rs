//! Whom a credential belongs to that somebody presented at a lock, and the command that comes of it.
//!
//! The lock has found it good: signed, in time, near enough, not seen before. Whether it opens is asked anew here, by the rights
//! that its holder has at this moment: a grant that was taken back while the token was in the air opens nothing.

use crate::{ctx::AccountCtx, message::Message};
use doorward_core::{
    driver::{Presented, Report, TurnedAway},
    keeper::{Command, Input},
    policy::{Actions, Doors, Grant, Rights},
    setup::DoorSetup,
};
use doorward_store::{PhoneOf, StoreError};
use doorward_wire::{
    attempt::{ActionWord, Actor, ActorKind, Reason},
    door::Capability,
};
use serde_json::json;

/// Looks up whose it is, and asks the keeper.
pub(crate) async fn submit(ctx: AccountCtx, presented: Presented) {
    let message = match command(&ctx, &presented).await {
        Ok(Ok(command)) => Input::Command(Box::new(command)),
        Ok(Err(reason)) => refused(&ctx, presented, reason),
        Err(error) => {
            tracing::warn!(%error, account = %ctx.account, "what was presented at a lock could not be looked up");
            refused(&ctx, presented, Reason::AuditUnavailable)
        }
    };
    // Nobody reads any more when the program stops.
    let _ = ctx.inputs.send(Message::Input(message));
}

async fn command(ctx: &AccountCtx, presented: &Presented) -> Result<Result<Command, Reason>, StoreError> {
    let doors = ctx.store.doors().await?;
    let Some(door) = doors.into_iter().find(|door| door.account == ctx.account && door.external == presented.external) else {
        return Ok(Err(Reason::NoGrant));
    };
    Ok(match holder(ctx, &door, presented).await? {
        Ok((actor, rights)) => Ok(Command {
            id: ctx.clock.uuid(),
            action: if door.capabilities.contains(&Capability::Unlock) { ActionWord::Unlock } else { ActionWord::Open },
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
        return Ok(Ok((Actor { kind: ActorKind::Device, id: presented.credential.clone(), name: None }, rights)));
    };
    if session.revoked.is_some() {
        return Ok(Err(Reason::Revoked));
    }
    if session.door != door.id {
        return Ok(Err(Reason::NoGrant));
    }
    let Some((rights, name)) = ctx.store.rights_of_phone(&session.of).await? else { return Ok(Err(Reason::Revoked)) };
    let (kind, id) = match session.of {
        PhoneOf::Person(id) => (ActorKind::Person, id),
        PhoneOf::Pass(id) => (ActorKind::Pass, id),
    };
    Ok(Ok((Actor { kind, id, name: Some(name) }, rights)))
}

fn refused(ctx: &AccountCtx, presented: Presented, reason: Reason) -> Input {
    let about = json!({ "session": presented.credential });
    let turned = TurnedAway { external: presented.external, reason, means: presented.means, about };
    Input::Report { account: ctx.account.clone(), report: Report::TurnedAway(turned) }
}
