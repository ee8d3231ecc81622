//! What the house asks of foreign doors.

use crate::{
    config::{self, ForeignDoor, Place, Target as Goal},
    send::{self, Effect},
};
use doorward_core::driver::{About, Action, BoxFuture, Ctx, Done, Driver, Fault, How, Mistake, Once, Settings, Sight, Target};
use doorward_wire::attempt::Reason;
use std::sync::Arc;

/// Every foreign door of a house.
pub struct Foreign {
    about: About,
    pub(crate) doors: Vec<ForeignDoor>,
}

pub(crate) fn build(settings: &Settings) -> Result<Arc<dyn Driver>, Vec<Mistake>> {
    Ok(Arc::new(Foreign { about: crate::about(), doors: config::parse(settings)? }))
}

impl Foreign {
    fn door(&self, target: &Target) -> Result<&ForeignDoor, Fault> {
        let Target::Door { external, .. } = target else { return Err(refuse("Say which door this is about.", Reason::BadRequest)) };
        let found = self.doors.iter().find(|door| door.id.as_str() == external);
        found.ok_or_else(|| refuse("The configuration file does not name this door any more.", Reason::BadRequest))
    }

    async fn act_on(&self, ctx: &dyn Ctx, target: &Target, action: Action) -> Result<Done, Fault> {
        match action {
            Action::Open(once) => command(ctx, self.door(target)?.open.as_ref(), Effect::Opens, once).await,
            Action::Unlock(once) => command(ctx, self.door(target)?.unlock.as_ref(), Effect::Opens, once).await,
            Action::Lock(once) => command(ctx, self.door(target)?.lock.as_ref(), Effect::Locks, once).await,
            Action::Refresh if *target == Target::Account => {
                for door in &self.doors {
                    self.look(ctx, door).await;
                }
                Ok(Done::default())
            }
            Action::Refresh => Ok(Done { sight: seen(ctx, self.door(target)?).await?, ..Done::default() }),
            Action::Discover => {
                ctx.report(self.found());
                Ok(Done::default())
            }
            Action::Renew(_)
            | Action::Setup { .. }
            | Action::Credential(_)
            | Action::Call(_)
            | Action::Deliver(_)
            | Action::EndRing { .. } => Err(refuse("Foreign doors have nothing of that kind.", Reason::NotCapable)),
        }
    }
}

async fn command(ctx: &dyn Ctx, goal: Option<&Goal>, effect: Effect, once: Once) -> Result<Done, Fault> {
    let goal = goal.ok_or_else(|| refuse("The configuration file does not say how.", Reason::NotCapable))?;
    send::command(ctx, goal, effect, once).await?;
    Ok(Done::default())
}

/// Asks a door behind HTTP for its state; `None` for one that tells it by itself, or does not tell.
pub(crate) async fn seen(ctx: &dyn Ctx, door: &ForeignDoor) -> Result<Option<Sight>, Fault> {
    let Some(state) = &door.state else { return Ok(None) };
    let Place::Http(request, _) = &state.place else { return Ok(None) };
    let requested = ctx.now().mono;
    let body = send::ask(ctx, request).await?;
    Ok(Some(Sight { state: state.read(&body), online: Some(true), ..Sight::new(How::Polled { requested }) }))
}

fn refuse(person: &str, reason: Reason) -> Fault {
    Fault::refused(person, person).because(reason)
}

impl Driver for Foreign {
    fn about(&self) -> &About {
        &self.about
    }

    fn act<'a>(&'a self, ctx: &'a dyn Ctx, target: &'a Target, action: Action) -> BoxFuture<'a, Result<Done, Fault>> {
        Box::pin(self.act_on(ctx, target, action))
    }

    fn watch<'a>(&'a self, ctx: &'a dyn Ctx, stop: BoxFuture<'a, ()>) -> BoxFuture<'a, ()> {
        Box::pin(self.watch_until(ctx, stop))
    }
}
