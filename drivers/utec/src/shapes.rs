//! How a lock command is written. Today's clouds take `Command`; older ones refuse it and want `Control` in one of
//! six shapes. Which one an account's cloud took is remembered.

use crate::client::{COMMAND, CONTROL, Name};
use serde_json::{Value, json};

/// What the bolt is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    Lock,
    Unlock,
}

/// One way of writing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `Uhome.Device/Command`, today's.
    Command,
    /// `LockState`, the state as a text.
    LockState,
    /// `LockState`, the state in `targetState`.
    LockStateTarget,
    /// `Lock`, the verb as a text.
    Lock,
    /// `Lock`, the state in `targetState`.
    LockTarget,
    /// `Lock`, the verb in `state`.
    LockInState,
    /// `Lock`, the verb in `value`.
    LockInValue,
}

impl Shape {
    /// All of them, in the order in which they are tried.
    const ALL: [Self; 7] =
        [Self::Command, Self::LockState, Self::LockStateTarget, Self::Lock, Self::LockTarget, Self::LockInState, Self::LockInValue];

    /// The order in which they are tried when `learned` was the last to be taken.
    pub(crate) fn order(learned: Self) -> impl Iterator<Item = Self> {
        std::iter::once(learned).chain(Self::ALL.into_iter().filter(move |shape| *shape != learned))
    }

    /// The word under which it is kept.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::LockState => "lock_state",
            Self::LockStateTarget => "lock_state_target",
            Self::Lock => "lock",
            Self::LockTarget => "lock_target",
            Self::LockInState => "lock_in_state",
            Self::LockInValue => "lock_in_value",
        }
    }

    /// The shape that was kept under a word.
    pub(crate) fn of(word: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|shape| shape.word().as_bytes() == word)
    }

    /// The request that moves the bolt of one lock.
    pub(crate) fn request(self, device: Value, to: Move) -> (Name, Value) {
        let (verb, state) = match to {
            Move::Lock => ("LOCK", "LOCKED"),
            Move::Unlock => ("UNLOCK", "UNLOCKED"),
        };
        let command = match to {
            Move::Lock => "lock",
            Move::Unlock => "unlock",
        };
        let (name, key, said) = match self {
            Self::Command => (COMMAND, "command", json!({ "capability": "st.lock", "name": command })),
            Self::LockState => (CONTROL, "actions", json!([{ "name": "LockState", "value": state }])),
            Self::LockStateTarget => (CONTROL, "actions", json!([{ "name": "LockState", "value": { "targetState": state } }])),
            Self::Lock => (CONTROL, "actions", json!([{ "name": "Lock", "value": verb }])),
            Self::LockTarget => (CONTROL, "actions", json!([{ "name": "Lock", "value": { "targetState": state } }])),
            Self::LockInState => (CONTROL, "actions", json!([{ "name": "Lock", "value": { "state": verb } }])),
            Self::LockInValue => (CONTROL, "actions", json!([{ "name": "Lock", "value": { "value": verb } }])),
        };
        (name, json!({ "devices": [with(device, key, said)] }))
    }
}

/// A device of a request with one more field.
pub(crate) fn with(mut device: Value, key: &str, value: Value) -> Value {
    if let Value::Object(fields) = &mut device {
        fields.insert(key.to_owned(), value);
    }
    device
}
