//! Tokens, one for each slot, until the session is over.

use super::{Guest, GuestError, Held, Progress, Tell};
use crate::{
    clock::Clock,
    radio::{Advertisement, Advertising, Fields, Radio, RadioError},
};
use doorward_wire::{
    Time,
    ble::{
        ADVERTISED_SERVICE, COMPANY,
        token::{SlotLength, Tokens, slot_at},
        v2::{Advertised, Hints, Ways},
    },
};
use std::time::Duration;

/// Between two tries with an adapter that does not advertise.
const RETRY: Duration = Duration::from_secs(1);

/// What is shown when, by the guest's own clock: no IO, no clock.
#[derive(Debug, Clone)]
pub struct Schedule {
    tokens: Tokens,
    hints: Option<Hints>,
    slot: SlotLength,
    end: Time,
    name: Option<String>,
}

/// What is shown now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The slot.
    pub slot: u64,
    /// What is advertised.
    pub advertisement: Advertisement,
    /// For how long.
    pub lasts: Duration,
}

impl Schedule {
    /// That of a session. An error when its lock wants no tokens.
    pub fn new(held: &Held, name: Option<&str>) -> Result<Self, GuestError> {
        let hinted = held.ways.has(Ways::HINTED);
        if !hinted && !held.ways.has(Ways::TOKEN) {
            return Err(GuestError::NeedsGesture);
        }
        let key = &held.session.key;
        Ok(Self {
            tokens: Tokens::new(key, held.session.nonce.as_str()),
            hints: hinted.then(|| Hints::new(key)),
            slot: held.slot,
            end: held.end(),
            name: name.map(Into::into),
        })
    }

    /// What is shown at this time; `None` when the session is over.
    pub fn at(&self, now: Time) -> Option<Step> {
        let slot = slot_at(now, 0, self.slot).filter(|_| now < self.end)?;
        let token = self.tokens.at(slot);
        let named = Fields { name: self.name.clone(), ..Fields::new() };
        let advertisement = match &self.hints {
            // It fills the advertisement.
            Some(hints) => {
                let data = Fields::new().manufacturer(COMPANY, &Advertised::data(&token, hints.at(slot)));
                Advertisement::new(data).response(named.service16(ADVERTISED_SERVICE))
            }
            None => Advertisement::new(Fields::new().manufacturer(COMPANY, token.as_bytes()).service16(ADVERTISED_SERVICE)).response(named),
        };
        let next = slot.saturating_add(1).saturating_mul(self.slot.seconds().into());
        let next = Time::from_seconds(i64::try_from(next).unwrap_or(i64::MAX)).min(self.end);
        Some(Step { slot, advertisement, lasts: next.since(now) })
    }
}

impl Guest {
    /// Advertises tokens until the session is over. An adapter that goes away is waited for.
    pub async fn show(&self, held: &Held, radio: &dyn Radio, clock: &dyn Clock, tell: Tell<'_>) -> Result<(), GuestError> {
        let schedule = Schedule::new(held, self.config.name.as_deref())?;
        let (mut standing, mut shown) = (radio.state(), 0);
        while let Some(step) = schedule.at(clock.now().utc) {
            let generation = tokio::select! {
                up = standing.up() => up?,
                () = clock.sleep(step.lasts) => continue,
            };
            let tried = tokio::select! {
                shown = advertise(&schedule, &mut shown, radio, clock, tell) => shown,
                () = standing.over(generation) => Err(RadioError::Gone("while tokens were shown".into())),
            };
            match tried {
                Ok(()) => break,
                Err(error @ RadioError::TooLong { .. }) => return Err(error.into()),
                Err(error) => {
                    tracing::debug!("tokens are not shown: {error}");
                    tell(Progress::AdapterGone);
                    clock.sleep(RETRY).await;
                }
            }
        }
        tell(Progress::Ended);
        Ok(())
    }
}

/// Advertises one token after the other, until the session is over.
async fn advertise(schedule: &Schedule, shown: &mut u64, radio: &dyn Radio, clock: &dyn Clock, tell: Tell<'_>) -> Result<(), RadioError> {
    let mut advertising: Option<Box<dyn Advertising>> = None;
    while let Some(step) = schedule.at(clock.now().utc) {
        match &mut advertising {
            Some(advertising) => advertising.replace(step.advertisement).await?,
            None => advertising = Some(radio.advertise(step.advertisement).await?),
        }
        *shown += 1;
        tell(Progress::Advertising { token: *shown, slot: step.slot });
        clock.sleep(step.lasts).await;
    }
    Ok(())
}
