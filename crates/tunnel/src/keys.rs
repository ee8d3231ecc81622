//! Adding, changing, rotating and revoking keys, each written down.

use crate::{
    Tunnel,
    scopes::{Allowed, ScopeError},
};
use doorward_core::{Secret, record::NewEvent};
use doorward_store::{AddedTunnelKey, StoreError, TunnelKey, TunnelSecret};
use doorward_wire::{
    attempt::Actor,
    event::EventKind,
    tunnel::{Scopes, Service},
};
use serde_json::json;
use std::{fmt::Write as _, time::Duration};

/// How long the secret before still opens messages, unless something else is asked for.
pub const OVERLAP: Duration = Duration::from_hours(24);
/// The longest that it may.
const LONGEST_OVERLAP: Duration = Duration::from_hours(24 * 30);

/// Why a key was not added or changed. `Display` says what a person can do.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is none.
    #[error("there is no tunnel key of this name")]
    Unknown,
    /// Somebody has this name, or this secret.
    #[error("there is a tunnel key of this name, or with this secret, already")]
    Taken,
    /// As many as there may be.
    #[error("there are 64 tunnel keys, which is as many as there may be; revoke one first")]
    TooMany,
    /// The name cannot be one.
    #[error("name: must have 1 to 64 letters, digits, “-”, “_”, “.” or “@”")]
    Name,
    /// There is no such person.
    #[error("person: there is nobody with this id")]
    Person,
    /// Longer than the secret before may live.
    #[error("overlap: at most 30 days")]
    Overlap,
    /// The scopes cannot be read.
    #[error(transparent)]
    Scopes(#[from] ScopeError),
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Tunnel {
    /// Adds a key with a fresh secret, which is given back once.
    pub async fn add_key(&self, name: &str, person: Option<&str>, scopes: &Scopes, actor: &Actor) -> Result<TunnelSecret, KeyError> {
        let secret = self.house().store().new_tunnel_secret();
        self.add_key_with(name, person, &secret, scopes, actor).await?;
        Ok(secret)
    }

    /// Adds a key with a secret that clients have already.
    pub async fn add_key_with(
        &self,
        name: &str,
        person: Option<&str>,
        secret: &TunnelSecret,
        scopes: &Scopes,
        actor: &Actor,
    ) -> Result<(), KeyError> {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.' | '@');
        if !(1..=64).contains(&name.len()) || !name.chars().all(plain) {
            return Err(KeyError::Name);
        }
        Allowed::read(scopes)?;
        let (store, now) = (self.house().store(), self.house().now().utc);
        if let Some(person) = person
            && store.person(person).await?.is_none()
        {
            return Err(KeyError::Person);
        }
        match store.add_tunnel_key(name, person, secret, scopes, now).await? {
            AddedTunnelKey::Added => self.changed(name, "added", actor).await,
            AddedTunnelKey::Taken => Err(KeyError::Taken),
            AddedTunnelKey::TooMany => Err(KeyError::TooMany),
        }
    }

    /// Every key.
    pub async fn keys(&self) -> Result<Vec<TunnelKey>, StoreError> {
        self.house().store().tunnel_keys().await
    }

    /// Gives a key another secret, which is given back once; the one before opens messages for a while.
    pub async fn rotate_key(&self, name: &str, overlap: Duration, actor: &Actor) -> Result<TunnelSecret, KeyError> {
        if overlap > LONGEST_OVERLAP {
            return Err(KeyError::Overlap);
        }
        let (store, now) = (self.house().store(), self.house().now().utc);
        let secret = store.new_tunnel_secret();
        if !store.rotate_tunnel_key(name, &secret, now.plus(overlap)).await? {
            return Err(KeyError::Unknown);
        }
        self.changed(name, "rotated", actor).await?;
        Ok(secret)
    }

    /// Changes what a key may be used for.
    pub async fn scope_key(&self, name: &str, scopes: &Scopes, actor: &Actor) -> Result<(), KeyError> {
        Allowed::read(scopes)?;
        if !self.house().store().scope_tunnel_key(name, scopes).await? {
            return Err(KeyError::Unknown);
        }
        self.changed(name, "changed", actor).await
    }

    /// Revokes a key, and ends its streams.
    pub async fn revoke_key(&self, name: &str, actor: &Actor) -> Result<(), KeyError> {
        if !self.house().store().remove_tunnel_key(name).await? {
            return Err(KeyError::Unknown);
        }
        self.changed(name, "revoked", actor).await
    }

    async fn changed(&self, name: &str, change: &str, actor: &Actor) -> Result<(), KeyError> {
        self.reload().await?;
        let event = NewEvent::new(self.house().now().utc, EventKind::TunnelKeyChanged).actor(actor);
        self.house().record(vec![event.data(json!({ "key": name, "change": change }))]).await?;
        Ok(())
    }

    /// What a fresh installation's first key may do: publish, listen, and act at doors; HTTP only where Jeedom is.
    pub fn first_scopes(&self) -> Scopes {
        let mut services = vec![Service::Mqtt, Service::Doors];
        if self.options().jeedom.is_some() {
            services.push(Service::Jeedom);
        }
        let everything = || vec!["#".to_owned()];
        Scopes { services, mqtt_publish: everything(), mqtt_subscribe: everything(), doors: vec!["*".to_owned()], ..Scopes::default() }
    }
}

/// A secret as the original's clients take it: 64 hexadecimal digits.
pub fn hex(secret: &TunnelSecret) -> Secret<String> {
    Secret::new(secret.reveal().iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// Reads a secret of 64 hexadecimal digits.
pub fn from_hex(text: &str) -> Option<TunnelSecret> {
    let text = text.trim();
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut secret = [0; 32];
    for (byte, at) in secret.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(Secret::new(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_64_hexadecimal_digits() {
        let text = "3616864d6ed4f70b8a774e17c7435b411d8bc5714fddaf88e3850104a9d88ccd";
        let secret = from_hex(&format!("{}\n", text.to_uppercase())).unwrap();
        assert_eq!(hex(&secret).reveal(), text);
        for wrong in ["", &text[1..], &format!("{text}0"), &text.replace('3', "g"), &"ü".repeat(32)] {
            assert!(from_hex(wrong).is_none(), "{wrong}");
        }
    }
}
