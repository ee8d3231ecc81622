//! A device is offered firmware, and what comes of it.
//!
//! An offer is written down before it is sent. It is sent again when the device comes back, with an address that is good again.
//! It is done when the device has fetched the whole image, has come back since, and says that it runs it: what it says of its own
//! success alone is not believed.

use crate::{Fleet, lock};
use doorward_core::record::NewEvent;
use doorward_store::{DeviceOffer, Firmware, StoreError, StoredDevice};
use doorward_wire::{
    attempt::Actor,
    device::DeviceId,
    event::EventKind,
    firmware::{Offer, UpdateReport, UpdateStatus, Version},
};
use serde_json::json;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Mutex,
};
use tokio::sync::mpsc;

/// News that wait to be followed.
const NEWS: usize = 8192;
/// Those that are followed in one commit.
const AT_ONCE: usize = 500;
/// How often an update that was cut off is begun again.
const TRIES: i64 = 5;
/// What the progress of an image is that the device says it has written.
const WRITTEN: i64 = 100;
/// Characters of what a device says went wrong.
const ERROR: usize = 200;

/// States of an offer.
pub(crate) mod state {
    pub(crate) const OFFERED: &str = "offered";
    pub(crate) const DOWNLOADING: &str = "downloading";
    pub(crate) const UPDATING: &str = "updating";
    pub(crate) const RESTARTING: &str = "restarting";
    pub(crate) const DONE: &str = "done";
    pub(crate) const FAILED: &str = "failed";
    pub(crate) const WITHDRAWN: &str = "withdrawn";
}
use state::{DONE, DOWNLOADING, FAILED, OFFERED, RESTARTING, UPDATING, WITHDRAWN};

/// Why a device is offered nothing. `Display` says what a person can do.
#[derive(Debug, thiserror::Error)]
pub enum OfferError {
    /// There is none.
    #[error("there is no device with this identifier that has rights")]
    Device,
    /// There is none for it.
    #[error("there is no firmware of this version for the hardware of this device")]
    Firmware,
    /// It has it.
    #[error("the device runs this version already")]
    Runs,
    /// It would go back.
    #[error("the device runs {0}, which is newer; going back must be asked for")]
    Older(String),
    /// It may not go back so far.
    #[error("what the device runs may not go back behind {0}")]
    TooOld(Version),
    /// The image could not be fetched.
    #[error("the provisioning server does not listen (fleet.listen), so the device could not fetch it")]
    NoListener,
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is new about a device whose update is under way.
#[derive(Debug)]
pub(crate) enum News {
    /// It came to the broker, and listens for offers.
    Ready,
    /// The last byte of this version was sent to it.
    Fetched(Version),
    /// It told how its update stands.
    Update(UpdateReport),
    /// It told what it runs.
    Runs(String),
}

/// Offers that are under way, and where what is new about them goes.
pub(crate) struct Offers(Mutex<HashMap<DeviceId, DeviceOffer>>, mpsc::Sender<(DeviceId, News)>);

impl Offers {
    /// No offers yet, and what is new about them.
    pub(crate) fn new() -> (Self, mpsc::Receiver<(DeviceId, News)>) {
        let (sender, receiver) = mpsc::channel(NEWS);
        (Self(Mutex::default(), sender), receiver)
    }
}

impl Fleet {
    /// Offers firmware to a device: at once when it is connected, else when it comes back.
    pub async fn offer(&self, id: &DeviceId, version: &Version, back: bool, actor: &Actor) -> Result<DeviceOffer, OfferError> {
        let store = self.house().store();
        if !self.gives_firmware() {
            return Err(OfferError::NoListener);
        }
        let device = store.device(id).await?.filter(|device| device.revoked.is_none()).ok_or(OfferError::Device)?;
        let hardware = self.hardware_of(&device).clone();
        let image = store.firmware(&hardware, version).await?.ok_or(OfferError::Firmware)?;
        let runs = self.registry().newer(id, device.report.clone()).firmware;
        if let Some(runs) = runs {
            self.may_follow(&runs, &image, back).await?;
        }
        let data = json!({ "hardware": hardware, "version": version });
        let event = NewEvent::new(self.house().now().utc, EventKind::FirmwareOffered).device(id).actor(actor).data(data);
        let told = store.offer_firmware(id, &image, &event).await?;
        self.house().tell(vec![told]);
        let offer = store.offer(id).await?.ok_or(OfferError::Device)?;
        lock(&self.offers().0).insert(id.clone(), offer.clone());
        self.send_offer(&device, &image).await;
        Ok(offer)
    }

