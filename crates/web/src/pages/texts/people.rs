//! What is said about people, what they may open, and passes.

use super::{
    Texts, labels,
    state::{Face, face},
};
use doorward_wire::{
    attempt::Reason,
    event::{Event, EventKind},
    grant::{Actions, Doors, Holidays, Means, PassDoorState, PassState, Role, Terms, Weekday},
};
use jiff::tz::TimeZone;

labels! {
    Labels []

    title = "People",
    text = "Who lives and works here, and what each of them may open. Nobody opens a door without a right to it.",
    add = "Add person",
    add_text = "They sign in with a link first, which you make on their page.",
    role = "Role",
    may_open = "May open",
    nothing_yet = "Nothing yet",
    every_door = "Every door",
    every_door_help = "Also those that come later",
    every_door_of = "Every door of",
    groups = "Groups",
    groups_text = "Rights that are given to a group are had by everybody in it.",
    no_groups = "There are no groups yet.",
    add_group = "Add group",
    members = "Members",
    remove_group = "Remove group",
    group_removed = "The group was removed, and the rights that it had.",
    rights_none = "Opens nothing. Give a right below.",
    give = "Give a right",
    take_back = "Take back",
    taken_back = "The right was taken back.",
    given = "The right was given.",
    given_person = "The person was added. Make a sign-in link for them.",
    what = "What",
    doors = "Doors",
    from = "From",
    until = "Until",
    period_help = "In the time zone of the house. Empty for no limit.",
    weekdays = "Days",
    weekdays_help = "None for every day.",
    hours = "Hours",
    hours_help = "Such as 08:00-18:00, or 22:00-06:00 across midnight; several with commas between them. Empty for the whole day.",
    holidays = "Holidays of the site",
    uses = "Times that it opens",
    uses_help = "Empty for as often as they like.",
    two_person = "Only together",
    two_person_help = "Two people who need each other must ask for the same within a minute.",
    duress = "Under duress",
    duress_help = "It opens as if nothing were, and administrators are told that somebody was forced.",
    limits = "Limits",
    link = "Sign-in link",
    link_help = "Works once, for 15 minutes. Whoever uses it is this person.",
    sessions = "Signed in",
    erase = "Erase person",
    remove_text = "Their sessions, tokens, keys and rights end now, and so do the passes that they made. What they did stays in the history, without their name.",
    access = "Who may open it",
    access_text = "What each of them may do now, and why.",
    access_can = "Can open it now",
    access_cannot = "Cannot",
    access_none = "Nobody can open it now.",
    access_at = "At another time",
    access_look = "Look",
    now = "Now",

    passes = "Passes",
    passes_text = "A right for a guest, by a link: no account, no app. It ends by itself.",
    no_passes = "No passes yet",
    no_passes_text = "Make one for a guest, a cleaner or a neighbour. They open their doors from a link, for as long as you say.",
    my_passes_text = "For your guests. A pass opens no more than you may, and only while you may.",
    make_pass = "Make pass",
    new_pass = "New pass",
    guest = "Guest",
    guest_help = "Whom it is for. Only you see it, and they.",
    which_doors = "Which doors?",
    how_long = "For how long?",
    hour_1 = "1 hour",
    hours_4 = "4 hours",
    day_1 = "1 day",
    days_3 = "3 days",
    week_1 = "1 week",
    custom = "As set below",
    more = "More",
    pin = "PIN",
    pin_help = "4 to 8 digits that the guest must know beside the link. Tell it by another way.",
    pass_link = "Link",
    pass_link_text = "Whoever has this link opens the doors. Send it, or let the guest photograph the code.",
    copy_link = "Copy link",
    share = "Share",
    no_end = "It does not end by itself.",
    revoke = "Take back",
    revoke_text = "From this moment it opens nothing.",
    pass_revoked = "The pass was taken back.",
    pass_removed = "The pass was removed.",
    pass_made = "The pass is made. Give the guest its link.",
    pass_extended = "The pass was changed.",
    remove_pass = "Remove",
    never_seen = "Not opened yet",
    seen = "Last looked at",
    last_used = "Last used",
    uses_left = "Used",
    about = "About this person",
    pass_title = "Pass",
    pass_needs_script = "This page needs JavaScript: the secret in the link stays in the browser, and a script sends it to the house alone.",
    // For pass.js, in its order.
    pass_js_words = "ends in|opens from|does not end|# times left|Lock|Working…|not reachable|There is no pass in this link. Ask for it again.|The house cannot be reached just now.|This link is not known here. Ask for a new one.|days|h|min|s|Or type # at the lock|Open over Bluetooth|The lock says it opened|The lock refused|The lock does not know the time|That is another lock. Try again, and choose the right one.|The lock did not answer. Stand nearer and try again.|No lock was chosen",
    pass_phones = "Use a program on this phone",
    pass_phones_text = "doorward ble guest opens these doors as you come near. The code is good once, for an hour.",
    pass_phones_code = "Show a code",
    means = "How it opens",
    code = "Code",
    history = "What it opened",
    no_history = "It has not opened anything yet.",
}

