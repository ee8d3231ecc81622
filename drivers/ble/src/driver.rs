//! Locks of a house: each hears its radio and its broker, and an actuator opens its door.
//!
//! A lock finds somebody good, and that is all: [`Report::Presented`] asks the house, which looks at the rights of this moment,
//! writes down, and comes back with [`Action::Open`]. So what opens a door is here, and never in the lock's core.
//!
//! It must never open on what a broker had kept, and never twice for one token.
//!
//! Reading on: `config` (what a lock has), `actuator` (what opens, of which `gpio` is one), `ears` (a radio that comes and goes),
//! `run` (one lock), `elsewhere` (one at another machine).

mod actuator;
mod config;
mod ears;
mod elsewhere;
mod gpio;
mod news;
mod run;

pub use config::{LockSpec, MqttSpec};
pub use gpio::GpioSpec;

use config::{Door, Runs};
use doorward_core::driver::{
    About, Action, BoxFuture, Ctx, Done, Driver, Entry, Fault, Field, FieldKind, Found, Mistake, Report, Settings, Target,
};
use doorward_wire::{
    attempt::Reason,
    ble::{LockId, topic::LockTopic},
    door::{Capability, DoorKind},
};
use run::Heard;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;

/// The word in configuration and API.
pub const KIND: &str = "ble";

/// The line of the driver table.
pub const ENTRY: Entry = Entry { kind: KIND, about, build };

/// What tells of its locks: whether they hear, what they counted and what they heard last.
const LOCKS: &str = "locks";

/// Messages of the broker that wait for a lock that keeps something at that moment.
const MOST_MESSAGES: usize = 256;

/// What this driver is and can do.
pub fn about() -> About {
    About {
        kind: KIND,
        title: "Locks over Bluetooth",
        summary: "Doors of this machine that phones open as they come near. Set up in the configuration file.",
        fields: &[
            Field {
                name: "keys",
                label: "Folder of the keys",
                help: "Where the locks' private keys and the issuer's public one are.",
                kind: FieldKind::Text,
                default: "",
                required: true,
            },
            Field {
                name: "doors",
                label: "Locks",
                help: "The locks as a JSON list. The configuration file writes it from its [[doors]] of kind “radio”.",
                kind: FieldKind::Secret,
                default: "",
                required: true,
            },
        ],
        steps: &[],
        // Nothing tells whether a strike moved, unless it has a contact, and that tells by itself.
        verify: Vec::new(),
        stale_after: Duration::from_mins(5),
        signs_in_here: false,
        calls: &[LOCKS],
        only_in_file: true,
    }
}

fn build(settings: &Settings) -> Result<Arc<dyn Driver>, Vec<Mistake>> {
    let doors = config::parse(settings)?;
    Ok(Arc::new(Ble { about: about(), doors }))
}

/// Every lock of this machine.
struct Ble {
    about: About,
    doors: Vec<Door>,
}

impl Ble {
    fn lock(&self, target: &Target) -> Result<&Door, Fault> {
        let Target::Door { external, .. } = target else { return Err(refuse("Say which door this is about.", Reason::BadRequest)) };
        let found = self.doors.iter().find(|door| door.external == *external);
        found.ok_or_else(|| refuse("The configuration file does not name this lock any more.", Reason::BadRequest))
    }

    async fn act_on(&self, ctx: &dyn Ctx, target: &Target, action: Action) -> Result<Done, Fault> {
        match action {
            Action::Open(once) => {
                let lock = self.lock(target)?;
                match &lock.runs {
                    Runs::Here(here) => actuator::open(ctx, &lock.external, &here.actuator, once).await.map(|()| Done::default()),
                    Runs::Elsewhere(signer, sent) => elsewhere::open(ctx, lock, signer, sent, once).await,
                    Runs::Original => Err(refuse("A lock of the original system opens for phones alone.", Reason::NotCapable)),
                }
            }
            Action::Discover => {
                ctx.report(self.found());
                Ok(Done::default())
            }
            Action::Refresh => Ok(Done::default()),
            Action::Call(name) if name == LOCKS => {
                let told: Vec<_> =
                    self.doors.iter().filter(|door| !matches!(door.runs, Runs::Original)).map(|door| door.news.told()).collect();
                Ok(Done { output: json!({ LOCKS: told }), ..Done::default() })
            }
            Action::Lock(_)
            | Action::Unlock(_)
            | Action::Renew(_)
            | Action::Setup { .. }
            | Action::Credential(_)
            | Action::Call(_)
            | Action::Deliver(_)
            | Action::EndRing { .. } => Err(refuse("A lock over Bluetooth opens for a moment, and nothing else.", Reason::NotCapable)),
        }
    }

