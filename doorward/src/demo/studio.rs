//! A door over Bluetooth in the simulated air: its strike and its contact, a guest who walks up to it, and somebody who
//! listens, plays again what was said, and is refused.

use crate::{
    config::{BLE_KEYS, Sources},
    failure::Failure,
    radio::Clock,
};
use doorward_ble::{
    clock::Clock as _,
    guest::{Config, Enrolment, Guest, Held},
    keys::{Folder, Kind, PublicV2, Role, SecretV2},
    radio::{Address, Place as Adapter, Radio},
};
use doorward_core::{driver::Heard, record::NewEvent};
use doorward_engine::Handle;
use doorward_sim::air::{self, Air, Place};
use doorward_store::{Holder, PhoneKey, PhoneOf};
use doorward_wire::{
    ble::v2,
    event::EventKind,
    grant::{Actions, Doors, Terms},
};
use std::{path::Path, time::Duration};

/// The door, and what its lock is called on the air.
pub(super) const DOOR: &str = "studio_door";
/// Where the strike is told to open, and where its contact tells what it sees.
pub(super) const STRIKE: &str = "demo/studio_door/strike";
pub(super) const CONTACT: &str = "demo/studio_door/contact";

/// Where the key of the guest's phone is in the demo's folder.
const PHONE: &str = "sim/phone";
/// Whose phone it is.
const GUEST: &str = "Mia";

/// How far away the guest lives, how near she comes, and where somebody listens. In metres.
const FAR: f64 = 14.0;
const NEAR: f64 = 1.5;
const LISTENER: Place = Place::new(4.0, 3.0, 0.0);
/// The time of a step of a metre, of a look at the door, of the strike, and until she comes again.
const STEP: Duration = Duration::from_millis(400);
const LOOK: Duration = Duration::from_secs(4);
const OPEN: Duration = Duration::from_secs(3);
const AWAY: Duration = Duration::from_mins(3);
/// Tokens count for two slots of three seconds: what is played later is a replay for sure.
const LATER: Duration = Duration::from_secs(9);
/// Before she tries again when there was no session.
const AGAIN: Duration = Duration::from_secs(2);

/// The air of the demo, with what is needed before the house starts.
pub(super) struct Studio {
    air: Air,
    key: v2::Guest,
    issuer: v2::Identity,
    is_new: bool,
}

impl Studio {
    /// Makes the air, and keys at the first start.
    pub(super) async fn build(folder: &Path) -> Result<Self, Failure> {
        let failed = |what: &str| Failure::failed(format!("the door over Bluetooth: {what}"));
        let air = Air::start(air::Config::default()).await.map_err(|error| failed(&error.to_string()))?;
        let clock = Clock::start();
        let keys = Folder::new(folder.join(BLE_KEYS));
        let lock = Role::Lock(DOOR.parse().map_err(|_| failed("its lock has no good name"))?);
        let phone = Folder::new(folder.join(PHONE));
        let is_new = phone.read().map_err(|error| failed(&error.to_string()))?.v2.is_empty();
        let known = keys.read().map_err(|error| failed(&error.to_string()))?.v2;
        for (folder, role, missing) in [
            (&keys, &Role::Issuer, !known.contains_key(&Role::Issuer)),
            (&keys, &lock, !known.contains_key(&lock)),
            (&phone, &Role::Guest(None), is_new),
        ] {
            if missing {
                folder.create(role, Kind::V2, &clock).map_err(|error| failed(&error.to_string()))?;
            }
        }
        let mut keys = keys.read().map_err(|error| failed(&error.to_string()))?;
        let mut phone = phone.read().map_err(|error| failed(&error.to_string()))?;
        let Some(PublicV2::Issuer(issuer)) = keys.v2.remove(&Role::Issuer).map(|key| key.public) else {
            return Err(failed("the issuer's key is none"));
        };
        let Some(SecretV2::Guest(key)) = phone.v2.remove(&Role::Guest(None)).and_then(|key| key.secret) else {
            return Err(failed("the key of the guest's phone is none"));
        };
        Ok(Self { air, key, issuer, is_new })
    }

    /// Locks and issuer have their radios in this air.
    pub(super) fn furnish(&self, sources: &mut Sources) {
        let adapter = format!("air:{}", self.air.address());
        for path in ["ble.radio", "ble.issuer"] {
            sources.defaults.insert(path.into(), adapter.clone());
        }
    }

