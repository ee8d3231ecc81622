//! What is heard and asked without anybody having given a command.

use crate::{
    config::{ForeignDoor, Place},
    driver::{Foreign, seen},
};
use doorward_core::{
    Mono,
    driver::{BoxFuture, Ctx, Found, Heard, How, Report, Sight},
};
use doorward_wire::door::{DoorKind, DoorState};
use serde_json::Value;
use std::time::Duration;

/// An idle watch looks at the clock this often.
const LONG: Duration = Duration::from_hours(1);

impl Foreign {
    /// Every door, as it is set up.
    pub(crate) fn found(&self) -> Report {
        let found = |door: &ForeignDoor| Found {
            external: door.id.to_string(),
            name: door.name.clone(),
            kind: DoorKind::Foreign,
            capabilities: door.capabilities.clone(),
            raw: Value::Null,
        };
        Report::Found(self.doors.iter().map(found).collect())
    }

    pub(crate) async fn watch_until(&self, ctx: &dyn Ctx, mut stop: BoxFuture<'_, ()>) {
        let topics = self.doors.iter().filter_map(|door| match &door.state.as_ref()?.place {
            Place::Mqtt(filter) => Some(filter.clone()),
            Place::Http(..) => None,
        });
        let bells = self.doors.iter().filter_map(|door| Some(door.bell.as_ref()?.filter.clone()));
        ctx.report(self.found());
        ctx.report(Report::Listen(topics.chain(bells).collect()));
        let now = ctx.now().mono;
        let mut due: Vec<(usize, Mono)> =
            self.doors.iter().enumerate().filter(|(_, door)| every(door).is_some()).map(|(at, _)| (at, now)).collect();
        loop {
            let next = due.iter().min_by_key(|(_, at)| *at).copied();
            let wait = next.map_or(LONG, |(_, at)| at.since(ctx.now().mono));
            tokio::select! {
                biased;
                () = &mut stop => return,
                heard = ctx.hear() => self.heard(ctx, &heard),
                () = ctx.sleep(wait) => {
                    let Some((at, _)) = next else { continue };
                    let Some(door) = self.doors.get(at) else { continue };
                    tokio::select! {
                        () = self.look(ctx, door) => {}
                        () = &mut stop => return,
                    }
                    let again = ctx.now().mono.plus(every(door).unwrap_or(LONG));
                    due.iter_mut().filter(|(index, _)| *index == at).for_each(|(_, due)| *due = again);
                }
            }
        }
    }

    fn heard(&self, ctx: &dyn Ctx, heard: &Heard) {
        match heard {
            Heard::Connected(connected) => {
                for door in self.doors.iter().filter(|door| door.needs_mqtt()) {
                    report(ctx, door, Sight { online: Some(*connected), ..Sight::new(How::Kept) });
                }
            }
            Heard::Message { topic, payload, kept } => {
                let how = if *kept { How::Kept } else { How::Pushed };
                for door in &self.doors {
                    let rings = door.bell.as_ref().is_some_and(|bell| bell.filter.matches(topic) && bell.rings(payload));
                    // A ring that a broker kept is no ring any more.
                    if rings && !kept {
                        ctx.report(Report::Ring { external: door.id.to_string(), call: String::new(), from: None });
                    }
                    let Some(state) = &door.state else { continue };
                    if matches!(&state.place, Place::Mqtt(filter) if filter.matches(topic)) {
                        // A word that is not known says that what was known before may not be so any more.
                        let word = state.read(payload).unwrap_or(DoorState::Unknown);
                        report(ctx, door, Sight { state: Some(word), online: Some(true), ..Sight::new(how) });
                    }
                }
            }
        }
    }

    /// Asks one door, and tells what was seen.
    pub(crate) async fn look(&self, ctx: &dyn Ctx, door: &ForeignDoor) {
        match seen(ctx, door).await {
            Ok(Some(sight)) => report(ctx, door, sight),
            Ok(None) => {}
            Err(fault) => {
                tracing::debug!(door = %door.id, log = fault.log, "a foreign door does not tell its state");
                report(ctx, door, Sight { online: Some(false), ..Sight::new(How::Polled { requested: ctx.now().mono }) });
            }
        }
    }
}

fn report(ctx: &dyn Ctx, door: &ForeignDoor, sight: Sight) {
    ctx.report(Report::Seen { external: door.id.to_string(), sight });
}

fn every(door: &ForeignDoor) -> Option<Duration> {
    match &door.state.as_ref()?.place {
        Place::Http(_, every) => Some(*every),
        Place::Mqtt(_) => None,
    }
}
