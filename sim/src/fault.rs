//! A fault that can be switched on: where it applies, how often, and what exactly goes wrong.

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// The part of a simulator that a fault applies to. Each simulator has its own.
pub trait Scope: Copy {
    /// Whether a fault that is set for `self` strikes a request at `place`.
    fn covers(self, place: Self) -> bool;
}

/// One fault. `S` says where it strikes, `T` what it needs to know (a status, a delay).
///
/// In JSON it is `true`, or the value of `with` alone, or an object with any of the four fields.
///
/// ```
/// use doorward_sim::utec::{Fault, On};
///
/// let fault: Fault<u16> = Fault::with(503).on(On::Command).times(2);
/// # let same: Fault<u16> = serde_json::from_str(r#"{"on":"command","times":2,"with":503}"#).unwrap();
/// # assert_eq!(fault, same);
/// # let short: Fault<u16> = serde_json::from_str("503").unwrap();
/// # assert_eq!(short, Fault::with(503));
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Fault<S, T = ()> {
    /// Where it strikes.
    pub on: S,
    /// How often it still strikes before it switches itself off; `None` until somebody does.
    pub times: Option<u32>,
    /// Whether the request takes effect all the same: the door opens, the token is rotated, and only the
    /// answer is spoilt.
    pub after_effect: bool,
    /// What exactly goes wrong.
    pub with: T,
}

impl<S: Default, T> Fault<S, T> {
    /// A fault that strikes everywhere, always, before the request takes effect.
    pub fn with(with: T) -> Self {
        Self { on: S::default(), times: None, after_effect: false, with }
    }
}

impl<S, T> Fault<S, T> {
    /// Strikes there only.
    #[must_use]
    pub fn on(mut self, on: S) -> Self {
        self.on = on;
        self
    }

    /// Strikes that often only.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Lets the request take effect and spoils the answer.
    #[must_use]
    pub fn after_effect(mut self) -> Self {
        self.after_effect = true;
        self
    }
}

/// The fault in `slot` if it strikes a request at `place`; counts it down.
pub(crate) fn strike<S: Scope, T: Clone>(slot: &mut Option<Fault<S, T>>, place: S) -> Option<Fault<S, T>> {
    let fault = slot.as_mut().filter(|fault| fault.on.covers(place))?;
    let struck = fault.clone();
    match &mut fault.times {
        Some(0) => {
            *slot = None;
            return None;
        }
        Some(1) => *slot = None,
        Some(times) => *times -= 1,
        None => {}
    }
    Some(struck)
}

/// A list of faults with those changed that `changes` names; `false` and `null` switch one off.
pub(crate) fn patched<F: Default + DeserializeOwned + Serialize>(faults: &F, changes: &Value) -> Result<F, String> {
    let Value::Object(changes) = changes else {
        return Err("an object is needed".to_owned());
    };
    let mut all = serde_json::to_value(faults).map_err(|error| error.to_string())?;
    let standard = serde_json::to_value(F::default()).map_err(|error| error.to_string())?;
    for (name, value) in changes {
        let off = value.is_null() || *value == Value::Bool(false);
        all[name] = match standard.get(name) {
            Some(standard) if off => standard.clone(),
            Some(_) | None => value.clone(),
        };
    }
    serde_json::from_value(all).map_err(|error| error.to_string())
}

impl<'de, S, T> Deserialize<'de> for Fault<S, T>
where
    S: DeserializeOwned + Default,
    T: DeserializeOwned,
{
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (mut on, mut times, mut after_effect) = (None, None, None);
        let with = match Value::deserialize(from)? {
            Value::Bool(true) => Value::Null,
            Value::Object(fields) => {
                let mut with = Value::Null;
                for (name, value) in fields {
                    match name.as_str() {
                        "on" => on = Some(part(value)?),
                        "times" => times = part(value)?,
                        "after_effect" => after_effect = Some(part(value)?),
                        "with" => with = value,
                        other => {
                            return Err(Error::unknown_field(other, &["on", "times", "after_effect", "with"]));
                        }
                    }
                }
                with
            }
            plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => plain,
        };
        Ok(Self { on: on.unwrap_or_default(), times, after_effect: after_effect.unwrap_or_default(), with: part(with)? })
    }
}

fn part<T: DeserializeOwned, E: Error>(value: Value) -> Result<T, E> {
    T::deserialize(value).map_err(E::custom)
}
