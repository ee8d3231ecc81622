//! Passes that a lock takes without a network: a right of a phone, signed by the issuer.
//!
//! Such a lock asks nobody, so a pass has no more than the lock itself can hold: its time, its weekdays and hours, and whose key it
//! is. It is a session of the house all the same, so that what is done with it has a name, and it can be taken back.

use super::desk::{Desk, lock};
use doorward_ble::{
    clock::{Clock as _, seconds},
    issuer::{Recipient, pace::PaceError},
};
use doorward_core::{
    policy::{Actions, Grant, Rights},
    setup::DoorSetup,
};
use doorward_store::{BleSession, Enrol, LockTold, PhoneKey, StoreError};
use doorward_web::bluetooth::{NotGiven, Offline};
use doorward_wire::{
    Time,
    attempt::{ActionWord, Reason},
    ble::{
        LockId,
        v2::{
            GuestKey,
            pass::{self, MOST_HOURS, Pass},
        },
    },
    door::DoorId,
    grant::{Holidays, Terms, Weekday},
};

/// Minutes of a day.
const DAY: u16 = 24 * 60;

impl Desk {
    /// Signs what a phone may do at a door, until then at the latest.
    pub(super) async fn sign_for(&self, door: &DoorId, phone: &PhoneKey, until: Time) -> Result<Offline, NotGiven> {
        let (id, at) = self.at(door).ok_or(NotGiven::Denied(Reason::NotCapable))?;
        let key = phone.public.as_slice().try_into().ok().and_then(GuestKey::from_bytes);
        let (Recipient::Own(_), Some(issuer), Some(guest)) = (&at.lock, &self.issuer().keys().v2, key) else {
            return Err(NotGiven::Denied(Reason::NotCapable));
        };
        let (store, now) = (self.handle().store(), self.handle().now().utc);
        let unreachable = |error: StoreError| {
            tracing::error!(%error, "a pass could not be signed");
            NotGiven::Unreachable
        };
        let setup = store.doors().await.map_err(unreachable)?.into_iter().find(|known| known.id == *door);
        let setup = setup.ok_or(NotGiven::Denied(Reason::NoGrant))?;
        let (rights, _) = store.rights_of_phone(&phone.of).await.map_err(unreachable)?.ok_or(NotGiven::Denied(Reason::Revoked))?;
        let grant = best(&rights, &setup, now).ok_or(NotGiven::Denied(Reason::NoGrant))?;
        let mut serial = [0; 8];
        self.clock().fill(&mut serial);
        let (from, until) = (grant.terms.from.unwrap_or(now).max(now), grant.terms.until.map_or(until, |end| end.min(until)));
        let hours = hours(&grant.terms).ok_or(NotGiven::Denied(Reason::NotCapable))?;
        let zone = if setup.time_zone.is_empty() { "UTC" } else { &setup.time_zone };
        let pass = Pass {
            key_id: issuer.identity().key_id(),
            serial,
            epoch: self.epoch(id),
            guest,
            not_before: seconds(from),
            not_after: seconds(until),
            actions: pass::Actions::new(&[ActionWord::Open]).ok_or(NotGiven::Denied(Reason::NotCapable))?,
            doors: vec![id.clone()],
            zone: if hours.is_empty() { String::new() } else { zone.to_owned() },
            hours,
        };
        let frame = pass.issue(issuer).map_err(|_| NotGiven::Denied(Reason::NotCapable))?;
        let session = BleSession {
            nonce: pass.nonce().to_string(),
            door: door.clone(),
            of: phone.of.clone(),
            phone: phone.fingerprint.clone(),
            issued: now,
            expires: until,
            revoked: None,
            told: LockTold { lock: id.to_string(), own: true, message: Vec::new() },
        };
        store.add_ble_session(&session, &Enrol::Known).await.map_err(unreachable)?;
        Ok(Offline { lock: id.to_string(), from, until, pass: frame })
    }

    /// Ends every pass that was signed for a door until now. Gives how many were still good.
    pub(super) async fn end_all(&self, door: &DoorId) -> Result<usize, NotGiven> {
        let (id, _) = self.at(door).ok_or(NotGiven::Denied(Reason::NotCapable))?;
        let (store, now) = (self.handle().store(), self.handle().now());
        let failed = |error: StoreError| {
            tracing::error!(%error, "passes could not be ended");
            NotGiven::Unreachable
        };
        let signed = store.ble_sessions(Some(door), now.utc).await.map_err(failed)?;
        let mut ended = 0;
        for session in signed.into_iter().filter(|session| session.told.message.is_empty() && session.revoked.is_none()) {
            ended += usize::from(store.revoke_ble_session(&session.nonce, now.utc).await.map_err(failed)?);
        }
        let told = {
            let keys = self.issuer().keys();
            let key = keys.v2.as_ref().ok_or(NotGiven::Denied(Reason::NotCapable))?;
            let next = self.epoch(id).saturating_add(1);
            lock(self.deliveries(id)).epoch(id, next, key, now)
        };
        let message = told.map_err(|_| NotGiven::Unreachable)?;
        self.keep_list(id).await.map_err(failed)?;
        self.publish(vec![message]).await;
        Ok(ended)
    }

