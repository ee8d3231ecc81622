//! Words for where doors and accounts stand, and what is known about them.

use super::Texts;
use doorward_wire::{
    Time,
    account::{AccountState, StageState},
    code::{CodeKind, CodeSchedule, CodeState},
    door::{DoorKind, DoorState, EvidenceKind},
};

/// The tone of something: which colour it has. The words and the icon say it too.
pub(crate) type Tone = &'static str;

/// A word with its icon and tone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Face {
    pub(crate) word: &'static str,
    pub(crate) icon: &'static str,
    pub(crate) tone: Tone,
}

pub(super) const fn face(word: &'static str, icon: &'static str, tone: Tone) -> Face {
    Face { word, icon, tone }
}

impl Texts {
    /// Where a door stands.
    pub(crate) fn door_state(&self, state: DoorState, kind: DoorKind) -> Face {
        match state {
            DoorState::Locked => face("Locked", "lock", "ok"),
            DoorState::Locking => face("Locking…", "spin", "busy"),
            DoorState::Unlocked => face("Unlocked", "unlock", "warn"),
            DoorState::Unlocking if kind == DoorKind::Strike => face("Opening…", "spin", "busy"),
            DoorState::Unlocking => face("Unlocking…", "spin", "busy"),
            DoorState::Open => face("Open", "door-open", "warn"),
            DoorState::Jammed => face("Jammed", "alert", "bad"),
            // A gate without a contact has no state that anybody could know.
            DoorState::Unknown if kind == DoorKind::Strike => face("No sensor", "gate", "calm"),
            DoorState::Unknown => face("Unknown", "question", "calm"),
        }
    }

