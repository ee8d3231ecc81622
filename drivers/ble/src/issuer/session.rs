//! Makes a session: the same one for the guest and for the lock.

use super::{
    Keys,
    pace::Delivery,
    registry::{Ask, AskedBy, Issued, Leave, Recipient, Refused},
};
use crate::clock::{Clock, random, seconds};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use doorward_wire::ble::{
    compat,
    request::{Response, Trouble},
    session::Session,
    token::{MOST_OFFSET, Nonce, SessionKey},
    v2::{Given, LockSession, Ways, seal_session},
};
use std::time::Duration;

/// A session that nobody has yet.
pub(super) struct Made {
    given: Given,
    session: Session,
    pub(super) issued: Issued,
}

/// Makes the session that was allowed.
pub(super) fn make(ask: &Ask, leave: &Leave, life: Duration, keys: &Keys, clock: &dyn Clock) -> Result<Made, Refused> {
    let now = seconds(ask.at.utc);
    let expiry = now.saturating_add(life.as_secs()).min(seconds(leave.until));
    if expiry <= now {
        return Err(Refused::new(Trouble::NoGrant, "the grant is over"));
    }
    let ways = ways(ask, leave)?;
    let offset = ask.client_time.map(|time| time.cast_signed().saturating_sub_unsigned(now));
    if offset.is_some_and(|offset| offset.unsigned_abs() > MOST_OFFSET) {
        return Err(Refused::new(Trouble::InvalidRequest, "the guest's clock is more than a day off"));
    }
    let (key, nonce): ([u8; 32], [u8; 8]) = (random(clock), random(clock));
    let (key, named) = (SessionKey::new(key), Nonce::new(nonce));
    // It is within a day.
    let short = offset.and_then(|offset| i32::try_from(offset).ok()).unwrap_or(0);
    let given = Given { key: key.clone(), nonce, expiry, clock_offset: short, slot: leave.slot, ways };
    let session = Session { key, expiry, nonce: named.clone(), phone_mac: ask.phone_mac, clock_offset: offset };
    let message = message(ask, leave, &given, &session, keys, clock)?;
    let issued = Issued {
        who: leave.who.clone(),
        fingerprint: ask.by.fingerprint(),
        public: ask.by.public(),
        client_id: ask.client_id.clone(),
        invite: ask.invite.clone(),
        phone_mac: ask.phone_mac,
        at: ask.at,
        delivery: Delivery { lock: ask.lock.clone(), own: leave.lock.is_own(), nonce: named, expiry, message },
    };
    Ok(Made { given, session, issued })
}

/// How this guest can open this door with this lock. Version 1 knows tokens only, on either side.
fn ways(ask: &Ask, leave: &Leave) -> Result<Ways, Refused> {
    let is_v1 = |by: &AskedBy| !matches!(by, AskedBy::V2(_) | AskedBy::House);
    if !is_v1(&ask.by) && matches!(leave.lock, Recipient::Own(_)) {
        return Ok(leave.ways);
    }
    let why = "this door is opened by a challenge alone, and the guest or the lock knows only tokens";
    leave.ways.has(Ways::TOKEN).then_some(Ways::TOKEN).ok_or_else(|| Refused::new(Trouble::NoGrant, why))
}

fn message(ask: &Ask, leave: &Leave, given: &Given, session: &Session, keys: &Keys, clock: &dyn Clock) -> Result<Vec<u8>, Refused> {
    let failed = |why: &dyn std::fmt::Display| Refused::internal(format!("no message for the lock {}: {why}", ask.lock));
    match &leave.lock {
        Recipient::Original(lock) | Recipient::OwnV1(lock) => {
            let issuer = keys.v1.as_ref().ok_or_else(|| failed(&"this issuer has no key of version 1"))?;
            Ok(compat::issue(session, &ask.lock, lock, issuer).map_err(|why| failed(&why))?.write().into_bytes())
        }
        Recipient::Own(lock) => {
            let issuer = keys.v2.as_ref().ok_or_else(|| failed(&"this issuer has no keys of version 2"))?;
            let session = LockSession { given: given.clone(), fingerprint: fingerprint(&ask.by) };
            seal_session(&session, &ask.lock, lock, issuer, random(clock)).map_err(|why| failed(&why))
        }
    }
}

/// Ten bytes that name the key of either version; zeros where there is none.
fn fingerprint(by: &AskedBy) -> [u8; 10] {
    let name = by.fingerprint().and_then(|name| URL_SAFE_NO_PAD.decode(name).ok());
    name.and_then(|name| name.try_into().ok()).unwrap_or_default()
}

impl Made {
    /// What a guest of version 2 is answered.
    pub(super) fn given(&self) -> Given {
        self.given.clone()
    }

    /// What a guest of version 1 is answered.
    pub(super) fn response(&self, ask: &Ask, keys: &Keys) -> Result<Response, Refused> {
        let AskedBy::V1(guest) = &ask.by else { return Ok(Response::Plain(self.session.clone())) };
        let issuer = keys.v1.as_ref().ok_or_else(|| Refused::internal("this issuer has no key of version 1"))?;
        let sealed = compat::answer(&self.session, ask.client_id.as_deref(), guest, issuer);
        sealed.map(Response::Sealed).map_err(|why| Refused::internal(format!("no answer for the guest: {why}")))
    }
}