    /// Takes back the passes whose right is gone. A lock is told until they end by themselves.
    pub(super) async fn review_offline(&self) -> Result<(), StoreError> {
        let now = self.handle().now();
        for session in self.handle().store().ble_sessions(None, now.utc).await? {
            let (Ok(id), Ok(nonce)) = (session.told.lock.parse::<LockId>(), session.nonce.parse()) else { continue };
            if !session.told.message.is_empty() || self.is_listed(&id, &nonce) || self.holds_on(&session, now.utc).await? {
                continue;
            }
            match self.revoke(&id, &nonce, seconds(session.expires), now) {
                Ok(messages) => {
                    self.handle().store().revoke_ble_session(&session.nonce, now.utc).await?;
                    self.keep_list(&id).await?;
                    self.publish(messages).await;
                }
                Err(PaceError::Full) => tracing::error!(lock = %id, "more passes were taken back than the lock can be told of"),
                Err(error) => tracing::error!(lock = %id, "a pass could not be taken back: {error}"),
            }
        }
        Ok(())
    }

    async fn holds_on(&self, session: &BleSession, now: Time) -> Result<bool, StoreError> {
        if session.revoked.is_some() {
            return Ok(false);
        }
        let door = self.handle().store().doors().await?.into_iter().find(|door| door.id == session.door);
        let rights = self.handle().store().rights_of_phone(&session.of).await?;
        Ok(door.zip(rights).is_some_and(|(door, (rights, _))| rights.sees(&door.id, &door.site, now)))
    }
}

/// The right with the latest end that a lock can hold by itself. What somebody borrowed, the lock could not ask about.
fn best<'a>(rights: &'a Rights, door: &DoorSetup, now: Time) -> Option<&'a Grant> {
    let holds = |grant: &&Grant| {
        let Terms { uses, two_person, duress, holidays, .. } = &grant.terms;
        let alone = uses.is_none() && !two_person && !duress && *holidays == Holidays::AsUsual;
        alone && grant.actions == Actions::Act && !grant.is_over(now) && grant.doors.iter().any(|doors| doors.cover(&door.id, &door.site))
    };
    let grants = rights.grants().iter().filter(|_| !rights.is_borrowed()).filter(holds);
    grants.max_by_key(|grant| grant.terms.until.unwrap_or(Time::from_micros(i64::MAX)))
}

/// Days and hours as a pass has them; nothing when there are more than fit.
fn hours(terms: &Terms) -> Option<Vec<pass::Hours>> {
    if terms.weekdays.is_empty() && terms.hours.is_empty() {
        return Some(Vec::new());
    }
    let bit = |day: &Weekday| Weekday::ALL.iter().position(|known| known == day).map_or(0, |at| 1 << at);
    let days = if terms.weekdays.is_empty() { 0x7F } else { terms.weekdays.iter().fold(0, |days, day| days | bit(day)) };
    let minute = |time: jiff::civil::Time| u16::try_from(i32::from(time.hour()) * 60 + i32::from(time.minute())).unwrap_or(0);
    let window = |hours: &doorward_wire::grant::Hours| {
        let until = minute(hours.until());
        pass::Hours { days, from: minute(hours.from()), until: if until == 0 { DAY } else { until } }
    };
    let windows: Vec<pass::Hours> =
        if terms.hours.is_empty() { vec![pass::Hours { days, from: 0, until: DAY }] } else { terms.hours.iter().map(window).collect() };
    (windows.len() <= MOST_HOURS).then_some(windows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_hours_become_those_of_a_pass() {
        assert_eq!(hours(&Terms::default()), Some(Vec::new()));
        let terms = Terms {
            weekdays: vec!["mon".parse().unwrap(), "sun".parse().unwrap()],
            hours: vec!["08:00-18:30".parse().unwrap(), "22:00-06:00".parse().unwrap(), "20:00-00:00".parse().unwrap()],
            ..Terms::default()
        };
        let window = |from, until| pass::Hours { days: 0b100_0001, from, until };
        assert_eq!(hours(&terms), Some(vec![window(480, 1110), window(1320, 360), window(1200, 1440)]));
        let days = Terms { weekdays: vec!["tue".parse().unwrap()], ..Terms::default() };
        assert_eq!(hours(&days), Some(vec![pass::Hours { days: 0b10, from: 0, until: 1440 }]));
    }
}