    fn found(&self) -> Report {
        let found = |door: &Door| Found {
            external: door.external.clone(),
            name: door.name.clone(),
            kind: DoorKind::Radio,
            capabilities: door.opens().then_some(Capability::Open).into_iter().collect(),
            raw: Value::Null,
        };
        Report::Found(self.doors.iter().map(found).collect())
    }

    async fn watch_until(&self, ctx: &dyn Ctx, stop: BoxFuture<'_, ()>) {
        ctx.report(self.found());
        let topics = self.doors.iter().flat_map(topics);
        ctx.report(Report::Listen(topics.filter_map(|topic| topic.parse().ok()).collect()));
        let (mut boxes, mut locks) = (Vec::new(), Vec::new());
        for door in &self.doors {
            let (sender, messages) = mpsc::channel(MOST_MESSAGES);
            boxes.push((door.id.clone(), sender));
            locks.push(watch(door, ctx, messages));
        }
        tokio::select! {
            () = stop => {}
            () = hear(ctx, &boxes) => {}
            () = all(locks) => {}
        }
    }
}

/// Watches one lock. It never ends by itself.
async fn watch(door: &Door, ctx: &dyn Ctx, messages: mpsc::Receiver<Heard>) {
    match &door.runs {
        Runs::Here(here) => run::run(door, here, ctx, messages).await,
        Runs::Elsewhere(_, sent) => elsewhere::watch(door, ctx, sent, messages).await,
        Runs::Original => {
            drop(messages);
            std::future::pending::<()>().await;
        }
    }
}

/// What a lock here hears at the broker, and what one elsewhere says there.
fn topics(door: &Door) -> Vec<String> {
    let id = &door.id;
    let of = |topic: LockTopic| topic.to_string();
    match door.runs {
        Runs::Here(_) => vec![
            of(LockTopic::Session(id.clone())),
            LockTopic::every_session(id),
            of(LockTopic::Revoked(id.clone())),
            of(LockTopic::Command(id.clone())),
        ],
        Runs::Elsewhere(..) => vec![of(LockTopic::Hello(id.clone())), of(LockTopic::Event(id.clone()))],
        Runs::Original => Vec::new(),
    }
}

/// Hands each lock what is said to it.
async fn hear(ctx: &dyn Ctx, boxes: &[(LockId, mpsc::Sender<Heard>)]) {
    loop {
        match ctx.hear().await {
            doorward_core::driver::Heard::Connected(connected) => {
                for (_, lock) in boxes {
                    put(lock, Heard::Broker(connected)).await;
                }
            }
            doorward_core::driver::Heard::Message { topic, payload, kept } => {
                let Some(topic) = LockTopic::of(&topic) else { continue };
                if let Some((_, lock)) = boxes.iter().find(|(id, _)| id == topic.lock()) {
                    put(lock, Heard::Message { topic, payload, kept }).await;
                }
            }
        }
    }
}

/// Waits for a lock that has enough to do: a session that is dropped here would not come again before the next connection.
async fn put(lock: &mpsc::Sender<Heard>, heard: Heard) {
    // A lock without its keys takes nothing, and has said so.
    let _ = lock.send(heard).await;
}

/// Runs them side by side, all in one task: they share what the house gave.
async fn all<F: Future<Output = ()>>(locks: Vec<F>) {
    let mut locks: Vec<_> = locks.into_iter().map(Box::pin).collect();
    std::future::poll_fn(|cx| {
        for lock in &mut locks {
            // A lock never ends by itself.
            let _ = lock.as_mut().poll(cx);
        }
        std::task::Poll::<()>::Pending
    })
    .await;
}

fn refuse(person: &str, reason: Reason) -> Fault {
    Fault::refused(person, person).because(reason)
}

impl Driver for Ble {
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
