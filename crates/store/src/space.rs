//! The space that is kept for intents and outcomes (rule 4): nobody may fill the disk and so lock a door.

use crate::{Store, url::Place};
use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

/// How much space is left for the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Free bytes on the database's volume; `None` when it is on another machine.
    pub free: Option<u64>,
    /// Whether only intents and outcomes are written.
    pub low: bool,
    /// Records that were not written for want of space, since the start.
    pub dropped: u64,
}

/// Looks at the volume of the database file.
pub(crate) struct Watch {
    folder: Option<PathBuf>,
    keep_free: u64,
    low: AtomicBool,
    dropped: AtomicU64,
}

impl Watch {
    pub(crate) fn new(place: &Place, keep_free: u64) -> Self {
        let folder = match place {
            Place::File(file) => Some(file.parent().filter(|folder| !folder.as_os_str().is_empty()).map_or_else(|| ".".into(), Into::into)),
            Place::Server(_) => None,
        };
        Self { folder, keep_free, low: AtomicBool::new(false), dropped: AtomicU64::new(0) }
    }

    fn free(&self) -> Option<u64> {
        let volume = rustix::fs::statvfs(self.folder.as_ref()?).ok()?;
        Some(volume.f_bavail.saturating_mul(volume.f_frsize))
    }

    /// Whether only vital records may be written now. A single system call, so it is asked before each commit.
    pub(crate) fn is_low(&self) -> bool {
        let low = self.free().is_some_and(|free| free < self.keep_free);
        if self.low.swap(low, Ordering::Relaxed) != low {
            if low {
                tracing::error!(keep_free = self.keep_free, "the disk is nearly full: only intents and outcomes are written");
            } else {
                tracing::info!("there is space on the disk again: every event is written");
            }
        }
        low
    }

    pub(crate) fn count_dropped(&self, records: u64) {
        if records > 0 {
            self.dropped.fetch_add(records, Ordering::Relaxed);
        }
    }
}

impl Store {
    /// How much space is left.
    pub fn space(&self) -> Space {
        let watch = &self.inner.space;
        Space { free: watch.free(), low: watch.is_low(), dropped: watch.dropped.load(Ordering::Relaxed) }
    }
}
