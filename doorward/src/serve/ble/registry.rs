//! Who gets a session: whoever's key is known, or who brings an invite, as far as their rights reach now.

use super::desk::{Desk, LockAt};
use doorward_ble::issuer::{Ask, AskedBy, Issued, Leave, Recipient, Refused, Registry};
use doorward_core::{
    Secret,
    driver::BoxFuture,
    policy::{Rights, decide},
    setup::DoorSetup,
};
use doorward_store::{BleSession, Enrol, LockTold, PhoneKey, PhoneOf, StoreError};
use doorward_wire::{
    Time,
    attempt::{ActionWord, Reason},
    ble::{request::Trouble, v2::Ways},
};
use std::time::Duration;

/// How finely it is looked when a right ends.
const STEP: Duration = Duration::from_secs(15);
/// The longest name of a phone that is kept.
const NAME: usize = 40;

impl Registry for Desk {
    fn decide<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<Leave, Refused>> {
        Box::pin(async move {
            let leave = self.leave(ask).await;
            if let Err(refused) = &leave {
                let reason = match refused.trouble {
                    Trouble::NotEnrolled | Trouble::InviteRefused | Trouble::MissingUnlockerPublicKey => Reason::NotEnrolled,
                    Trouble::NoGrant => Reason::NoGrant,
                    Trouble::RateLimited => Reason::RateLimited,
                    Trouble::InvalidRequest | Trouble::InvalidChunk | Trouble::MissingLockId => Reason::BadRequest,
                    Trouble::InternalError => Reason::AuditUnavailable,
                };
                self.handle().refused(reason, None);
            }
            leave
        })
    }

    fn issued<'a>(&'a self, issued: &'a Issued) -> BoxFuture<'a, Result<(), Refused>> {
        Box::pin(self.keep(issued))
    }
}

impl Desk {
    async fn leave(&self, ask: &Ask) -> Result<Leave, Refused> {
        let lock = self.lock(&ask.lock).ok_or_else(|| Refused::new(Trouble::NoGrant, format!("there is no lock {} here", ask.lock)))?;
        let of = self.holder(ask).await?;
        self.leave_for(&of, lock, ask.at.utc, self.issuer().config().life).await.map_err(|why| match why {
            Denied::No(reason) => Refused::new(Trouble::NoGrant, format!("{} may not open {} now: {reason}", name(&of), lock.door)),
            Denied::Store(error) => Refused::internal(error.to_string()),
        })
    }

    /// For whom a phone asks: by its key, or by its invite while its key is nobody's.
    async fn holder(&self, ask: &Ask) -> Result<PhoneOf, Refused> {
        let store = self.handle().store();
        let failed = |error: StoreError| Refused::internal(error.to_string());
        let Some(fingerprint) = ask.by.fingerprint() else {
            let pass = self.plain().filter(|_| matches!(ask.by, AskedBy::Nobody));
            let why = "it has no key, and there is no pass for those";
            return pass.map(|id| PhoneOf::Pass(id.to_owned())).ok_or_else(|| Refused::new(Trouble::MissingUnlockerPublicKey, why));
        };
        if let Some(phone) = store.phone(&fingerprint).await.map_err(failed)? {
            // The whole key counts: a fingerprint has only ten bytes.
            let is_same = phone.public == ask.by.public();
            return is_same.then_some(phone.of).ok_or_else(|| Refused::new(Trouble::NotEnrolled, "another key with this fingerprint"));
        }
        let Some(invite) = &ask.invite else {
            return Err(Refused::new(Trouble::NotEnrolled, format!("{fingerprint} is nobody's key, and it has no invite")));
        };
        let of = store.phone_invite(&Secret::from(invite.as_str()), ask.at.utc).await.map_err(failed)?;
        of.ok_or_else(|| Refused::new(Trouble::InviteRefused, format!("{fingerprint} has an invite that is unknown, used or over")))
    }

    /// How far somebody's rights reach at a lock: whether they may open it now, and until when at most.
    pub(super) async fn leave_for(&self, of: &PhoneOf, lock: &LockAt, at: Time, life: Duration) -> Result<Leave, Denied> {
        let store = self.handle().store();
        let door = store.doors().await?.into_iter().find(|door| door.id == lock.door).ok_or(Denied::No(Reason::NoGrant))?;
        let (rights, _) = store.rights_of_phone(of).await?.ok_or(Denied::No(Reason::Revoked))?;
        let until = reach(&rights, &door, lock.asks, at, life)?;
        let ways = match (&lock.lock, lock.secure) {
            (Recipient::Own(_), true) => Ways::CHALLENGE,
            (Recipient::Own(_), false) => Ways::TOKEN.and(Ways::CHALLENGE),
            // It knows no challenges, so that nobody gets a session for it.
            (Recipient::Original(_) | Recipient::OwnV1(_), true) => return Err(Denied::No(Reason::DoorMode)),
            (Recipient::Original(_) | Recipient::OwnV1(_), false) => Ways::TOKEN,
        };
        Ok(Leave { until, who: name(of), lock: lock.lock.clone(), slot: lock.slot, ways })
    }

