//! Firmware: images that were uploaded, hashed and signed, and the way on which a device fetches one.
//!
//! The key of the signatures is made here and never leaves; devices get its public half. An address of an image is for one
//! device and a day: it is signed, and worth nothing for another device or after other secrets.

use crate::{Fleet, lock};
use aws_lc_rs::{
    digest,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use axum::body::Bytes;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use doorward_core::{Secret, record::NewEvent};
use doorward_store::{Firmware, StoreError, StoredDevice};
use doorward_wire::{
    attempt::Actor,
    event::EventKind,
    firmware::{self, Channel, Hardware, ImageError, Version},
};
use futures_util::{Stream, StreamExt as _, pin_mut};
use serde_json::json;
use std::{collections::VecDeque, fmt::Write as _, sync::Arc, time::Duration};

/// Bytes of a chunk.
pub(crate) const CHUNK: usize = 256 << 10;
/// How long an address of an image is good.
const LINK: Duration = Duration::from_hours(24);
/// How long an upload may take; what is older and not finished is gone.
const UPLOAD: Duration = Duration::from_hours(1);
/// Images that are held in memory.
const HELD: usize = 2;
/// Characters of a note.
const NOTES: usize = 2000;
/// Under which name the seed of the key is kept.
const SEED: &str = "firmware key seed";
/// What stands before a raw Ed25519 key in a public key (RFC 8410).
const SPKI: [u8; 12] = [0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0x00];

/// What is said of an image when it is uploaded.
#[derive(Debug, Clone, Default)]
pub struct Upload {
    /// What it is for; as the configuration says when absent.
    pub hardware: Option<Hardware>,
    /// Its version; as the image says when absent.
    pub version: Option<Version>,
    /// What runs this may not go back behind it; nothing below this version is signed into it when absent.
    pub min_version: Option<Version>,
    /// For whom it is meant.
    pub channel: Option<Channel>,
    /// What people should know of it.
    pub notes: String,
    /// The SHA-256 that it should have.
    pub sha256: Option<String>,
}

/// Why an image is not taken. `Display` says what a person can do; nothing of it is kept.
#[derive(Debug, thiserror::Error)]
pub enum FirmwareError {
    /// It is none.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// It would not fit.
    #[error("the image has more than {0} bytes, and would not fit into the partition (fleet.partition_size)")]
    TooLarge(usize),
    /// It says no version.
    #[error("the image does not say its version; name it with the upload")]
    Version,
    /// There is one.
    #[error("there is firmware of this version for this hardware already; versions are not overwritten")]
    Taken,
    /// Another image came than was meant.
    #[error("the image has the SHA-256 {0}, and not the one that was named: it was damaged on the way")]
    Checksum(String),
    /// The upload broke off.
    #[error("the upload broke off: {0}")]
    Interrupted(String),
    /// A note that is too long.
    #[error("notes have at most {NOTES} characters")]
    Notes,
    /// The smallest version would forbid its own.
    #[error("min_version may not be newer than the version itself")]
    MinVersion,
    /// The last of the space is for what opens doors.
    #[error("the disk is nearly full, so no firmware is kept; make room first")]
    Full,
    /// There is none.
    #[error("there is no firmware of this version for this hardware")]
    Unknown,
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The images that were asked for last, in chunks.
#[derive(Default)]
pub(crate) struct Images(std::sync::Mutex<VecDeque<Image>>);

type Image = (Hardware, Version, Arc<[Bytes]>);

impl Fleet {
    /// Takes an image in, hashes and signs it. Nothing is kept of one that is not taken.
    pub async fn upload<E: std::fmt::Display>(
        &self,
        upload: Upload,
        bytes: impl Stream<Item = Result<Bytes, E>>,
        actor: &Actor,
    ) -> Result<Firmware, FirmwareError> {
        let (house, most) = (self.house(), self.options().partition_size);
        if house.store().space().low {
            return Err(FirmwareError::Full);
        }
        if upload.notes.chars().count() > NOTES {
            return Err(FirmwareError::Notes);
        }
        pin_mut!(bytes);
        let mut waiting = Vec::new();
        while waiting.len() < firmware::HEAD
            && let Some(some) = bytes.next().await
        {
            waiting.extend_from_slice(&some.map_err(|error| FirmwareError::Interrupted(error.to_string()))?);
        }
        let described = firmware::describe(&waiting)?;
        let hardware = upload.hardware.unwrap_or_else(|| self.options().hardware.clone());
        let version = upload.version.or(described.version).ok_or(FirmwareError::Version)?;
        let min_version = upload.min_version.unwrap_or_else(|| OLDEST.parse().unwrap_or_else(|_| version.clone()));
        if min_version > version {
            return Err(FirmwareError::MinVersion);
        }
        let now = house.now().utc;
        house.store().purge_firmware(now.minus(UPLOAD)).await?;
        if !house.store().begin_firmware(&hardware, &version, now).await? {
            return Err(FirmwareError::Taken);
        }
        let (mut hash, mut size, mut number) = (digest::Context::new(&digest::SHA256), 0, 0);
        loop {
            let more = bytes.next().await;
            let is_last = more.is_none();
            if let Some(some) = more {
                waiting.extend_from_slice(&some.map_err(|error| FirmwareError::Interrupted(error.to_string()))?);
            }
            if size + waiting.len() > most {
                return Err(FirmwareError::TooLarge(most));
            }
            while waiting.len() >= CHUNK || (is_last && !waiting.is_empty()) {
                let rest = waiting.split_off(waiting.len().min(CHUNK));
                hash.update(&waiting);
                size += waiting.len();
                house.store().add_firmware_chunk(&hardware, &version, number, &waiting).await?;
                number += 1;
                waiting = rest;
            }
            if is_last {
                break;
            }
        }
        let sha256 = hash.finish().as_ref().iter().fold(String::new(), |mut text, byte| {
            // Writing to a text cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        });
        if upload.sha256.is_some_and(|meant| !meant.eq_ignore_ascii_case(&sha256)) {
            return Err(FirmwareError::Checksum(sha256));
        }
        let statement = firmware::statement(&hardware, &version, &min_version, u64::try_from(size).unwrap_or_default(), &sha256);
        let signature = STANDARD.encode(self.firmware_key().await?.sign(statement.as_bytes()).as_ref());
        let made = Firmware {
            hardware,
            version,
            min_version,
            channel: upload.channel.unwrap_or(Channel::Draft),
            notes: upload.notes,
            size: i64::try_from(size).unwrap_or_default(),
            sha256,
            signature,
            created: house.now().utc,
        };
        let event = self.firmware_event(EventKind::FirmwareAdded, &made.hardware, &made.version, actor);
        house.tell(vec![house.store().finish_firmware(&made, &event).await?]);
        Ok(made)
    }

    /// Every image.
    pub async fn all_firmware(&self) -> Result<Vec<Firmware>, StoreError> {
        self.house().store().all_firmware().await
    }

    /// Says for whom an image is meant, and what people should know of it.
    pub async fn edit_firmware(&self, edited: &Firmware, actor: &Actor) -> Result<(), FirmwareError> {
        if edited.notes.chars().count() > NOTES {
            return Err(FirmwareError::Notes);
        }
        let event = self.firmware_event(EventKind::FirmwareChanged, &edited.hardware, &edited.version, actor);
        let told = self.house().store().edit_firmware(edited, &event).await?.ok_or(FirmwareError::Unknown)?;
        self.house().tell(vec![told]);
        Ok(())
    }

    /// Removes an image. A device that is fetching it cannot go on.
    pub async fn remove_firmware(&self, hardware: &Hardware, version: &Version, actor: &Actor) -> Result<(), FirmwareError> {
        let event = self.firmware_event(EventKind::FirmwareRemoved, hardware, version, actor);
        let told = self.house().store().remove_firmware(hardware, version, &event).await?.ok_or(FirmwareError::Unknown)?;
        lock(&self.images().0).retain(|(known, other, _)| known != hardware || other != version);
        self.house().tell(vec![told]);
        Ok(())
    }

    fn firmware_event(&self, kind: EventKind, hardware: &Hardware, version: &Version, actor: &Actor) -> NewEvent {
        let data = json!({ "hardware": hardware, "version": version });
        NewEvent::new(self.house().now().utc, kind).actor(actor).data(data)
    }

    /// The key with which firmware is signed.
    async fn firmware_key(&self) -> Result<Ed25519KeyPair, StoreError> {
        let mut seed = [0; 32];
        self.house().clock().fill(&mut seed);
        let seed = self.house().store().set_secret_note_once(SEED, &Secret::new(STANDARD.encode(seed))).await?;
        let seed = STANDARD.decode(seed.reveal()).map_err(|_| StoreError::Bug("the seed of the firmware key is no seed".into()))?;
        Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| StoreError::Bug("the seed of the firmware key is no seed".into()))
    }

    /// The public half of that key as PEM, for devices that check signatures.
    pub async fn firmware_public_key(&self) -> Result<String, StoreError> {
        let key = self.firmware_key().await?;
        let der: Vec<u8> = SPKI.iter().chain(key.public_key().as_ref()).copied().collect();
        Ok(format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der)))
    }

    /// The address of an image for a device: for a day, and as long as its secrets stay.
    pub(crate) fn firmware_url(&self, device: &StoredDevice, version: &Version) -> String {
        let until = self.house().now().utc.plus(LINK).as_micros() / 1_000_000;
        let base = self.options().public_url.clone().or_else(|| {
            let scheme = if self.has_tls() { "https" } else { "http" };
            self.address().map(|address| format!("{scheme}://{address}"))
        });
        let (base, signed) = (base.unwrap_or_default(), self.link_code(device, version, until));
        format!("{base}/firmware/{}/{version}?exp={until}&sig={signed}", device.id)
    }

    fn link_code(&self, device: &StoredDevice, version: &Version, until: i64) -> String {
        self.house().store().code_of("firmware link", &format!("{}\n{version}\n{until}\n{}", device.id, device.epoch))
    }

    /// Whether somebody who knows this address may fetch the image.
    pub(crate) fn is_firmware_link(&self, device: &StoredDevice, version: &Version, query: &str) -> bool {
        let field = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        let (Some(until), Some(given)) = (field("exp").and_then(|until| until.parse::<i64>().ok()), field("sig")) else { return false };
        let now = self.house().now().utc.as_micros() / 1_000_000;
        until > now && crate::listener::same(&self.link_code(device, version, until), given)
    }

    /// The chunks of an image.
    pub(crate) async fn image(&self, hardware: &Hardware, version: &Version) -> Result<Arc<[Bytes]>, StoreError> {
        let held = lock(&self.images().0).iter().find(|(known, other, _)| known == hardware && other == version).cloned();
        if let Some((_, _, chunks)) = held {
            return Ok(chunks);
        }
        let chunks = self.house().store().firmware_bytes(hardware, version).await?;
        let chunks: Arc<[Bytes]> = chunks.into_iter().map(Bytes::from).collect();
        let mut images = lock(&self.images().0);
        images.retain(|(known, other, _)| known != hardware || other != version);
        images.push_back((hardware.clone(), version.clone(), Arc::clone(&chunks)));
        while images.len() > HELD {
            images.pop_front();
        }
        Ok(chunks)
    }

    /// The hardware of a device.
    pub(crate) fn hardware_of<'a>(&'a self, device: &'a StoredDevice) -> &'a Hardware {
        device.hardware.as_ref().unwrap_or(&self.options().hardware)
    }
}

/// Older than any version.
const OLDEST: &str = "0";