    /// A state in the middle of a sentence.
    pub(crate) const fn state_word(&self, state: DoorState) -> &'static str {
        match state {
            DoorState::Locked => "locked",
            DoorState::Locking => "locking",
            DoorState::Unlocked => "unlocked",
            DoorState::Unlocking => "unlocking",
            DoorState::Open => "open",
            DoorState::Jammed => "jammed",
            DoorState::Unknown => "in no known state",
        }
    }

    /// How a state is known; the time follows.
    pub(crate) fn seen(&self, how: EvidenceKind, state: Option<DoorState>, vendor: &str) -> String {
        let state = state.map_or("nothing", |state| self.state_word(state));
        match how {
            EvidenceKind::Accepted => format!("Command accepted by {vendor}"),
            EvidenceKind::Answer => format!("The lock itself said {state}"),
            EvidenceKind::Polled => format!("Seen {state} by poll"),
            EvidenceKind::Pushed => format!("Reported {state} by {vendor}"),
            EvidenceKind::Contact => format!("Contact saw it {state}"),
        }
    }

    /// The same, when it no longer counts.
    pub(crate) fn last_seen(&self, state: DoorState, offline: bool) -> String {
        let last = format!("Last seen {}", self.state_word(state));
        if offline { format!("Cannot be reached. {last}") } else { last }
    }

    /// Nothing was ever seen.
    pub(crate) const fn never_seen(&self, kind: DoorKind, offline: bool) -> &'static str {
        match (kind, offline) {
            (_, true) => "Cannot be reached just now.",
            (DoorKind::Strike, false) => "It opens for a moment and cannot tell its position.",
            (_, false) => "Nobody has seen its state yet.",
        }
    }

    /// Behind the time of something that is too old.
    pub(crate) const fn too_old(&self) -> &'static str {
        "– too long ago to rely on"
    }

    /// How something was seen, in brackets.
    pub(crate) const fn how(&self, how: EvidenceKind) -> &'static str {
        match how {
            EvidenceKind::Accepted => "accepted",
            EvidenceKind::Answer => "answered by the lock",
            EvidenceKind::Polled => "polled",
            EvidenceKind::Pushed => "pushed",
            EvidenceKind::Contact => "by its contact",
        }
    }

    /// What kind of door.
    pub(crate) const fn door_kind(&self, kind: DoorKind) -> &'static str {
        match kind {
            DoorKind::Bolt => "Bolt",
            DoorKind::Strike => "Gate or buzzer",
            DoorKind::Radio => "Radio lock",
            DoorKind::Foreign => "Foreign target",
        }
    }

    /// How an account stands.
    pub(crate) const fn account_state(&self, state: AccountState, signed_in: bool) -> Face {
        match state {
            AccountState::NeedsSignIn if signed_in => face("Needs you", "alert", "bad"),
            AccountState::New => face("Not signed in", "key", "warn"),
            AccountState::Ready => face("Signed in", "check", "ok"),
            AccountState::Offline => face("Offline", "offline", "warn"),
            AccountState::NeedsSignIn => face("Needs sign-in", "alert", "bad"),
            AccountState::Faulty => face("Faulty", "alert", "bad"),
        }
    }

    /// How a part of an account's set-up stands.
    pub(crate) const fn stage_state(&self, state: StageState) -> Face {
        match state {
            StageState::Todo => face("To do", "circle", "calm"),
            StageState::Doing => face("Under way", "spin", "busy"),
            StageState::Done => face("Done", "check", "ok"),
            StageState::Failed => face("Needs you", "alert", "bad"),
        }
    }

    /// How many parts of an account's set-up are done.
    pub(crate) fn stages_done(&self, done: usize, all: usize) -> String {
        if done == all { "all done".into() } else { format!("{done} of {all} done") }
    }

    /// An account that a person must see to.
    pub(crate) fn needs_sign_in(&self, account: &str) -> String {
        format!("{account} must be signed in again")
    }

    /// An account that a person must see to for another reason.
    pub(crate) fn needs_you(&self, account: &str) -> String {
        format!("{account} needs you")
    }

    /// What an account renews.
    pub(crate) fn lease_kind(&self, kind: &str) -> String {
        match kind {
            "oauth_token" => "Sign-in token".into(),
            "client_certificate" => "Client certificate".into(),
            "sip_registration" => "SIP registration".into(),
            other => other.replace('_', " "),
        }
    }

    /// Before the time at which a lease ends.
    pub(crate) fn lease_ends(&self, end: Option<Time>, now: Time) -> &'static str {
        match end {
            None => "– its end is not known",
            Some(end) if end <= now => "ended",
            Some(_) => "ends",
        }
    }

    /// Before the time at which a lease is renewed.
    pub(crate) fn lease_renewal(&self, renew: Option<Time>, now: Time, state: AccountState) -> &'static str {
        match renew {
            Some(at) if at > now => "Renews by itself",
            Some(_) => "Being renewed now",
            None if state == AccountState::NeedsSignIn => "Not renewed until the account is signed in",
            None => "Automatic renewal is off",
        }
    }

    /// The link to a vendor's page.
    pub(crate) fn open_vendor(&self, vendor: &str) -> String {
        format!("Open {vendor}")
    }

    /// The question before an account is removed.
    pub(crate) fn remove_account_of(&self, name: &str) -> String {
        format!("Remove {name}?")
    }

    /// What goes with an account.
    pub(crate) fn remove_account_doors(&self, doors: usize) -> String {
        match doors {
            0 => "It has no doors yet.".into(),
            1 => "Its door goes with it. What happened at it stays under Events.".into(),
            doors => format!("Its {doors} doors go with it. What happened at them stays under Events."),
        }
    }

    /// What the holder of a code may do, and what that means.
    pub(crate) const fn code_kind(&self, kind: CodeKind) -> (&'static str, &'static str) {
        match kind {
            CodeKind::Normal => ("Always", "Opens at any time."),
            CodeKind::Temporary => ("Temporary", "Opens when its schedule says so."),
            CodeKind::Admin => ("Administrator", "Opens at any time and may change the lock’s own settings."),
        }
    }

    /// Whether the lock has taken a code over.
    pub(crate) const fn code_state(&self, state: CodeState) -> Option<Face> {
        match state {
            CodeState::Setting => Some(face("Being set", "clock", "busy")),
            CodeState::Set => None,
            CodeState::Removing => Some(face("Removing", "clock", "warn")),
        }
    }

    /// When a code opens.
    pub(crate) fn schedule(&self, schedule: &CodeSchedule) -> String {
        let moment = |text: &Option<String>| {
            let text = text.as_deref()?;
            Some(
                text.parse::<jiff::civil::DateTime>().map_or_else(|_| text.to_owned(), |time| time.strftime("%-d %b %Y %H:%M").to_string()),
            )
        };
        let mut parts = match (moment(&schedule.from), moment(&schedule.until)) {
            (Some(from), Some(until)) => vec![format!("{from} to {until}")],
            (Some(from), None) => vec![format!("from {from}")],
            (None, Some(until)) => vec![format!("until {until}")],
            (None, None) => Vec::new(),
        };
        if !schedule.weekdays.is_empty() {
            parts.push(schedule.weekdays.iter().map(|day| self.weekday(day)).collect::<Vec<_>>().join(" "));
        }
        parts.extend(schedule.hours.as_ref().map(|hours| hours.replace('-', "–")));
        parts.extend(schedule.uses.map(|uses| if uses == 1 { "once".into() } else { format!("{uses} times") }));
        parts.join(", ")
    }

    /// The delete button of a code, for those who cannot see which row it is in.
    pub(crate) fn change_code_of(&self, name: &str) -> String {
        format!("Change the code of {name}")
    }

    pub(crate) fn delete_code_of(&self, name: &str) -> String {
        format!("Delete the code of {name}")
    }

    /// A weekday, short.
    pub(crate) fn weekday(&self, day: &str) -> &'static str {
        match day {
            "mon" => "Mon",
            "tue" => "Tue",
            "wed" => "Wed",
            "thu" => "Thu",
            "fri" => "Fri",
            "sat" => "Sat",
            _ => "Sun",
        }
    }

    /// Low battery.
    pub(crate) fn battery_low(&self, level: u8) -> String {
        format!("Battery {level} %")
    }

    /// How many doors.
    pub(crate) fn doors_of(&self, doors: usize) -> String {
        match doors {
            0 => "no doors yet".into(),
            1 => "1 door".into(),
            doors => format!("{doors} doors"),
        }
    }

    /// What is said above all doors: of those that can tell, and how many `blind` ones there are beside them.
    pub(crate) fn summary(&self, states: &[DoorState], blind: usize) -> String {
        let count = |wanted: &[DoorState]| states.iter().filter(|state| wanted.contains(state)).count();
        let parts = [
            (count(&[DoorState::Jammed]), "jammed"),
            (count(&[DoorState::Open]), "open"),
            (count(&[DoorState::Unlocked]), "unlocked"),
            (count(&[DoorState::Locked]), "locked"),
            (count(&[DoorState::Locking, DoorState::Unlocking]), "moving"),
            (count(&[DoorState::Unknown]), "unknown"),
        ];
        if blind == 0 && states.len() > 1 && parts[3].0 == states.len() {
            return format!("All {} doors are locked", states.len());
        }
        // Where none can tell, each says so itself.
        let blind = if states.is_empty() { 0 } else { blind };
        let all = parts.into_iter().chain([(blind, "without a sensor")]).filter(|(count, _)| *count > 0);
        all.map(|(count, word)| format!("{count} {word}")).collect::<Vec<_>>().join(" · ")
    }
}

#[cfg(test)]
mod tests {
    use super::super::EN;
    use doorward_wire::door::DoorState;

    #[test]
    fn all_doors_are_locked_only_where_all_can_tell() {
        let locked = [DoorState::Locked, DoorState::Locked];
        for (states, blind, said) in [
            (&locked[..], 0, "All 2 doors are locked"),
            (&locked, 1, "2 locked · 1 without a sensor"),
            (&[DoorState::Open, DoorState::Locked], 0, "1 open · 1 locked"),
            (&[], 2, ""),
        ] {
            assert_eq!(EN.summary(states, blind), said);
        }
    }
}
