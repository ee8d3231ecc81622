//! What is between two requests of a sign-in: a challenge that waits for its passkey, a right password that waits for its code.
//!
//! Each belongs to the browser that holds the secret of it, ends after five minutes, and is there once. They are in the memory
//! of this process: a restart forgets them, and of several copies of doorward a browser must come back to the same one. There
//! are at most [`MOST`] of a kind; then the oldest gives way, so that whoever begins many for nothing keeps nobody out.

use super::passkey::Site;
use crate::{ApiError, ApiResult};
use aws_lc_rs::{
    digest::{SHA256, digest},
    rand,
};
use doorward_core::{Mono, Secret};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// How long each lasts. Browsers ask for a passkey as long.
pub(crate) const LIFE: Duration = Duration::from_mins(5);
/// How many wait at once.
const MOST: usize = 1024;

/// A challenge that was given to a browser.
#[derive(Debug, Clone)]
pub(crate) struct Challenge {
    pub(crate) bytes: [u8; 32],
    /// Where it was given.
    pub(crate) site: Site,
}

impl Challenge {
    pub(crate) fn new(site: Site) -> ApiResult<Self> {
        let mut bytes = [0; 32];
        rand::fill(&mut bytes).map_err(|_| ApiError::Stopping)?;
        Ok(Self { bytes, site })
    }
}

/// Somebody whose password was right, and whose code is asked for.
#[derive(Debug, Clone)]
pub(crate) struct HalfWay {
    pub(crate) person: String,
    /// The hash that the password fitted: when there is another one, it was right no longer.
    pub(crate) hash: Option<Secret<String>>,
    /// Where they wanted to go.
    pub(crate) next: String,
}

/// What waits of one kind, each under a code of the browser's secret.
#[derive(Debug)]
pub(crate) struct Waiting<T> {
    there: Mutex<HashMap<[u8; 32], (Mono, T)>>,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self { there: Mutex::default() }
    }
}

impl<T: Clone> Waiting<T> {
    /// Begins one, in place of what the same browser began before.
    pub(crate) fn begin(&self, browser: &str, what: T, now: Mono) {
        let mut there = self.there.lock().unwrap_or_else(PoisonError::into_inner);
        there.retain(|_, (end, _)| *end > now);
        if there.len() >= MOST
            && let Some(oldest) = there.iter().min_by_key(|(_, (end, _))| *end).map(|(code, _)| *code)
        {
            there.remove(&oldest);
        }
        there.insert(code(browser), (now.plus(LIFE), what));
    }

    /// What a browser began. It stays.
    pub(crate) fn look(&self, browser: &str, now: Mono) -> Option<T> {
        let there = self.there.lock().unwrap_or_else(PoisonError::into_inner);
        there.get(&code(browser)).filter(|(end, _)| *end > now).map(|(_, what)| what.clone())
    }

    /// What a browser began. It is gone, whatever comes of it.
    pub(crate) fn take(&self, browser: &str, now: Mono) -> Option<T> {
        let mut there = self.there.lock().unwrap_or_else(PoisonError::into_inner);
        there.remove(&code(browser)).filter(|(end, _)| *end > now).map(|(_, what)| what)
    }
}

/// So that the secrets of sessions do not lie about in memory.
fn code(browser: &str) -> [u8; 32] {
    let mut code = [0; 32];
    code.copy_from_slice(digest(&SHA256, browser.as_bytes()).as_ref());
    code
}

#[cfg(test)]
mod tests {
    use super::{LIFE, MOST, Waiting};
    use doorward_core::Mono;
    use std::time::Duration;

    fn at(seconds: u64) -> Mono {
        Mono(Duration::from_secs(seconds))
    }

    #[test]
    fn what_waits_is_there_once_for_its_browser_and_for_five_minutes() {
        let waiting = Waiting::default();
        waiting.begin("mine", 1, at(0));
        assert_eq!((waiting.look("yours", at(1)), waiting.take("yours", at(1))), (None, None));
        assert_eq!((waiting.look("mine", at(1)), waiting.look("mine", at(1))), (Some(1), Some(1)));
        assert_eq!((waiting.take("mine", at(1)), waiting.take("mine", at(1))), (Some(1), None), "a second time");
        waiting.begin("mine", 2, at(0));
        waiting.begin("mine", 3, at(0));
        assert_eq!(waiting.take("mine", at(1)), Some(3), "only the last");
        waiting.begin("mine", 4, at(0));
        assert_eq!(waiting.take("mine", at(LIFE.as_secs())), None, "too late");
        assert_eq!(waiting.take("mine", at(1)), None, "gone all the same");
    }

    #[test]
    fn whoever_begins_many_does_not_fill_the_memory() {
        let waiting = Waiting::default();
        for number in 0..MOST + 10 {
            waiting.begin(&number.to_string(), number, at(u64::try_from(number).unwrap() / 100));
        }
        assert_eq!(waiting.there.lock().unwrap().len(), MOST);
        assert_eq!(waiting.look(&(MOST + 9).to_string(), at(11)), Some(MOST + 9));
        waiting.begin("later", 0, at(10_000));
        assert_eq!(waiting.there.lock().unwrap().len(), 1, "those that ended make room");
    }
}