    /// Whether devices can fetch an image anywhere.
    pub(crate) fn gives_firmware(&self) -> bool {
        self.address().is_some() || self.options().public_url.is_some()
    }

    /// Whether an image may follow what a device runs.
    pub(crate) async fn may_follow(&self, runs: &str, image: &Firmware, back: bool) -> Result<(), OfferError> {
        if image.version.is_said(runs) {
            return Err(OfferError::Runs);
        }
        let Ok(running) = runs.trim().parse::<Version>() else { return Ok(()) };
        if image.version > running {
            return Ok(());
        }
        let known = self.house().store().firmware(&image.hardware, &running).await?;
        match known {
            Some(known) if known.min_version > image.version => Err(OfferError::TooOld(known.min_version)),
            _ if back => Ok(()),
            _ => Err(OfferError::Older(runs.to_owned())),
        }
    }

    /// Takes an offer back. A device that has begun may go on all the same.
    pub async fn withdraw(&self, id: &DeviceId, actor: &Actor) -> Result<bool, StoreError> {
        let Some(mut offer) = self.open_offer(id) else { return Ok(false) };
        offer.state = WITHDRAWN.into();
        self.end_offer(offer, Some(actor)).await?;
        Ok(true)
    }

    /// What a device is offered, or was.
    pub async fn offer_of(&self, id: &DeviceId) -> Result<Option<DeviceOffer>, StoreError> {
        match self.open_offer(id) {
            Some(open) => Ok(Some(open)),
            None => self.house().store().offer(id).await,
        }
    }

    /// After a start: what is under way goes on.
    pub(crate) async fn remember_offers(&self) -> Result<(), StoreError> {
        let open = self.house().store().open_offers().await?;
        self.open_offers(open);
        Ok(())
    }

    pub(crate) fn open_offer(&self, id: &DeviceId) -> Option<DeviceOffer> {
        lock(&self.offers().0).get(id).cloned()
    }

    /// Devices were offered this, which is written down.
    pub(crate) fn open_offers(&self, offers: impl IntoIterator<Item = DeviceOffer>) {
        lock(&self.offers().0).extend(offers.into_iter().map(|offer| (offer.device.clone(), offer)));
    }

    pub(crate) async fn send_offer(&self, device: &StoredDevice, image: &Firmware) {
        let Some(mqtt) = self.mqtt() else { return };
        let offer = Offer {
            version: image.version.clone(),
            url: self.firmware_url(device, &image.version),
            size: u64::try_from(image.size).unwrap_or_default(),
            checksum: image.sha256.clone(),
            signature: image.signature.clone(),
            hardware: image.hardware.clone(),
            min_version: image.min_version.clone(),
        };
        let text = serde_json::to_string(&offer).unwrap_or_default();
        mqtt.tell(format!("gateway/{}/ota", device.id), text).await;
    }

    /// Follows updates: what a device said first counts first. What came meanwhile is written down in one commit.
    pub(crate) async fn follow_updates(self, mut news: mpsc::Receiver<(DeviceId, News)>) {
        let mut stopping = self.stopping();
        let mut some = Vec::new();
        loop {
            tokio::select! {
                count = news.recv_many(&mut some, AT_ONCE) => if count == 0 { return },
                _ = stopping.wait_for(|stopping| *stopping) => return,
            }
            if let Err(error) = self.follow(some.drain(..)).await {
                tracing::warn!(%error, "how updates stand could not be written down");
            }
        }
    }

