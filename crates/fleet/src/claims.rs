//! How a device in the field gets its credentials by itself: with its token, or within a claim that an operator opened.
//!
//! Whoever asks first within a claim is taken to be the device; that is written down before it is answered. When another
//! address asks too, or the one who asked never comes to the broker, somebody else may know the secrets: the device gets
//! others, and people are told.

use crate::{DeskError, Fleet};
use doorward_core::record::NewEvent;
use doorward_http::network::Network;
use doorward_store::{Claim, Claimed, Contest, StoreError, StoredDevice};
use doorward_wire::{Time, attempt::Actor, device::DeviceId, event::EventKind};
use serde_json::json;
use std::{net::IpAddr, time::Duration};

/// How long a device that fetched its credentials has to come to the broker.
pub(crate) const TO_BROKER: Duration = Duration::from_mins(10);
/// The longest claim that ends by itself.
const LONGEST: Duration = Duration::from_hours(24 * 30);

/// How long a claim stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stands {
    /// As the configuration says.
    Usual,
    /// So long.
    For(Duration),
    /// Until somebody closes it: firmware that keeps nothing asks again after each restart.
    UntilClosed,
}

impl Fleet {
    /// Lets a device fetch its credentials itself for a while, from anywhere or from one network.
    pub async fn open_claim(&self, id: &DeviceId, stands: Stands, network: Option<&str>, actor: &Actor) -> Result<Claim, DeskError> {
        if let Some(network) = network {
            network.parse::<Network>().map_err(DeskError::Network)?;
        }
        let now = self.house().now().utc;
        let span = match stands {
            Stands::Usual => Some(self.options().claim_for),
            Stands::For(span) if span.is_zero() || span > LONGEST => return Err(DeskError::Span),
            Stands::For(span) => Some(span),
            Stands::UntilClosed => None,
        };
        let until = span.map(|span| now.plus(span));
        let claim = Claim { device: id.clone(), until, network: network.map(str::to_owned), claimed_by: None, claimed: None };
        let data = json!({ "open": true, "until": until, "network": network });
        let event = NewEvent::new(now, EventKind::DeviceClaimChanged).device(id).actor(actor).data(data);
        let opened = self.house().store().open_claim(&claim, &event).await?.ok_or(DeskError::Unknown)?;
        self.house().tell(vec![opened]);
        Ok(claim)
    }

    /// Closes a claim; `false` when there is none.
    pub async fn close_claim(&self, id: &DeviceId, actor: &Actor) -> Result<bool, DeskError> {
        let now = self.house().now().utc;
        let event = NewEvent::new(now, EventKind::DeviceClaimChanged).device(id).actor(actor).data(json!({ "open": false }));
        let closed = self.house().store().close_claim(id, &event).await?;
        let is_closed = closed.is_some();
        self.house().tell(closed.into_iter().collect());
        Ok(is_closed)
    }

    /// The open claim of a device.
    pub async fn claim(&self, id: &DeviceId) -> Result<Option<Claim>, StoreError> {
        let now = self.house().now().utc;
        Ok(self.house().store().claim(id).await?.filter(|claim| claim.until.is_none_or(|until| until > now)))
    }

    /// Whether a request without a token, from this address, may be answered with a device's credentials.
    pub(crate) async fn claims(&self, device: &StoredDevice, address: IpAddr) -> Result<bool, StoreError> {
        let Some(claim) = self.claim(&device.id).await? else { return Ok(false) };
        let outside = |network: &String| network.parse::<Network>().is_ok_and(|network| !network.contains(address));
        if claim.network.as_ref().is_some_and(outside) {
            return Ok(false);
        }
        let now = self.house().now().utc;
        let known = claim.claimed_by.as_deref();
        let data = json!({ "why": "second", "first": known, "second": address.to_string() });
        let contest = self.contest(&device.id, now, data);
        match self.house().store().take_claim(&device.id, &address.to_string(), now, &contest).await? {
            Claimed::No => Ok(false),
            Claimed::Yes => Ok(true),
            Claimed::Contested(stored, events) => {
                tracing::warn!(device = %device.id, %address, "two asked for the credentials of a device; it got others");
                self.renewed(&stored, events).await;
                Ok(false)
            }
        }
    }

    fn contest(&self, id: &DeviceId, now: Time, data: serde_json::Value) -> Contest {
        let event = NewEvent::new(now, EventKind::DeviceClaimContested).device(id).data(data);
        Contest { secrets: self.fresh_secrets(id), broker: self.to_be_made(), event }
    }

    /// Whoever fetched credentials and did not come to the broker in time was not the device.
    pub(crate) async fn look_after_claims(&self) -> Result<(), StoreError> {
        let (house, connected) = (self.house(), self.connected());
        let now = house.now().utc;
        house.store().purge_claims(now).await?;
        for claim in house.store().claims().await? {
            let Some(claimed) = claim.claimed.filter(|claimed| now.since(*claimed) >= TO_BROKER) else { continue };
            let Some(device) = house.store().device(&claim.device).await? else { continue };
            let seen = self.registry().newer(&device.id, device.report.clone()).seen;
            if connected.contains_key(&device.id) || seen.is_some_and(|seen| seen >= claimed) {
                continue;
            }
            let contest = self.contest(&device.id, now, json!({ "why": "silent", "first": claim.claimed_by }));
            if let Some((stored, event)) = house.store().renew_device(&device.id, &contest.secrets, &contest.broker, &contest.event).await?
            {
                self.renewed(&stored, vec![event]).await;
            }
        }
        Ok(())
    }
}
