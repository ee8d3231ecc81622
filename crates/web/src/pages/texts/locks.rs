//! What is said about locks over Bluetooth.

use super::{
    Texts, labels,
    state::{Face, face},
};

labels! {
    Labels []

    title = "Locks over Bluetooth",
    text = "Doors that phones open as they come near.",
    secure = "Only for who answers its challenge",
    tokens = "Opens for phones that come near",
    called = "On the air",
    sessions_live = "Live sessions",
    let_in = "Let in",
    refused = "Refused",
    replays = "Played again",
    foreign = "Foreign advertisements",
    opened = "opened",
    heard = "heard",
    refused_dot = "refused",
    now = "now",
    ten_minutes_ago = "10 min ago",
    no_proof = "Signal strength is no proof of distance: whoever has a strong antenna looks near, and a token can be relayed. A door that matters needs “secure”: it opens for an answered challenge alone.",
    no_news = "Nothing is known of this lock now. Its account may be off.",
    sessions = "Sessions",
    sessions_text = "For so long a phone opens a lock without asking the house for another one.",
    no_sessions = "No phone has a session now.",
    ends = "ends",
    end = "Take back",
    taken_back = "Taken back",
    session_ended = "The session was taken back.",
    phones = "Phones",
    phones_text = "Phones with a program of their own. They are enrolled by a code: see the page of a pass, or “doorward person invite-phone”.",
    no_phones = "No phone is enrolled. Passes open these locks from their page too.",
    forget = "Forget",
    phone_forgotten = "The phone was forgotten, and its sessions were taken back.",
    never = "never used",
    page = "page of the pass",
    enrol = "Enrol a phone",
    enrol_command = "On that phone",
    none = "There are no locks over Bluetooth",
    none_text = "They are set up in the configuration file: a door with kind = “radio”. See docs/ble.md.",
}

impl Texts {
    /// Whether phones can ask for sessions.
    pub(crate) fn issuer(&self, gives: bool, beacon: Option<&str>) -> (Face, String) {
        match (gives, beacon) {
            (_, Some(beacon)) => (face("On the air", "bluetooth", "ok"), format!("Phones get their sessions from “{beacon}”.")),
            (true, None) => (
                face("Pages only", "ticket", "calm"),
                "Pages of passes get sessions; set ble.issuer, and phones can ask over the air.".into(),
            ),
            (false, None) => (face("Elsewhere", "x", "calm"), "This house gives phones no sessions for its locks.".into()),
        }
    }

    /// What a code for a phone is for.
    pub(crate) fn enrol_text(&self, until: &str, beacon: Option<&str>) -> String {
        let place = beacon.map_or_else(
            || "The house does not give sessions over the air yet: set ble.issuer first.".to_owned(),
            |beacon| format!("Near the house, whose beacon is called “{beacon}”, the phone then gets its sessions."),
        );
        format!("The code in this command is good for one phone, until {until}. {place}")
    }

    /// Whether a lock hears its radio.
    pub(crate) const fn radio_face(&self, up: bool) -> Face {
        if up { face("Listening", "bluetooth", "ok") } else { face("Deaf", "alert", "bad") }
    }

    /// What a plot shows, for who does not see it.
    pub(crate) fn plot_title(&self, door: &str, heard: usize, opened: usize, refused: usize) -> String {
        format!("{door}, last 10 minutes: {heard} times a phone was heard, {opened} opened, {refused} refused")
    }

    /// The line of a threshold.
    pub(crate) fn plot_threshold(&self, threshold: i8) -> String {
        format!("opens above {threshold} dBm")
    }
}