    async fn follow(&self, news: impl Iterator<Item = (DeviceId, News)>) -> Result<(), StoreError> {
        let now = self.house().now().utc;
        let (mut changes, mut again) = (BTreeMap::new(), BTreeMap::new());
        for (id, news) in news {
            let Some(before) = self.open_offer(&id) else { continue };
            let (step, after) = next(before.clone(), news);
            // A device that only comes and goes has done nothing about it.
            let after = if step == Step::Again { after } else { DeviceOffer { changed: now, ..after } };
            match step {
                Step::Nothing => continue,
                Step::Progress => {}
                Step::Again => _ = again.insert(id.clone(), after.clone()),
                Step::Changed | Step::Ended => _ = changes.insert(id.clone(), (before, after.clone(), step)),
            }
            if step == Step::Ended {
                lock(&self.offers().0).remove(&id);
            } else {
                lock(&self.offers().0).insert(id, after);
            }
        }
        let events = changes.values().map(|(_, after, step)| (after.clone(), (*step == Step::Ended).then(|| ended(after, None))));
        let written: Vec<(DeviceOffer, Option<NewEvent>)> = events.collect();
        if !written.is_empty() {
            match self.house().store().change_offers(&written).await {
                Ok(told) => self.house().tell(told),
                Err(error) => {
                    // What the device tells next is looked at as if nothing had been heard.
                    lock(&self.offers().0).extend(changes.into_iter().map(|(id, (before, ..))| (id, before)));
                    return Err(error);
                }
            }
        }
        // Those whose image did not arrive whole were begun again, which is written down by now.
        again.extend(
            written
                .into_iter()
                .map(|(offer, _)| (offer.device.clone(), offer))
                .filter(|(_, offer)| offer.state == OFFERED && !offer.fetched),
        );
        for offer in again.values() {
            self.offer_again(offer).await?;
        }
        Ok(())
    }

    /// Something is new about a device, as far as it is about an update that is under way.
    pub(crate) fn tell_update(&self, id: &DeviceId, news: News) {
        if self.open_offer(id).is_some() && self.offers().1.try_send((id.clone(), news)).is_err() {
            tracing::warn!(device = %id, "so much is told of updates that this is left out; the device tells again");
        }
    }

    async fn offer_again(&self, offer: &DeviceOffer) -> Result<(), StoreError> {
        let store = self.house().store();
        let Some(device) = store.device(&offer.device).await? else { return Ok(()) };
        if let Some(image) = store.firmware(&offer.hardware, &offer.version).await? {
            self.send_offer(&device, &image).await;
        }
        Ok(())
    }

    /// What a device says, as far as it is about an update.
    pub(crate) fn heard_of_update(&self, id: &DeviceId, topic: &str, payload: &[u8]) {
        if self.open_offer(id).is_none() {
            return;
        }
        if topic.ends_with("/ota/status") {
            if let Ok(report) = serde_json::from_slice::<UpdateReport>(payload) {
                self.tell_update(id, News::Update(report));
            }
            return;
        }
        let said: serde_json::Value = serde_json::from_slice(payload).unwrap_or_default();
        if let Some(version) = said["firmware"].as_str() {
            self.tell_update(id, News::Runs(version.to_owned()));
        }
    }

    async fn end_offer(&self, mut offer: DeviceOffer, actor: Option<&Actor>) -> Result<(), StoreError> {
        offer.changed = self.house().now().utc;
        let told = self.house().store().change_offers(&[(offer.clone(), Some(ended(&offer, actor)))]).await?;
        lock(&self.offers().0).remove(&offer.device);
        self.house().tell(told);
        Ok(())
    }
}

/// What tells of the end of an update.
fn ended(offer: &DeviceOffer, actor: Option<&Actor>) -> NewEvent {
    let data = json!({ "version": offer.version, "state": offer.state, "error": offer.error });
    let event = NewEvent::new(offer.changed, EventKind::FirmwareProgress).device(&offer.device).data(data);
    if let Some(actor) = actor { event.actor(actor) } else { event }
}

/// What news mean for an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Nothing.
    Nothing,
    /// It goes on, which nobody needs to know after a restart.
    Progress,
    /// It stands otherwise.
    Changed,
    /// It is over.
    Ended,
    /// The device must be told once more.
    Again,
}

/// How an offer stands after some news.
fn next(mut offer: DeviceOffer, news: News) -> (Step, DeviceOffer) {
    match news {
        // What it has fetched it should run by now.
        News::Ready if offer.fetched => (Step::Changed, DeviceOffer { state: RESTARTING.into(), ..offer }),
        News::Ready => (Step::Again, offer),
        News::Fetched(version) if version == offer.version => (Step::Changed, DeviceOffer { fetched: true, ..offer }),
        News::Fetched(_) => (Step::Nothing, offer),
        News::Update(report) => told(offer, report),
        News::Runs(_) if offer.state != RESTARTING || !offer.fetched => (Step::Nothing, offer),
        News::Runs(version) if offer.version.is_said(&version) => {
            (Step::Ended, DeviceOffer { state: DONE.into(), progress: WRITTEN, error: None, ..offer })
        }
        // The image was sent whole; whether all of it arrived only the device knows. One that never said that it has it was cut off.
        News::Runs(_) if offer.progress < WRITTEN && offer.tries < TRIES => {
            let tries = offer.tries + 1;
            (Step::Changed, DeviceOffer { state: OFFERED.into(), progress: 0, fetched: false, tries, ..offer })
        }
        News::Runs(version) => {
            offer.error = Some(format!("it came back with {}", version.chars().take(ERROR).collect::<String>()));
            (Step::Ended, DeviceOffer { state: FAILED.into(), ..offer })
        }
    }
}