    /// Lets the guest live in it, for as long as nobody ends this.
    pub(super) async fn live(self, house: Handle) {
        if self.is_new
            && let Err(error) = self.enrol(&house).await
        {
            tracing::warn!(%error, "the guest of the demo could not be invited");
        }
        tokio::join!(strike(&house), self.visit(&house));
    }

    /// The guest, her right to the door, and her phone's key.
    async fn enrol(&self, house: &Handle) -> Result<(), doorward_store::StoreError> {
        let (store, now) = (house.store(), house.now().utc);
        let Ok(door) = DOOR.parse() else { return Ok(()) };
        let mia = store.add_person(GUEST, "guest", now).await?;
        let event = NewEvent::new(now, EventKind::GrantChanged).actor(&super::actor());
        let (_, event) =
            store.add_grant(Holder::Person(mia.id.clone()), vec![Doors::One(door)], Actions::Act, Terms::default(), &event).await?;
        house.tell(vec![event]);
        let key = self.key.key();
        let (of, public) = (PhoneOf::Person(mia.id), key.as_bytes().to_vec());
        let phone = PhoneKey { fingerprint: key.name(), of, name: format!("Phone of {GUEST}"), public, created: now, used: None };
        store.enrol_phone(&phone).await.map(drop)
    }

    /// She comes, is let in, goes; whoever listened tries what they heard; and so on.
    async fn visit(self, house: &Handle) {
        let clock = Clock::of(house.clock());
        let Ok(lock) = DOOR.parse() else { return };
        let guest = Guest::new(Config::new(lock), Enrolment::V2 { key: self.key, issuer: self.issuer });
        let adapter = Adapter::Air(self.air.address());
        let address = Address([0x4A, 0x3C, 0x11, 0x52, 0x07, 0x9B]);
        let Ok(radio) = adapter.open("phone", address, clock.stopwatch()).await else { return };
        loop {
            self.air.carry("phone", Place::new(FAR, 0.0, 0.0));
            let held = match guest.session(&*radio, &clock, &|_| {}).await {
                Ok(held) => held,
                Err(error) => {
                    tracing::debug!("the guest of the demo has no session: {error}");
                    clock.sleep(AGAIN).await;
                    continue;
                }
            };
            let listener = self.air.eavesdrop(LISTENER);
            walk_up(&self.air, &guest, &held, &*radio, &clock).await;
            clock.sleep(LATER).await;
            // Tokens, and not the beacon; right at the door.
            listener.replay_each(Place::new(0.0, 0.0, 0.0), |heard| heard.bytes.len() >= 32);
            drop(listener);
            clock.sleep(AWAY).await;
        }
    }
}

/// She walks up to the door, looks at it and walks away, and her phone shows tokens meanwhile.
async fn walk_up(air: &Air, guest: &Guest, held: &Held, radio: &dyn Radio, clock: &Clock) {
    let walk = async {
        let mut away = FAR;
        while away > NEAR {
            away -= 1.0;
            air.carry("phone", Place::new(away.max(NEAR), 0.0, 0.0));
            clock.sleep(STEP).await;
        }
        clock.sleep(LOOK).await;
        while away < FAR {
            away += 1.0;
            air.carry("phone", Place::new(away, 0.0, 0.0));
            clock.sleep(STEP).await;
        }
    };
    tokio::select! {
        () = walk => {}
        shown = guest.show(held, radio, clock, &|_| {}) => if let Err(error) = shown {
            tracing::debug!("the phone of the demo shows nothing: {error}");
        },
    }
}

/// The strike of the door, and the contact that sees it.
async fn strike(house: &Handle) {
    let part = house.exchange().part("demo: strike", STRIKE.parse().into_iter().collect());
    let tell = |open: bool| house.exchange().arrived(CONTACT, open.to_string().as_bytes(), false);
    let clock = Clock::of(house.clock());
    loop {
        match part.hear().await {
            Heard::Connected(true) => tell(false),
            Heard::Message { kept, .. } if !kept => {
                tell(true);
                clock.sleep(OPEN).await;
                tell(false);
            }
            Heard::Connected(false) | Heard::Message { .. } => {}
        }
    }
}
