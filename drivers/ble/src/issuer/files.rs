//! An issuer that stands alone: who may have a session is who has a public key in a folder.

use super::{
    pace::Deliveries,
    registry::{Ask, AskedBy, Issued, Leave, Recipient, Refused, Registry},
};
use crate::keys::{Contents, PublicV2, Role};
use doorward_core::{
    Now,
    driver::{BoxFuture, Fault, Message},
};
use doorward_wire::{
    Time,
    ble::{
        LockId,
        compat::PublicKey,
        request::Trouble,
        token::SlotLength,
        v2::{GuestKey, Ways},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Publishes, and returns when the broker has it.
pub type Publish = Box<dyn Fn(Message) -> BoxFuture<'static, Result<(), Fault>> + Send + Sync>;

/// Whose public key lies in a folder may have a session for every lock whose key lies there, at any time: as in the original.
///
/// It knows no invites, and keeps nothing: a session that the broker did not take is not given. Put what
/// [`tick`](Self::tick) and [`hello`](Self::hello) say into a loop, so that locks of the original hear sessions again.
pub struct FileRegistry {
    guests: BTreeMap<String, (Role, AnyKey)>,
    locks: BTreeMap<LockId, Recipient>,
    slot: SlotLength,
    plain: bool,
    publish: Publish,
    deliveries: Mutex<Deliveries>,
}

enum AnyKey {
    V1(PublicKey),
    V2(GuestKey),
}

impl FileRegistry {
    /// Those of a folder. `own` are the locks that are doorward's, which find their sessions retained; one with a key of version 2
    /// always is.
    pub fn new(contents: Contents, own: &BTreeSet<LockId>, publish: Publish) -> Self {
        let (mut guests, mut locks) = (BTreeMap::new(), BTreeMap::new());
        for (role, key) in contents.v1 {
            match role {
                Role::Guest(_) => {
                    guests.insert(key.public.fingerprint(), (role, AnyKey::V1(key.public)));
                }
                Role::Lock(id) => {
                    let public = Arc::new(key.public);
                    let lock = if own.contains(&id) { Recipient::OwnV1(public) } else { Recipient::Original(public) };
                    locks.insert(id, lock);
                }
                Role::Issuer => {}
            }
        }
        for (role, key) in contents.v2 {
            match (role, key.public) {
                (role @ Role::Guest(_), PublicV2::Guest(public)) => {
                    guests.insert(public.name(), (role, AnyKey::V2(public)));
                }
                (Role::Lock(id), PublicV2::Lock(public)) => {
                    locks.insert(id, Recipient::Own(public));
                }
                (Role::Issuer | Role::Guest(_) | Role::Lock(_), _) => {}
            }
        }
        let (slot, deliveries) = (SlotLength::default(), Mutex::new(Deliveries::default()));
        Self { guests, locks, slot, plain: false, publish, deliveries }
    }

    /// With another length of slots.
    #[must_use]
    pub fn slot(self, slot: SlotLength) -> Self {
        Self { slot, ..self }
    }

    /// Gives sessions to who has no key, if the issuer lets it ask: to everybody who is near.
    #[must_use]
    pub fn plain(self, plain: bool) -> Self {
        Self { plain, ..self }
    }

    /// A lock is back: sessions are said to it again.
    pub async fn hello(&self, lock: &LockId, now: Now) -> Result<(), Fault> {
        let messages = self.deliveries().hello(lock, now);
        self.publish(messages).await
    }

    /// The broker is there again, and may have forgotten every session.
    pub async fn connected(&self, now: Now) -> Result<(), Fault> {
        let messages = self.deliveries().again(now);
        self.publish(messages).await
    }

    /// Says again what is due and ends what is over. Call it every few seconds.
    pub async fn tick(&self, now: Now) -> Result<(), Fault> {
        let messages = self.deliveries().tick(now);
        self.publish(messages).await
    }

    async fn publish(&self, messages: Vec<Message>) -> Result<(), Fault> {
        for message in messages {
            (self.publish)(message).await?;
        }
        Ok(())
    }

    fn deliveries(&self) -> MutexGuard<'_, Deliveries> {
        self.deliveries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who asks, as its file is called. The whole key counts: a fingerprint has only ten bytes.
    fn who(&self, by: &AskedBy) -> Option<String> {
        let (role, key) = match by.fingerprint() {
            Some(name) => self.guests.get(&name)?,
            None => return self.plain.then(|| "anybody".into()),
        };
        let is_same = match (key, by) {
            (AnyKey::V1(own), AskedBy::V1(key)) => *own == **key,
            (AnyKey::V2(own), AskedBy::V2(key)) => own == key,
            (AnyKey::V1(_) | AnyKey::V2(_), AskedBy::V1(_) | AskedBy::V2(_) | AskedBy::Nobody | AskedBy::House) => false,
        };
        is_same.then(|| role.to_string())
    }
}

impl Registry for FileRegistry {
    fn decide<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<Leave, Refused>> {
        Box::pin(async move {
            let Some(who) = self.who(&ask.by) else {
                let key = ask.by.fingerprint().unwrap_or_else(|| "no key".into());
                return Err(match &ask.invite {
                    Some(_) => Refused::new(Trouble::InviteRefused, format!("{key} has an invite, and there are none here")),
                    None => {
                        Refused::new(Trouble::NotEnrolled, format!("{key} is nobody's: put unlocker_<name>_public.pem into the folder"))
                    }
                });
            };
            let lock = self.locks.get(&ask.lock).cloned();
            let lock = lock.ok_or_else(|| Refused::new(Trouble::NoGrant, format!("there is no key of the lock {}", ask.lock)))?;
            let ways = if matches!(lock, Recipient::Own(_)) { Ways::TOKEN.and(Ways::CHALLENGE) } else { Ways::TOKEN };
            Ok(Leave { until: Time::from_micros(i64::MAX), who, lock, slot: self.slot, ways })
        })
    }

    fn issued<'a>(&'a self, issued: &'a Issued) -> BoxFuture<'a, Result<(), Refused>> {
        Box::pin(async move {
            let message = self.deliveries().issue(issued.delivery.clone(), issued.at);
            let message = message.map_err(|why| Refused::internal(format!("no session for {}: {why}", issued.lock())))?;
            if let Err(fault) = (self.publish)(message).await {
                self.deliveries().withdraw(issued.lock(), issued.nonce());
                let why = fault.log;
                return Err(Refused::internal(format!(
                    "the session does not get to the lock {}, look at the broker: {why}",
                    issued.lock()
                )));
            }
            Ok(())
        })
    }
}
