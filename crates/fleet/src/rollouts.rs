//! Rollouts: firmware goes out in groups, each only when the one before has had enough ([`doorward_core::rollout`] has the rules).
//!
//! Every few seconds what has ended is counted and what comes next is done, from what is written down alone: whoever is killed in
//! between goes on after a start. A device is written down as offered before it is offered anything.

use crate::{Fleet, OfferError};
use aws_lc_rs::digest;
use doorward_core::{
    record::NewEvent,
    rollout::{self, BUCKETS, Next, Plan, PlanError, Tally},
};
use doorward_store::{DeviceOffer, Firmware, Rollout, RolloutDevice, RolloutState, StoreError, StoredDevice};
use doorward_wire::{
    Time,
    attempt::{Actor, ActorKind},
    device::DeviceId,
    event::EventKind,
    firmware::{Hardware, Version},
};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// How often it is looked what comes next.
const LOOK: Duration = Duration::from_secs(2);
/// After a try that failed.
const AGAIN: Duration = Duration::from_mins(5);
/// A device that said that it is busy is asked again.
const BUSY: Duration = Duration::from_mins(10);
/// A device that is connected and does nothing for so long has failed.
const STUCK: Duration = Duration::from_mins(30);
/// What a device says that cannot be updated now.
const VETO: &str = "busy";

/// Why a rollout is not made or not changed. `Display` says what a person can do.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// There is none.
    #[error("there is no rollout with this identifier")]
    Unknown,
    /// There is none.
    #[error("there is no firmware of this version for this hardware")]
    Firmware,
    /// It cannot be followed.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Nobody to reach.
    #[error("no device with this hardware has rights")]
    NoDevices,
    /// It stands so that this cannot be.
    #[error("the rollout is {0}, and this cannot be done to it then")]
    State(RolloutState),
    /// Two at once would be in each other's way.
    #[error("another rollout for this hardware is under way; stop it, or wait for its end")]
    Another,
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a person does with a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Agree to it: it begins as soon as it may.
    Approve,
    /// Offer it to nobody for now.
    Pause,
    /// Go on.
    Resume,
    /// End it. Devices that have begun may go on.
    Stop,
    /// End it, and offer those that ran it what they ran before.
    RollBack,
}

impl Turn {
    /// The state that it leads to.
    const fn leads_to(self, from: RolloutState) -> Option<RolloutState> {
        use RolloutState::{Approved, Done, Draft, Paused, RolledBack, Running, Stopped};
        match (self, from) {
            (Self::Approve, Draft) => Some(Approved),
            (Self::Pause, Approved | Running) => Some(Paused),
            (Self::Resume, Paused) => Some(Running),
            (Self::Stop, Draft | Approved | Running | Paused) => Some(Stopped),
            (Self::RollBack, Running | Paused | Stopped | Done) => Some(RolledBack),
            _ => None,
        }
    }
}

/// A rollout, with how its devices stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutView {
    /// The rollout.
    pub rollout: Rollout,
    /// Its groups.
    pub tallies: Vec<Tally>,
}

impl Fleet {
    /// Makes a rollout for all devices of one hardware. Nothing is offered before somebody approves it.
    pub async fn plan_rollout(
        &self,
        hardware: Option<&Hardware>,
        version: &Version,
        plan: Plan,
        actor: &Actor,
    ) -> Result<Rollout, RolloutError> {
        plan.check()?;
        let (house, hardware) = (self.house(), hardware.unwrap_or(&self.options().hardware));
        house.store().firmware(hardware, version).await?.ok_or(RolloutError::Firmware)?;
        let now = house.now().utc;
        let rollout = Rollout {
            id: house.clock().uuid().to_string(),
            hardware: hardware.clone(),
            version: version.clone(),
            plan,
            state: RolloutState::Draft,
            detail: None,
            group: 0,
            created: now,
            changed: now,
        };
        let all = house.store().devices().await?;
        let devices: Vec<RolloutDevice> = all
            .into_iter()
            .filter(|device| device.revoked.is_none() && self.hardware_of(device) == hardware)
            .map(|device| {
                let bucket = bucket(&rollout.id, &device.id);
                let runs = self.registry().newer(&device.id, device.report).firmware;
                let is_there = runs.as_deref().is_some_and(|runs| version.is_said(runs));
                RolloutDevice {
                    bucket,
                    group: rollout.plan.group_of(bucket),
                    state: if is_there { "done" } else { "waiting" }.into(),
                    before: runs.filter(|_| !is_there),
                    tries: 0,
                    not_before: Time::default(),
                    error: None,
                    device: device.id,
                }
            })
            .collect();
        if devices.is_empty() {
            return Err(RolloutError::NoDevices);
        }
        let event = self.rollout_event(&rollout).actor(actor);
        house.tell(vec![house.store().add_rollout(&rollout, &devices, &event).await?]);
        Ok(rollout)
    }

