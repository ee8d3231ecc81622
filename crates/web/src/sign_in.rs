//! Who may come in, how often they may try, and what their browser then holds.
//!
//! There are three ways in. A password, and with it the code of an authenticator app where somebody set one up ([`totp`]). A
//! passkey ([`passkey`]), which is two factors by itself: a thing, and the finger or PIN that it asks for. A link that works once,
//! for the first start and for whoever lost the others; it asks for no code either. What lies between two requests of a sign-in is
//! in [`ceremony`].
//!
//! * Argon2id, at most two at once (rule 5): a burst of sign-ins must not take the memory that the house needs.
//! * Tries are limited for each network and for each name, whether or not somebody has that name.
//! * An unknown name costs the same time as a wrong password, and gets the same answer.

mod browser;
mod cbor;
pub(crate) mod ceremony;
pub mod passkey;
pub(crate) mod totp;

pub(crate) use browser::described;

use crate::{
    ApiError, ApiResult, Web, caller,
    pages::{Errand, texts},
};
use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use axum::http::HeaderValue;
use ceremony::{Challenge, HalfWay, Waiting};
use doorward_core::{Secret, record::NewEvent};
use doorward_wire::{
    attempt::{Actor, ActorKind},
    event::EventKind,
};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock};
use serde_json::json;
use std::{
    net::IpAddr,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::Semaphore;

/// Sign-ins that may wait for their hash; more are told to come back.
const WAITING: usize = 16;
/// Tries in a row.
const BURST: NonZeroU32 = NonZeroU32::new(10).unwrap();
/// After them, one try in this time from one network …
const ADDRESS_PAUSE: Duration = Duration::from_secs(6);
/// … and for one name, from wherever.
const NAME_PAUSE: Duration = Duration::from_secs(20);
/// Networks and names that are remembered before those without recent tries are forgotten.
const REMEMBERED: usize = 4096;
/// Characters that a password must have (NIST SP 800-63B asks for 8 and counts no classes).
const SHORTEST: usize = 10;
/// Characters that a password may have.
const LONGEST: usize = 256;
/// Long enough, and still among the first that anybody tries. Compared without case.
const COMMON: [&str; 24] = [
    "1234567890",
    "12345678910",
    "0123456789",
    "0987654321",
    "9876543210",
    "1q2w3e4r5t",
    "1qaz2wsx3edc",
    "abcdefghij",
    "administrator",
    "administrator1",
    "changeme123",
    "doorward123",
    "iloveyou123",
    "letmein123",
    "opensesame",
    "password12",
    "password123",
    "password1234",
    "passw0rd123",
    "q1w2e3r4t5",
    "qwerty12345",
    "qwertyuiop",
    "qwertzuiop",
    "welcome123",
];
/// Stands in for the hash of a person who is not there, so that looking takes the same time. Same parameters as a fresh one.
const DECOY: &str = "$argon2id$v=19$m=19456,t=2,p=1$ZG9vcndhcmRkZWNveXNhbHQ$1mHDqIECTKjs5lYTQlD2k2w1y5SpZzgJ0xZp1zGfL2E";

/// Where a sign-in link leads.
pub(crate) fn link_path(secret: &str) -> String {
    format!("/link/{secret}")
}

/// How somebody came in, or tried to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Password,
    /// A password and the code of an authenticator app.
    Totp,
    /// A password and a recovery code.
    Recovery,
    Passkey,
    Link,
}

impl How {
    const fn word(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Totp => "totp",
            Self::Recovery => "recovery_code",
            Self::Passkey => "passkey",
            Self::Link => "link",
        }
    }
}

/// Hashes passwords, counts tries, and keeps what is between two requests of a sign-in.
pub(crate) struct SignIn {
    /// Passkeys that somebody is about to sign in with.
    pub(crate) passkeys: Waiting<Challenge>,
    /// Passkeys that somebody is about to add, by the secret of their session.
    pub(crate) new_passkeys: Waiting<Challenge>,
    /// Right passwords that wait for a code.
    pub(crate) half_way: Waiting<HalfWay>,
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
    networks: DefaultKeyedRateLimiter<[u8; 8]>,
    names: DefaultKeyedRateLimiter<String>,
}

impl SignIn {
    /// Nobody has tried yet.
    pub(crate) fn new(turns: Arc<Semaphore>) -> Self {
        let quota = |pause| Quota::with_period(pause).map_or_else(|| Quota::per_minute(BURST), |quota| quota.allow_burst(BURST));
        Self {
            passkeys: Waiting::default(),
            new_passkeys: Waiting::default(),
            half_way: Waiting::default(),
            turns,
            waiting: AtomicUsize::new(0),
            networks: RateLimiter::keyed(quota(ADDRESS_PAUSE)),
            names: RateLimiter::keyed(quota(NAME_PAUSE)),
        }
    }