    /// Keeps a session and what it was asked with, and brings it to its lock.
    async fn keep(&self, issued: &Issued) -> Result<(), Refused> {
        let lock = self.lock(issued.lock()).ok_or_else(|| Refused::internal("the lock is gone"))?;
        let of = holder_of(&issued.who).ok_or_else(|| Refused::internal("nobody is called so"))?;
        let fingerprint = issued.fingerprint.clone().unwrap_or_else(|| "none".into());
        let session = BleSession {
            nonce: issued.nonce().to_string(),
            door: lock.door.clone(),
            of,
            phone: fingerprint.clone(),
            issued: issued.at.utc,
            expires: Time::from_micros(i64::try_from(issued.expiry()).unwrap_or(0).saturating_mul(1_000_000)),
            revoked: None,
            told: LockTold { lock: issued.lock().to_string(), own: issued.delivery.own, message: issued.delivery.message.clone() },
        };
        let failed = |error: StoreError| Refused::internal(error.to_string());
        let by = self.enrolment(issued, &session).await.map_err(failed)?;
        if !self.handle().store().add_ble_session(&session, &by).await.map_err(failed)? {
            return Err(Refused::new(Trouble::InviteRefused, format!("{fingerprint}: another phone used the invite first")));
        }
        self.deliver(issued.delivery.clone(), issued.at).await.map_err(Refused::internal)
    }

    /// Whether the phone's key is known, or comes with the invite now.
    async fn enrolment(&self, issued: &Issued, session: &BleSession) -> Result<Enrol, StoreError> {
        let (Some(fingerprint), Some(invite)) = (&issued.fingerprint, &issued.invite) else { return Ok(Enrol::Known) };
        if self.handle().store().phone(fingerprint).await?.is_some() {
            return Ok(Enrol::Known);
        }
        let called = issued.client_id.as_deref().unwrap_or("Phone").chars().filter(|letter| !letter.is_control()).take(NAME);
        let key = PhoneKey {
            fingerprint: fingerprint.clone(),
            of: session.of.clone(),
            name: called.collect(),
            public: issued.public.clone(),
            created: session.issued,
            used: None,
        };
        Ok(Enrol::Invite(Secret::from(invite.as_str()), key))
    }
}

/// Why somebody gets no session.
pub(super) enum Denied {
    /// Their rights do not reach so far.
    No(Reason),
    /// Nobody knows: the store cannot be asked.
    Store(StoreError),
}

impl From<StoreError> for Denied {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Until when somebody may open a door without a break, at most for so long. A lock that does not ask the house can hold no more
/// of a right than that time.
fn reach(rights: &Rights, door: &DoorSetup, asks: bool, at: Time, life: Duration) -> Result<Time, Denied> {
    let decision = decide(rights, door.place(), ActionWord::Open, at);
    let Some(permit) = decision.permit else { return Err(Denied::No(decision.denied.unwrap_or(Reason::NoGrant))) };
    let is_counted = permit
        .grant
        .as_ref()
        .is_some_and(|id| rights.grants().iter().any(|grant| grant.id.as_ref() == Some(id) && grant.terms.uses.is_some()));
    if !asks && (is_counted || permit.two_person || permit.duress) {
        return Err(Denied::No(Reason::DoorMode));
    }
    let mut until = at;
    while until < at.plus(life) {
        let next = until.plus(STEP);
        if !decide(rights, door.place(), ActionWord::Open, next).allowed {
            break;
        }
        until = next;
    }
    Ok(until)
}

/// How a holder is called between the two questions of a registry.
pub(super) fn name(of: &PhoneOf) -> String {
    match of {
        PhoneOf::Person(id) => format!("person {id}"),
        PhoneOf::Pass(id) => format!("pass {id}"),
    }
}

fn holder_of(name: &str) -> Option<PhoneOf> {
    match name.split_once(' ')? {
        ("person", id) => Some(PhoneOf::Person(id.to_owned())),
        ("pass", id) => Some(PhoneOf::Pass(id.to_owned())),
        _ => None,
    }
}