    /// Every rollout, newest first.
    pub async fn rollouts(&self) -> Result<Vec<RolloutView>, StoreError> {
        let online = self.online();
        let mut views = Vec::new();
        for rollout in self.house().store().rollouts().await? {
            let tallies = self.house().store().tally_rollout(&rollout, &online).await?;
            views.push(RolloutView { rollout, tallies });
        }
        Ok(views)
    }

    /// One rollout.
    pub async fn rollout(&self, id: &str) -> Result<Option<RolloutView>, StoreError> {
        let Some(rollout) = self.house().store().rollout(id).await? else { return Ok(None) };
        let tallies = self.house().store().tally_rollout(&rollout, &self.online()).await?;
        Ok(Some(RolloutView { rollout, tallies }))
    }

    /// Does with a rollout what a person wants.
    pub async fn turn_rollout(&self, id: &str, turn: Turn, actor: &Actor) -> Result<Rollout, RolloutError> {
        let store = self.house().store();
        let before = store.rollout(id).await?.ok_or(RolloutError::Unknown)?;
        let state = turn.leads_to(before.state).ok_or(RolloutError::State(before.state))?;
        if turn == Turn::Approve {
            let active = |other: &Rollout| {
                use RolloutState::{Approved, Paused, Running};
                other.id != before.id && other.hardware == before.hardware && matches!(other.state, Approved | Running | Paused)
            };
            if store.rollouts().await?.iter().any(active) {
                return Err(RolloutError::Another);
            }
        }
        let after = Rollout { state, detail: None, ..before.clone() };
        let event = self.rollout_event(&after).actor(actor);
        let told = store.change_rollout(&before, &after, &event).await?.ok_or(RolloutError::State(before.state))?;
        self.house().tell(vec![told]);
        if matches!(turn, Turn::Stop | Turn::RollBack) {
            self.leave(&after, turn == Turn::RollBack, actor).await?;
        }
        Ok(after)
    }

    /// Takes back what was offered and not begun; on the way back also offers what devices ran before.
    async fn leave(&self, rollout: &Rollout, back: bool, actor: &Actor) -> Result<(), StoreError> {
        let mut stay = Vec::new();
        for device in self.house().store().rollout_devices(&rollout.id).await? {
            let before = device.before.as_deref().and_then(|before| before.trim().parse::<Version>().ok());
            match (device.state.as_str(), before) {
                ("offered", _) => _ = self.withdraw(&device.device, actor).await?,
                ("done", Some(before)) if back => {
                    if let Err(error) = self.offer(&device.device, &before, true, actor).await {
                        let error = format!("it cannot go back to {before}: {error}");
                        tracing::warn!(device = %device.device, error);
                        stay.push(RolloutDevice { error: Some(error), ..device });
                    }
                }
                _ => {}
            }
        }
        self.house().store().change_rollout_devices(&rollout.id, &stay, self.house().now().utc).await
    }

    fn rollout_event(&self, rollout: &Rollout) -> NewEvent {
        let data = json!({
            "rollout": rollout.id,
            "hardware": rollout.hardware,
            "version": rollout.version,
            "state": rollout.state.as_str(),
            "group": rollout.group,
            "detail": rollout.detail,
        });
        NewEvent::new(self.house().now().utc, EventKind::RolloutChanged).data(data)
    }

    fn online(&self) -> BTreeSet<DeviceId> {
        self.connected().into_keys().collect()
    }

    /// Does what comes next in every rollout, until the fleet stops.
    pub(crate) async fn keep_rolling(self) {
        let (clock, mut stopping) = (Arc::clone(self.house().clock()), self.stopping());
        loop {
            tokio::select! {
                () = clock.sleep_until(clock.now().mono.plus(LOOK)) => {}
                _ = stopping.wait_for(|stopping| *stopping) => return,
            }
            let began = clock.now().mono;
            let rolled = self.roll_on().await;
            metrics::gauge!("doorward_rollout_round_seconds").set(clock.now().mono.since(began).as_secs_f64());
            match rolled {
                // Whoever is killed in between sends them when the devices are back.
                Ok(offered) => {
                    for Offered { device, image } in &offered {
                        self.send_offer(device, image).await;
                    }
                }
                Err(error) => tracing::warn!(%error, "rollouts cannot go on now"),
            }
        }
    }

    /// Does what comes next in every rollout. Gives the devices that are to be told what they were offered.
    async fn roll_on(&self) -> Result<Vec<Offered>, StoreError> {
        let mut offered = Vec::new();
        for rollout in self.house().store().rollouts().await? {
            match rollout.state {
                RolloutState::Approved if self.is_time(&rollout).await? => {
                    self.goes(&rollout, Rollout { state: RolloutState::Running, ..rollout.clone() }).await?;
                }
                RolloutState::Running => offered.extend(self.roll(&rollout).await?),
                RolloutState::Paused => self.count(&rollout).await?,
                RolloutState::Draft | RolloutState::Approved | RolloutState::Done | RolloutState::Stopped | RolloutState::RolledBack => {}
            }
        }
        Ok(offered)
    }