impl Texts {
    /// A role, in a word and a line.
    pub(crate) const fn role(&self, role: Role) -> (&'static str, &'static str) {
        match role {
            Role::Administrator => ("Administrator", "May do everything, at every door"),
            Role::Resident => ("Resident", "Sees and opens their doors, makes passes for them"),
            Role::Guest => ("Guest", "Sees and opens their doors"),
            Role::Service => ("Service", "A program or firm: acts by tokens, does not sign in"),
        }
    }

    /// A day of the week, short.
    pub(crate) const fn day_short(&self, day: Weekday) -> &'static str {
        match day {
            Weekday::Monday => "Mon",
            Weekday::Tuesday => "Tue",
            Weekday::Wednesday => "Wed",
            Weekday::Thursday => "Thu",
            Weekday::Friday => "Fri",
            Weekday::Saturday => "Sat",
            Weekday::Sunday => "Sun",
        }
    }

    /// What holidays mean.
    pub(crate) const fn holidays_mean(&self, holidays: Holidays) -> &'static str {
        match holidays {
            Holidays::AsUsual => "Days like others",
            Holidays::Never => "Closed on holidays",
            Holidays::Only => "Open on holidays alone",
        }
    }

    /// What may be asked.
    pub(crate) const fn actions_mean(&self, actions: Actions) -> &'static str {
        match actions {
            Actions::Act => "Open and lock",
            Actions::Lock => "Lock only",
            Actions::Read => "Look only",
        }
    }

    /// How a pass stands.
    pub(crate) const fn pass_face(&self, state: PassState) -> Face {
        match state {
            PassState::Active => face("Active", "check", "ok"),
            PassState::NotYet => face("Not yet", "clock", "busy"),
            PassState::Ended => face("Ended", "clock", "calm"),
            PassState::UsedUp => face("Used up", "check", "calm"),
            PassState::Revoked => face("Taken back", "x", "bad"),
        }
    }

    /// By which means something opens, with its icon.
    pub(crate) const fn means(&self, means: Means) -> (&'static str, &'static str) {
        match means {
            Means::Remote => ("by the link", "ticket"),
            Means::Ble => ("over Bluetooth at the lock", "bluetooth"),
            Means::Pin => ("by a code at the lock", "key"),
        }
    }

    /// How a pass stands at a door.
    pub(crate) const fn pass_door_face(&self, state: PassDoorState) -> Face {
        match state {
            PassDoorState::Set => face("Set", "check", "ok"),
            PassDoorState::Setting => face("Setting", "clock", "busy"),
            PassDoorState::Cannot => face("Cannot", "x", "calm"),
            PassDoorState::Removing => face("Removing", "clock", "busy"),
        }
    }

    /// Doors, by name.
    pub(crate) fn doors_named(&self, doors: &[Doors], name: impl Fn(&Doors) -> String) -> String {
        doors.iter().map(|one| if *one == Doors::All { self.people.every_door.into() } else { name(one) }).collect::<Vec<_>>().join(", ")
    }

    /// When and how often a right holds, in words; empty when it always does.
    pub(crate) fn terms(&self, terms: &Terms, zone: &TimeZone) -> String {
        let at = |time: doorward_wire::Time| time.timestamp().to_zoned(zone.clone()).strftime("%-d %b %Y %H:%M").to_string();
        let mut parts = Vec::new();
        if !terms.weekdays.is_empty() {
            parts.push(self.days(&terms.weekdays));
        }
        parts.extend(terms.hours.iter().map(|hours| hours.to_string().replace('-', "–")));
        match terms.holidays {
            Holidays::AsUsual => {}
            Holidays::Never => parts.push("not on holidays".into()),
            Holidays::Only => parts.push("on holidays alone".into()),
        }
        parts.extend(terms.from.map(|from| format!("from {}", at(from))));
        parts.extend(terms.until.map(|until| format!("until {}", at(until))));
        match terms.uses {
            Some(1) => parts.push("once".into()),
            Some(uses) => parts.push(format!("{uses} times")),
            None => {}
        }
        if terms.two_person {
            parts.push("together with somebody else".into());
        }
        if terms.duress {
            parts.push("under duress".into());
        }
        parts.join(", ")
    }

    /// Days of the week; those that follow each other as a span.
    fn days(&self, days: &[Weekday]) -> String {
        let numbers: Vec<usize> = Weekday::ALL.iter().enumerate().filter(|(_, day)| days.contains(day)).map(|(number, _)| number).collect();
        let mut spans: Vec<(usize, usize)> = Vec::new();
        for number in numbers {
            match spans.last_mut() {
                Some((_, last)) if *last + 1 == number => *last = number,
                _ => spans.push((number, number)),
            }
        }
        let word = |number: usize| Weekday::ALL.get(number).map_or("", |day| self.day_short(*day));
        let span = |(first, last): &(usize, usize)| match last - first {
            0 => word(*first).to_owned(),
            1 => format!("{}, {}", word(*first), word(*last)),
            _ => format!("{}–{}", word(*first), word(*last)),
        };
        spans.iter().map(span).collect::<Vec<_>>().join(", ")
    }

    /// How often a pass was used.
    pub(crate) fn used_of(&self, used: u32, most: Option<u32>) -> String {
        match (used, most) {
            (used, Some(most)) => format!("{used} of {most} times"),
            (0, None) => "never".into(),
            (1, None) => "once".into(),
            (used, None) => format!("{used} times"),
        }
    }

    /// The same where no heading says what it is about.
    pub(crate) fn is_used(&self, used: u32, most: Option<u32>) -> String {
        if used == 0 { "not used yet".into() } else { format!("used {}", self.used_of(used, most)) }
    }

    /// What somebody is, who might open a door.
    pub(crate) fn access_kind(&self, kind: &str) -> (&'static str, &'static str) {
        match kind {
            "person" => ("Person", "user"),
            "token" => ("Token", "key"),
            "pass" => ("Pass", "ticket"),
            "tunnel" => ("Tunnel key", "shield"),
            _ => ("MQTT user", "cloud"),
        }
    }

    /// What happened to a right or a pass.
    pub(super) fn right_event(&self, event: &Event, door: &str, by: &dyn Fn(&str, &str) -> String) -> String {
        #[expect(clippy::wildcard_enum_match_arm, reason = "the others are told elsewhere")]
        match event.kind {
            EventKind::DoorDuress => by(&format!("was forced to open {door}"), &format!("{door} was opened under duress")),
            EventKind::PassCreated => by("made a pass", "A pass was made"),
            EventKind::PassChanged => by("changed a pass", "A pass was changed"),
            EventKind::PassRevoked => by("took a pass back", "A pass was taken back"),
            EventKind::PassUsed => by(&format!("used a pass at {door}"), &format!("A pass was used at {door}")),
            EventKind::PassSet if event.data["set"] == true => format!("A code for a pass was set at {door}"),
            EventKind::PassSet => format!("A code for a pass was removed at {door}"),
            _ => match event.data["change"].as_str() {
                Some("given") => by("gave a right", "A right was given"),
                Some("taken back") => by("took a right back", "A right was taken back"),
                _ => by("changed a right", "A right was changed"),
            },
        }
    }

    /// Why a pass opens nothing now, for its holder.
    pub(crate) const fn pass_denied(&self, reason: Reason) -> &'static str {
        #[expect(clippy::wildcard_enum_match_arm, reason = "passes have few reasons")]
        match reason {
            Reason::Revoked => "This pass was taken back.",
            Reason::Expired => "This pass has ended.",
            Reason::NotYet => "This pass has not begun.",
            Reason::OutOfHours => "Not at this hour.",
            Reason::UsesExhausted => "This pass was used as often as it may be.",
            Reason::NeedsSecondPerson => "A second person must ask, too, within a minute.",
            _ => "This pass does not open this door now.",
        }
    }

    /// In how many browsers somebody is signed in.
    pub(crate) fn browsers(&self, sessions: i64) -> String {
        match sessions {
            ..=0 => "nowhere".into(),
            1 => "in one browser".into(),
            more => format!("in {more} browsers"),
        }
    }

    /// When a right was taken back.
    pub(crate) fn taken_back_at(&self, when: &str) -> String {
        format!("taken back {when}")
    }

    /// A question before somebody is erased.
    pub(crate) fn erase_title(&self, name: &str) -> String {
        format!("Erase {name}?")
    }
}

#[cfg(test)]
mod tests {
    use super::super::EN;
    use doorward_wire::grant::{Holidays, Terms};
    use jiff::tz::TimeZone;

    #[test]
    fn terms_are_said_in_words() {
        let days = |text: &str| text.split(' ').map(|day| day.parse().unwrap()).collect();
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let terms = Terms {
            weekdays: days("mon tue wed fri sat"),
            hours: vec!["08:00-18:00".parse().unwrap()],
            until: Some("2026-12-01T17:00:00Z".parse().unwrap()),
            uses: Some(3),
            holidays: Holidays::Never,
            ..Terms::default()
        };
        assert_eq!(EN.terms(&terms, &zone), "Mon–Wed, Fri, Sat, 08:00–18:00, not on holidays, until 1 Dec 2026 18:00, 3 times");
        assert_eq!(EN.terms(&Terms::default(), &zone), "");
    }
}
