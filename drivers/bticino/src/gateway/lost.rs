//! What a lost connection means, and when the next one is tried.

use super::{Gateway, Hears, Standing, Told};
use crate::sip::line::Lost;
use doorward_core::driver::Ctx;
use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// The longest wait between two tries.
pub(super) const LONGEST: Duration = Duration::from_mins(1);
/// The wait after a refusal that may be mended at the vendor's side.
pub(super) const REFUSED: Duration = Duration::from_mins(5);
/// When a server comes back, so many connections may come back within a second.
const COMEBACKS: Duration = Duration::from_millis(60);

/// Connections of this process that are kept warm. A server that restarts is not to meet all of them at once.
static WARM: AtomicU32 = AtomicU32::new(0);

impl Gateway {
    /// What a lost connection means, and how long nothing is tried.
    pub(super) fn lost(&self, ctx: &dyn Ctx, lost: &Lost, tries: u32, had: bool, hears: Hears<'_>) -> Duration {
        tracing::warn!(gateway = self.id, %lost, tries, "no connection to the SIP server");
        let refused = |person: String| Standing::Refused { person, log: lost.to_string() };
        match lost {
            Lost::NotTrusted(why) => {
                let person = format!(
                    "The SIP server is not the pinned one, so doorward did not speak to it ({why}). Compare the fingerprint before you trust it."
                );
                self.stands(ctx, refused(person), hears);
                hears(self, Told::NotTrusted);
                return REFUSED + spread(ctx, REFUSED / 4);
            }
            Lost::CertificateRefused(_) => {
                let person = "The vendor's server refused the client certificate. Register again: that makes a new one.";
                self.wants_certificate.store(true, Ordering::Relaxed);
                self.stands(ctx, refused(person.into()), hears);
                return REFUSED + spread(ctx, REFUSED / 4);
            }
            Lost::PasswordRefused(_) => {
                // Asked once: a server that is asked again and again locks the account.
                let person = "The vendor's server does not accept the SIP password. Register the account again.";
                self.stands(ctx, refused(person.into()), hears);
                return Duration::MAX;
            }
            Lost::Unreachable(_) | Lost::Closed(_) | Lost::Silent(_) | Lost::Broken(_) | Lost::Retired => {}
        }
        if !matches!(self.standing(), Standing::Refused { .. }) {
            self.stands(ctx, Standing::Away { why: lost.to_string() }, hears);
        }
        // A server that restarts loses all at once: they come back one after the other.
        let crowd = (COMEBACKS * WARM.load(Ordering::Relaxed)).clamp(Duration::from_millis(900), LONGEST);
        if had {
            return Duration::from_millis(100) + spread(ctx, crowd);
        }
        let backoff = (Duration::from_secs(1) * 2u32.saturating_pow(tries.min(6))).min(LONGEST);
        backoff / 2 + spread(ctx, (backoff / 2).max(crowd))
    }
}

/// A random span up to this one.
fn spread(ctx: &dyn Ctx, most: Duration) -> Duration {
    let mut dice = [0; 2];
    ctx.fill(&mut dice);
    most * u32::from(u16::from_be_bytes(dice)) / u32::from(u16::MAX)
}

/// Counts a connection for as long as it is kept warm.
pub(super) struct Warm;

impl Warm {
    pub(super) fn new() -> Self {
        WARM.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Warm {
    fn drop(&mut self) {
        WARM.fetch_sub(1, Ordering::Relaxed);
    }
}