    async fn is_time(&self, rollout: &Rollout) -> Result<bool, StoreError> {
        let now = self.house().now().utc.timestamp().to_zoned(self.zone().await?);
        let minute = u16::try_from(i32::from(now.hour()) * 60 + i32::from(now.minute())).unwrap_or_default();
        Ok(rollout.plan.is_open(minute))
    }

    async fn goes(&self, before: &Rollout, after: Rollout) -> Result<(), StoreError> {
        let event = self.rollout_event(&after);
        if let Some(told) = self.house().store().change_rollout(before, &after, &event).await? {
            tracing::info!(rollout = after.id, version = %after.version, state = %after.state, group = after.group, "a rollout goes on");
            self.house().tell(vec![told]);
        }
        Ok(())
    }

    async fn roll(&self, rollout: &Rollout) -> Result<Vec<Offered>, StoreError> {
        self.count(rollout).await?;
        let (store, online) = (self.house().store(), self.online());
        let tallies = store.tally_rollout(rollout, &online).await?;
        let with = |state, detail: &str| Rollout { state, detail: (!detail.is_empty()).then(|| detail.to_owned()), ..rollout.clone() };
        match rollout::next(&rollout.plan, rollout.group, &tallies, self.is_time(rollout).await?) {
            Next::Wait => {}
            Next::Offer(most) => {
                let waiting = store.waiting_in_rollout(rollout, self.house().now().utc).await?;
                let most = usize::try_from(most).unwrap_or_default();
                let some = waiting.into_iter().filter(|device| online.contains(&device.device)).take(most);
                return self.offer_some(rollout, some.collect()).await;
            }
            Next::Group(group) => self.goes(rollout, Rollout { group, ..rollout.clone() }).await?,
            Next::Done => self.goes(rollout, with(RolloutState::Done, "")).await?,
            Next::Stop => self.goes(rollout, with(RolloutState::Stopped, "too many devices failed")).await?,
            Next::Pause => self.goes(rollout, with(RolloutState::Paused, "too few devices of this group took it")).await?,
        }
        Ok(Vec::new())
    }