    /// Checks that a password is one that may be taken, and hashes it.
    pub(crate) async fn hash(&self, password: &Secret<String>) -> ApiResult<Secret<String>> {
        check(password.reveal())?;
        let password = password.clone();
        let hash = self.work(move || Argon2::default().hash_password(password.reveal().as_bytes()).map(|hash| hash.to_string())).await?;
        hash.map(Secret::new).map_err(|error| {
            tracing::error!(%error, "a password could not be hashed");
            ApiError::Stopping
        })
    }

    /// Whether a password is the one of this hash. Without a hash it is never, after the same time.
    pub(crate) async fn verify(&self, password: &Secret<String>, hash: Option<Secret<String>>) -> ApiResult<bool> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| DECOY.into());
        // Longer ones were never taken; hashing them would be work that a stranger orders.
        let short_enough = password.reveal().chars().count() <= LONGEST;
        let password = if short_enough { password.clone() } else { Secret::new(String::new()) };
        let right = self
            .work(move || {
                PasswordHash::new(hash.reveal())
                    .is_ok_and(|hash| Argon2::default().verify_password(password.reveal().as_bytes(), &hash).is_ok())
            })
            .await?;
        Ok(right && known && short_enough)
    }

    /// Counts a try from an address.
    pub(crate) fn try_from(&self, source: Option<IpAddr>) -> ApiResult<()> {
        // The admin socket has no address, and its owner no limit.
        let Some(source) = source else { return Ok(()) };
        if self.networks.len() > REMEMBERED {
            self.networks.retain_recent();
        }
        limited(self.networks.check_key(&network(source)), self.networks.clock())
    }

    /// Counts a try for a name.
    pub(crate) fn try_for(&self, name: &str) -> ApiResult<()> {
        if self.names.len() > REMEMBERED {
            self.names.retain_recent();
        }
        let key: String = name.trim().to_lowercase().chars().take(100).collect();
        limited(self.names.check_key(&key), self.names.clock())
    }

    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> ApiResult<T> {
        struct Place<'a>(&'a AtomicUsize);
        impl Drop for Place<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _place = Place(&self.waiting);
        if before >= WAITING {
            return Err(ApiError::RateLimited(5));
        }
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| ApiError::Stopping)?;
        // The turn goes with the work: a caller who leaves does not make room for a third.
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        done.await.map_err(|_| ApiError::Stopping)
    }
}

/// The network that a source belongs to: an IPv4 address, a /64 of IPv6. One person usually has that.
fn network(source: IpAddr) -> [u8; 8] {
    let bytes = match source.to_canonical() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    };
    let mut key = [0; 8];
    match source.to_canonical() {
        IpAddr::V4(_) => key[4..].copy_from_slice(&bytes[12..]),
        IpAddr::V6(_) => key.copy_from_slice(&bytes[..8]),
    }
    key
}

fn limited<C: Clock>(result: Result<(), governor::NotUntil<C::Instant>>, clock: &C) -> ApiResult<()> {
    result.map_err(|until| ApiError::RateLimited(until.wait_time_from(clock.now()).as_secs() + 1))
}

fn check(password: &str) -> ApiResult<()> {
    let length = password.chars().count();
    let first = password.chars().next();
    let wrong = if length < SHORTEST {
        Some(texts::EN.password_short)
    } else if length > LONGEST {
        Some(texts::EN.password_long)
    } else if COMMON.contains(&password.to_lowercase().as_str()) || password.chars().all(|c| Some(c) == first) {
        Some(texts::EN.password_common)
    } else {
        None
    };
    wrong.map_or(Ok(()), |wrong| Err(ApiError::Unprocessable(wrong.into())))
}

/// Starts a session of a person and gives the cookie for it.
pub(crate) async fn start_session(web: &Web, person: &str, errand: &Errand) -> ApiResult<HeaderValue> {
    cookie(&new_session(web, person, errand).await?, errand.secure)
}

/// Starts a session of a person in place of every other; what belongs to this browser stays with it.
pub(crate) async fn replace_sessions(web: &Web, person: &str, before: &str, errand: &Errand) -> ApiResult<HeaderValue> {
    let secret = new_session(web, person, errand).await?;
    web.house().store().replace_sessions_of(person, before.as_bytes(), secret.as_bytes()).await?;
    cookie(&secret, errand.secure)
}

async fn new_session(web: &Web, person: &str, errand: &Errand) -> ApiResult<String> {
    let (store, now) = (web.house().store(), web.house().now().utc);
    let secret = caller::fresh_secret()?;
    let data = caller::SessionData { csrf: caller::fresh_secret()? };
    let data = serde_json::to_vec(&data).map_err(|_| ApiError::Stopping)?;
    store.put_session(secret.as_bytes(), Some(person), &data, now.plus(caller::SESSION_LIFE)).await?;
    store.describe_session(secret.as_bytes(), &errand.browser, now).await?;
    Ok(secret)
}

