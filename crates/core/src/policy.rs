//! Who may open what: one function, with its reasons (rule 3 of the house).

use doorward_wire::{
    Time,
    attempt::{ActionWord, Reason},
    door::DoorId,
};
use serde::Serialize;

/// What somebody was given. Nothing is allowed that is not here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rights {
    grants: Vec<Grant>,
}

/// One right, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Where it comes from, as `explain` shows it: `role administrator`, `scope doors:act`.
    pub source: String,
    /// The doors that it covers.
    pub doors: Doors,
    /// What may be asked of them.
    pub actions: Actions,
}

/// Which doors a grant covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doors {
    /// Every door, also those that come later.
    All,
    /// This door alone.
    One(DoorId),
}

/// What a grant allows at its doors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actions {
    /// Look and ask for the state.
    Read,
    /// Also open, lock and unlock.
    Act,
    /// Lock, and nothing else.
    Lock,
}

impl Rights {
    /// No rights at all: the default.
    pub const fn none() -> Self {
        Self { grants: Vec::new() }
    }

    /// The rights of an administrator.
    pub fn administrator() -> Self {
        Self { grants: vec![Grant { source: "role administrator".into(), doors: Doors::All, actions: Actions::Act }] }
    }

    /// doorward's own right to lock a door again; it can never open one.
    pub fn system() -> Self {
        Self { grants: vec![Grant { source: "auto_lock of the door".into(), doors: Doors::All, actions: Actions::Lock }] }
    }

    /// The rights that a list of grants gives.
    pub const fn of(grants: Vec<Grant>) -> Self {
        Self { grants }
    }

    /// Whether a door may be looked at.
    pub fn sees(&self, door: &DoorId) -> bool {
        self.grants.iter().any(|grant| grant.covers(door))
    }
}

impl Grant {
    fn covers(&self, door: &DoorId) -> bool {
        match &self.doors {
            Doors::All => true,
            Doors::One(one) => one == door,
        }
    }

    fn allows(&self, action: ActionWord) -> bool {
        match self.actions {
            Actions::Act => true,
            Actions::Read => action == ActionWord::Refresh,
            Actions::Lock => action == ActionWord::Lock,
        }
    }
}

/// The answer, with its reasons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// Whether it is allowed.
    pub allowed: bool,
    /// Why not; the first thing to mend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denied: Option<Reason>,
    /// Every grant that was looked at, and what it says.
    pub reasons: Vec<String>,
}

/// Whether somebody with these rights may do this at this door at this time.
pub fn decide(rights: &Rights, door: &DoorId, action: ActionWord, _at: Time) -> Decision {
    let mut reasons = Vec::new();
    let mut allowed = false;
    for grant in &rights.grants {
        if !grant.covers(door) {
            reasons.push(format!("{} does not cover door {door}", grant.source));
        } else if !grant.allows(action) {
            reasons.push(format!("{} allows looking, not {action}", grant.source));
        } else {
            reasons.push(format!("{} allows {action} at door {door}", grant.source));
            allowed = true;
        }
    }
    if reasons.is_empty() {
        reasons.push(format!("nobody gave a right to door {door}"));
    }
    Decision { allowed, denied: (!allowed).then_some(Reason::NoGrant), reasons }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(door: &str, actions: Actions) -> Rights {
        Rights::of(vec![Grant { source: "scope".into(), doors: Doors::One(door.parse().unwrap()), actions }])
    }

    #[test]
    fn rule_3_no_grant_no_door() {
        let door = "gate".parse().unwrap();
        for action in ActionWord::ALL {
            let decision = decide(&Rights::none(), &door, *action, Time::default());
            assert!(!decision.allowed);
            assert_eq!(decision.denied, Some(Reason::NoGrant));
            assert!(!decision.reasons.is_empty(), "a refusal is explained");
        }
    }

    #[test]
    fn a_grant_for_one_door_opens_no_other() {
        let rights = one("gate", Actions::Act);
        assert!(decide(&rights, &"gate".parse().unwrap(), ActionWord::Unlock, Time::default()).allowed);
        assert!(!decide(&rights, &"cellar".parse().unwrap(), ActionWord::Unlock, Time::default()).allowed);
    }

    #[test]
    fn a_right_to_look_opens_nothing() {
        let rights = one("gate", Actions::Read);
        let door = "gate".parse().unwrap();
        assert!(decide(&rights, &door, ActionWord::Refresh, Time::default()).allowed);
        for action in [ActionWord::Open, ActionWord::Unlock, ActionWord::Lock] {
            assert!(!decide(&rights, &door, action, Time::default()).allowed);
        }
    }
}
