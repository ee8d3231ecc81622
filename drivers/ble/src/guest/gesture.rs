//! Opens by a gesture: the answer to a lock's challenge, or a pass and the proof that it is the guest's own.

use super::{Enrolment, Guest, GuestError, Held, Progress, Tell};
use crate::{
    clock::Clock,
    issuer::uuid,
    radio::{Connection, Notifications, Radio, RadioError, Sighting},
};
use doorward_core::driver::BoxFuture;
use doorward_wire::{
    attempt::ActionWord,
    ble::{
        LockId,
        v2::{
            self, CHALLENGE_CHARACTERISTIC, Challenge, Given, LOCK_SERVICE, RESPONSE_CHARACTERISTIC, Ways,
            challenge::{Outcome, respond},
            pass::{parts, prove},
        },
    },
};
use uuid::Uuid;

/// Asks the owner for a gesture, made for this opening of this lock. `false` when it is not made.
pub type Confirm<'a> = &'a (dyn Fn(&LockId, ActionWord) -> BoxFuture<'static, bool> + Send + Sync);

/// By what.
#[derive(Clone, Copy)]
enum By<'a> {
    Session(&'a Given),
    Pass(&'a [u8], &'a v2::Guest),
}

/// Where a lock is asked.
struct At {
    challenge: Uuid,
    response: Uuid,
    told: Notifications,
}

impl Guest {
    /// Answers the challenge of the lock of this session, after a gesture.
    pub async fn open(
        &self,
        held: &Held,
        action: ActionWord,
        radio: &dyn Radio,
        clock: &dyn Clock,
        confirm: Confirm<'_>,
        tell: Tell<'_>,
    ) -> Result<(), GuestError> {
        let given = held.given.as_ref().filter(|given| given.ways.has(Ways::CHALLENGE)).ok_or(GuestError::NoGesture)?;
        if held.end() <= clock.now().utc {
            return Err(GuestError::Over);
        }
        self.at_lock(By::Session(given), action, radio, clock, confirm, tell).await
    }

    /// Shows a pass to a lock, after a gesture. The lock need not have heard of this guest.
    pub async fn present(
        &self,
        pass: &[u8],
        action: ActionWord,
        radio: &dyn Radio,
        clock: &dyn Clock,
        confirm: Confirm<'_>,
        tell: Tell<'_>,
    ) -> Result<(), GuestError> {
        // A pass is a thing of version 2.
        let Enrolment::V2 { key, issuer } = &self.enrolment else { return Err(GuestError::NoGesture) };
        v2::pass::Pass::open(pass, issuer)?;
        self.at_lock(By::Pass(pass, key), action, radio, clock, confirm, tell).await
    }

    async fn at_lock(
        &self,
        by: By<'_>,
        action: ActionWord,
        radio: &dyn Radio,
        clock: &dyn Clock,
        confirm: Confirm<'_>,
        tell: Tell<'_>,
    ) -> Result<(), GuestError> {
        let service = uuid(LOCK_SERVICE);
        let is_one = |sighting: &Sighting| match self.config.lock_address {
            Some(address) => sighting.address == address,
            None => sighting.services.contains(&service),
        };
        let visit = move |connection: Box<dyn Connection>| -> BoxFuture<'_, Result<Outcome, GuestError>> {
            Box::pin(async move {
                let done = self.gesture(by, action, &*connection, clock, confirm, tell).await;
                connection.disconnect().await;
                done
            })
        };
        let outcome = self.visit(&is_one, &visit, radio, clock, tell).await?;
        tell(Progress::Told(outcome));
        if outcome == Outcome::Done { Ok(()) } else { Err(GuestError::Lock(outcome)) }
    }

    /// Everything at one lock. The gesture comes before the challenge that is answered: that one is good for two seconds.
    async fn gesture(
        &self,
        by: By<'_>,
        action: ActionWord,
        connection: &dyn Connection,
        clock: &dyn Clock,
        confirm: Confirm<'_>,
        tell: Tell<'_>,
    ) -> Result<Outcome, GuestError> {
        let (challenge, response) = (uuid(CHALLENGE_CHARACTERISTIC), uuid(RESPONSE_CHARACTERISTIC));
        if ![challenge, response].iter().all(|own| connection.has(uuid(LOCK_SERVICE), *own)) {
            return Err(GuestError::NoIssuer(2));
        }
        let mut at = At { challenge, response, told: connection.subscribe(response).await? };
        let first = self.challenge(&at, connection).await?;
        if matches!(by, By::Pass(..)) && !first.takes_passes {
            return Err(GuestError::NoPasses);
        }
        if !first.knows_time {
            return Ok(Outcome::NoTime);
        }
        tell(Progress::Gesture);
        if !confirm(&self.config.lock, action).await {
            return Err(GuestError::Declined);
        }
        // From here on an error is for good: the gesture was made for one opening, and that may have happened.
        let answered = self.answer(by, action, &mut at, connection, clock).await;
        answered.map_err(|error| if error.looks_on() { GuestError::Unsure(error.to_string()) } else { error })
    }

    async fn answer(
        &self,
        by: By<'_>,
        action: ActionWord,
        at: &mut At,
        connection: &dyn Connection,
        clock: &dyn Clock,
    ) -> Result<Outcome, GuestError> {
        if let By::Pass(pass, _) = by {
            for part in parts(pass) {
                connection.write(at.response, &part).await?;
            }
        }
        let mut outcome = Outcome::Again;
        for _ in 0..2 {
            let asked = self.challenge(at, connection).await?;
            let frame = match by {
                By::Session(given) => respond(&asked, &self.config.lock, given, action)?,
                By::Pass(pass, key) => prove(pass, &self.config.lock, &asked.bytes, action, key)?,
            };
            connection.write(at.response, &frame).await?;
            outcome = tokio::select! {
                told = at.told.next() => {
                    let told = told.ok_or_else(|| RadioError::Disconnected("before the result".into()))?;
                    Outcome::read(&told)?
                }
                () = clock.sleep(self.config.answer) => return Err(GuestError::NoAnswer),
            };
            if outcome != Outcome::Again {
                break;
            }
        }
        Ok(outcome)
    }

    async fn challenge(&self, at: &At, connection: &dyn Connection) -> Result<Challenge, GuestError> {
        let challenge = Challenge::read(&connection.read(at.challenge).await?).map_err(GuestError::Frame)?;
        if challenge.lock == self.config.lock { Ok(challenge) } else { Err(GuestError::OtherLock(challenge.lock.to_string())) }
    }
}