/// A device told how its update stands.
fn told(mut offer: DeviceOffer, report: UpdateReport) -> (Step, DeviceOffer) {
    let percent = report.progress.unwrap_or_default().clamp(0.0, 99.0);
    #[expect(clippy::cast_possible_truncation, reason = "it is between 0 and 99")]
    let percent = percent as i64;
    let before = offer.state.clone();
    match report.status {
        UpdateStatus::Failed => {
            let error: String = report.error.unwrap_or_else(|| "the device did not say why".into()).chars().take(ERROR).collect();
            return (Step::Ended, DeviceOffer { state: FAILED.into(), error: Some(error), ..offer });
        }
        UpdateStatus::Downloading => (offer.state, offer.progress) = (DOWNLOADING.into(), percent),
        UpdateStatus::Updating => (offer.state, offer.progress) = (UPDATING.into(), WRITTEN),
        UpdateStatus::Success => (offer.state, offer.progress) = (RESTARTING.into(), WRITTEN),
        // It would say so of what it runs; what it was offered is another version.
        UpdateStatus::UpToDate => return (Step::Nothing, offer),
    }
    let step = if offer.state == before { Step::Progress } else { Step::Changed };
    (step, offer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorward_wire::Time;

    fn offer(state: &str, fetched: bool, progress: i64) -> DeviceOffer {
        DeviceOffer {
            device: "A1B2C3".parse().unwrap(),
            hardware: "xiao".parse().unwrap(),
            version: "2.1.0".parse().unwrap(),
            state: state.into(),
            progress,
            error: None,
            fetched,
            tries: 1,
            offered: Time::default(),
            changed: Time::default(),
        }
    }

    fn says(status: UpdateStatus, progress: f64) -> News {
        let mut report: UpdateReport = serde_json::from_str(r#"{"device_id":"A1B2C3","status":"success"}"#).unwrap();
        (report.status, report.progress) = (status, Some(progress));
        News::Update(report)
    }

    #[test]
    fn an_update_is_done_when_the_image_was_fetched_and_the_device_came_back_with_it() {
        let (step, now) = next(offer(OFFERED, false, 0), says(UpdateStatus::Downloading, 10.0));
        assert_eq!((step, now.state.as_str(), now.progress), (Step::Changed, DOWNLOADING, 10));
        let (step, now) = next(now, says(UpdateStatus::Downloading, 40.0));
        assert_eq!((step, now.progress), (Step::Progress, 40), "which is not written down");
        let (step, now) = next(now, News::Fetched("2.1.0".parse().unwrap()));
        assert!(step == Step::Changed && now.fetched);
        assert_eq!(next(now.clone(), News::Runs("2.1.0".into())).0, Step::Nothing, "it has not been away");
        let (_, now) = next(now, says(UpdateStatus::Success, 100.0));
        let (step, now) = next(now, News::Ready);
        assert_eq!((step, now.state.as_str()), (Step::Changed, RESTARTING));
        assert_eq!(next(now, News::Runs("v2.1.0".into())).0, Step::Ended);
    }

    #[test]
    fn what_a_device_says_of_its_success_is_not_believed() {
        let (_, now) = next(offer(OFFERED, false, 0), says(UpdateStatus::Success, 100.0));
        assert_eq!(next(now.clone(), News::Runs("2.1.0".into())).0, Step::Nothing, "nothing was fetched");
        assert_eq!(next(now, News::Ready).0, Step::Again);
        let (step, now) = next(offer(RESTARTING, true, WRITTEN), News::Runs("2.0.0".into()));
        assert_eq!((step, now.state.as_str(), now.error.as_deref()), (Step::Ended, FAILED, Some("it came back with 2.0.0")));
        let (step, now) = next(offer(RESTARTING, true, 40), News::Runs("2.0.0".into()));
        assert_eq!((step, now.state.as_str(), now.fetched, now.tries), (Step::Changed, OFFERED, false, 2), "it was cut off");
    }
}