    /// Offers it to devices, all in one commit; they are told after it.
    async fn offer_some(&self, rollout: &Rollout, some: Vec<RolloutDevice>) -> Result<Vec<Offered>, StoreError> {
        let (store, now) = (self.house().store(), self.house().now().utc);
        let Some(image) = store.firmware(&rollout.hardware, &rollout.version).await?.map(Arc::new) else {
            let stop = Rollout { state: RolloutState::Stopped, detail: Some("its firmware is gone".into()), ..rollout.clone() };
            self.goes(rollout, stop).await?;
            return Ok(Vec::new());
        };
        if !self.gives_firmware() {
            let pause = Rollout { state: RolloutState::Paused, detail: Some(OfferError::NoListener.to_string()), ..rollout.clone() };
            self.goes(rollout, pause).await?;
            return Ok(Vec::new());
        }
        let by = Actor { kind: ActorKind::System, id: format!("rollout {}", rollout.id), name: None };
        let data = json!({ "hardware": image.hardware, "version": image.version });
        let (mut offered, mut written, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for device in some {
            let device = RolloutDevice { tries: device.tries + 1, ..device };
            let stored = store.device(&device.device).await?.filter(|stored| stored.revoked.is_none());
            let Some(stored) = stored else {
                others.push(RolloutDevice { state: "failed".into(), error: Some(OfferError::Device.to_string()), ..device });
                continue;
            };
            let runs = self.registry().newer(&stored.id, stored.report.clone()).firmware;
            let may = match &runs {
                Some(runs) => self.may_follow(runs, &image, false).await,
                None => Ok(()),
            };
            let before = runs.or_else(|| device.before.clone());
            match may {
                Ok(()) => {
                    let event = NewEvent::new(now, EventKind::FirmwareOffered).device(&stored.id).actor(&by).data(data.clone());
                    written.push((RolloutDevice { state: "offered".into(), before, ..device }, event));
                    offered.push(Offered { device: stored, image: Arc::clone(&image) });
                }
                Err(OfferError::Store(error)) => return Err(error),
                Err(OfferError::Runs) => others.push(RolloutDevice { state: "done".into(), error: None, ..device }),
                Err(error) => others.push(RolloutDevice { state: "failed".into(), error: Some(error.to_string()), ..device }),
            }
        }
        store.change_rollout_devices(&rollout.id, &others, now).await?;
        let told = store.offer_in_rollout(&rollout.id, &image, &written).await?;
        let new: BTreeSet<&DeviceId> = offered.iter().map(|offered| &offered.device.id).collect();
        let open = store.offers_in_rollout(&rollout.id).await?;
        self.open_offers(open.into_iter().filter(|offer| new.contains(&offer.device)));
        self.house().tell(told);
        Ok(offered)
    }

    /// Counts what has ended among the devices that were offered it.
    async fn count(&self, rollout: &Rollout) -> Result<(), StoreError> {
        let (store, now) = (self.house().store(), self.house().now().utc);
        let offers = store.offers_in_rollout(&rollout.id).await?;
        let mut offers: BTreeMap<DeviceId, DeviceOffer> = offers.into_iter().map(|offer| (offer.device.clone(), offer)).collect();
        let mut counted = Vec::new();
        for device in store.offered_in_rollout(&rollout.id).await? {
            let offer = offers.remove(&device.device).filter(|offer| offer.version == rollout.version);
            let again = |wait: Duration, error: &str| RolloutDevice {
                state: "waiting".into(),
                not_before: now.plus(wait),
                error: Some(error.to_owned()),
                ..device.clone()
            };
            let tries = u32::try_from(device.tries).unwrap_or(u32::MAX);
            let failed = |error: &str| {
                if tries >= rollout.plan.tries {
                    RolloutDevice { state: "failed".into(), error: Some(error.to_owned()), ..device.clone() }
                } else {
                    again(AGAIN, error)
                }
            };
            let after = match &offer {
                // It was written down, and what came after it was not.
                None => RolloutDevice { tries: device.tries - 1, ..again(Duration::ZERO, "") },
                Some(offer) => match (offer.state.as_str(), offer.error.as_deref().unwrap_or_default()) {
                    ("done", _) => RolloutDevice { state: "done".into(), error: None, ..device.clone() },
                    ("failed", error) if error.contains(VETO) => RolloutDevice { tries: device.tries - 1, ..again(BUSY, error) },
                    ("failed", error) => failed(error),
                    ("withdrawn", _) => failed("somebody took it back"),
                    _ if self.is_stuck(offer, now) => failed("the device is connected, and does nothing"),
                    _ => continue,
                },
            };
            counted.push(after);
        }
        store.change_rollout_devices(&rollout.id, &counted, now).await
    }

    /// Whether a device is here, and has done nothing about an offer for too long.
    fn is_stuck(&self, offer: &DeviceOffer, now: Time) -> bool {
        let changed = self.open_offer(&offer.device).map_or(offer.changed, |open| open.changed);
        now.since(changed) >= STUCK && self.connection(&offer.device).is_some()
    }
}

/// A device that is to be told what it was offered.
struct Offered {
    device: StoredDevice,
    image: Arc<Firmware>,
}

/// The number of a device in a rollout: always the same, and in each rollout another one.
fn bucket(rollout: &str, device: &DeviceId) -> u16 {
    let digest = digest::digest(&digest::SHA256, format!("{rollout}\n{device}").as_bytes());
    let number = digest.as_ref().iter().take(4).fold(0u32, |number, byte| number << 8 | u32::from(*byte));
    u16::try_from(number % u32::from(BUCKETS)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_spread_over_the_groups_and_differently_in_each_rollout() {
        let plan = Plan::default();
        let ids: Vec<DeviceId> = (0..10_000).map(|number| format!("{number:012X}").parse().unwrap()).collect();
        let groups = |rollout: &str| ids.iter().map(|id| plan.group_of(bucket(rollout, id))).collect::<Vec<_>>();
        let first = groups("one");
        assert_eq!(first, groups("one"), "always the same");
        let count = |group| first.iter().filter(|own| **own == group).count();
        assert!((400..600).contains(&count(0)) && (1_800..2_200).contains(&count(1)), "{} {}", count(0), count(1));
        assert_ne!(first, groups("two"), "nobody is always the first");
    }

    #[test]
    fn a_turn_is_taken_where_it_makes_sense() {
        use RolloutState::{Approved, Done, Draft, Paused, RolledBack, Running, Stopped};
        assert_eq!(Turn::Approve.leads_to(Draft), Some(Approved));
        assert_eq!(Turn::Approve.leads_to(Stopped), None, "what was stopped is made anew");
        assert_eq!((Turn::Pause.leads_to(Running), Turn::Resume.leads_to(Paused)), (Some(Paused), Some(Running)));
        assert_eq!(Turn::Resume.leads_to(Stopped), None);
        assert_eq!((Turn::RollBack.leads_to(Done), Turn::RollBack.leads_to(RolledBack)), (Some(RolledBack), None));
        assert_eq!(Turn::RollBack.leads_to(Draft), None, "nobody runs it");
    }
}