/// Writes down that a person signed in, or that somebody tried in vain to be them.
pub(crate) async fn tell(web: &Web, kind: EventKind, person: &str, name: &str, how: How) -> ApiResult<()> {
    tell_with(web, kind, person, name, json!({ "how": how.word() })).await
}

/// Writes down that a passkey of a person was refused because its counter did not go up: they should know of a copy.
pub(crate) async fn tell_of_copy(web: &Web, person: &str, name: &str, passkey: &str) -> ApiResult<()> {
    let data = json!({ "how": How::Passkey.word(), "why": "counter", "passkey": passkey });
    tell_with(web, EventKind::PersonRefused, person, name, data).await
}

async fn tell_with(web: &Web, kind: EventKind, person: &str, name: &str, data: serde_json::Value) -> ApiResult<()> {
    let actor = Actor { kind: ActorKind::Person, id: person.into(), name: Some(name.into()) };
    web.house().record(vec![NewEvent::new(web.house().now().utc, kind).actor(&actor).data(data)]).await?;
    Ok(())
}

/// The cookie of a ceremony. It goes nowhere but to the pages of signing in.
pub(crate) fn ceremony_cookie(name: &str, secret: &str, secure: bool) -> ApiResult<HeaderValue> {
    let secure = if secure { "; Secure" } else { "" };
    let life = if secret.is_empty() { 0 } else { ceremony::LIFE.as_secs() };
    let text = format!("{name}={secret}; Path=/sign-in; Max-Age={life}; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::from_str(&text).map_err(|_| ApiError::Stopping)
}

/// The session cookie. When a session ends is the store's to say, so the browser keeps it as long as browsers do.
fn cookie(secret: &str, secure: bool) -> ApiResult<HeaderValue> {
    let secure = if secure { "; Secure" } else { "" };
    let text = format!("{}={secret}; Path=/; Max-Age=34560000; HttpOnly; SameSite=Strict{secure}", caller::COOKIE);
    HeaderValue::from_str(&text).map_err(|_| ApiError::Stopping)
}

/// Takes the session cookie away.
pub(crate) fn no_cookie() -> HeaderValue {
    HeaderValue::from_static("doorward=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_fits_its_own_hash_and_no_other() {
        let sign_in = SignIn::new(Arc::new(Semaphore::new(2)));
        let hash = sign_in.hash(&"correct horse battery".into()).await.unwrap();
        assert!(hash.reveal().starts_with("$argon2id$"));
        assert!(sign_in.verify(&"correct horse battery".into(), Some(hash.clone())).await.unwrap());
        assert!(!sign_in.verify(&"correct horse batterx".into(), Some(hash)).await.unwrap());
        assert!(!sign_in.verify(&"correct horse battery".into(), None).await.unwrap());
        assert!(!sign_in.verify(&"x".into(), Some("not a hash".into())).await.unwrap());
    }

    #[tokio::test]
    async fn looking_for_nobody_costs_the_same_as_looking_for_somebody() {
        let hash = SignIn::new(Arc::new(Semaphore::new(2))).hash(&"correct horse battery".into()).await.unwrap();
        let cost = |hash: &str| PasswordHash::new(hash).unwrap().params.to_string();
        assert_eq!(cost(DECOY), cost(hash.reveal()));
    }

    #[test]
    fn a_password_that_anybody_would_try_is_not_taken() {
        for weak in ["short", "ninechars", "Password123", "QWERTYUIOP", "aaaaaaaaaaaa"] {
            check(weak).unwrap_err();
        }
        check(&"x1".repeat(129)).unwrap_err();
        check("tram lemon quartz").unwrap();
        check("пароль-длинный").unwrap();
    }

    #[test]
    fn tries_are_limited_for_each_network_and_each_name() {
        let sign_in = SignIn::new(Arc::new(Semaphore::new(2)));
        let (one, other) = ("2001:db8::1".parse().ok(), "2001:db8:0:1::1".parse().ok());
        for _ in 0..BURST.get() {
            sign_in.try_from(one).unwrap();
            sign_in.try_for("Anna").unwrap();
        }
        assert!(matches!(sign_in.try_from("2001:db8::2".parse().ok()), Err(ApiError::RateLimited(1..=7))), "the same /64");
        assert!(matches!(sign_in.try_for(" anna "), Err(ApiError::RateLimited(1..=21))));
        sign_in.try_from(other).unwrap();
        sign_in.try_for("bob").unwrap();
        sign_in.try_from(None).unwrap();
    }
}
