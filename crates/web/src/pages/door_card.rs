//! A door as it is shown: its state with the evidence and its age, what can be done, and what became of it.

use super::{
    scene::{Scene, TimeView},
    texts::{Texts, state::Tone},
};
use askama::Template;
use doorward_wire::{
    attempt::{ActionWord, ActorKind, Attempt, AttemptState},
    door::{Capability, Door, DoorKind, DoorState, EvidenceKind},
};

/// Battery levels at or below this many per cent are shown on the card.
const BATTERY_LOW: u8 = 20;

/// A door in the list, or large on its own page.
#[derive(Template)]
#[template(path = "_door.html")]
pub(crate) struct DoorCard {
    pub(crate) t: &'static Texts,
    pub(crate) csrf: String,
    pub(crate) large: bool,
    pub(crate) door: DoorView,
}

pub(crate) struct DoorView {
    pub(crate) id: String,
    name: String,
    word: &'static str,
    icon: &'static str,
    tone: Tone,
    evidence: EvidenceLine,
    badges: Vec<Badge>,
    check: Option<Button>,
    actions: Vec<Button>,
    attempt: Option<AttemptView>,
    /// Where the ring is looked at that rings here, and what is said of it.
    ring: Option<(String, String)>,
    say: String,
}

/// What the state rests on, in a line with a time in it.
struct EvidenceLine {
    text: String,
    time: Option<TimeView>,
    after: &'static str,
}

/// A word with an icon.
pub(crate) struct Badge {
    pub(crate) tone: Tone,
    pub(crate) icon: &'static str,
    pub(crate) word: String,
}

/// Something that can be done.
pub(super) struct Button {
    pub(super) id: String,
    pub(super) word: &'static str,
    pub(super) label: &'static str,
    pub(super) busy: &'static str,
    pub(super) icon: &'static str,
    style: &'static str,
    pub(super) aria: String,
    pub(super) pending: bool,
}

struct AttemptView {
    id: String,
    tone: Tone,
    icon: &'static str,
    word: &'static str,
    what: String,
    created: TimeView,
    steps: Vec<Step>,
    why: Option<String>,
    advice: Option<&'static str>,
    pending: bool,
    say: String,
}

struct Step {
    tone: Tone,
    icon: &'static str,
    text: String,
    after: Option<String>,
}

impl DoorCard {
    /// A door as it stands now. `shown` is an attempt that is shown although the door does not name it.
    pub(crate) fn new(scene: &Scene, door: &Door, large: bool, shown: Option<&Attempt>) -> Self {
        let t = scene.t;
        let face = t.door_state(door.state, door.kind);
        let attempt = door.attempt.as_ref().or(shown);
        let view = DoorView {
            id: door.id.to_string(),
            name: door.name.clone(),
            word: face.word,
            icon: face.icon,
            tone: face.tone,
            evidence: evidence(scene, door),
            badges: badges(t, door),
            check: door.capabilities.contains(&Capability::Refresh).then(|| button(scene, door, ActionWord::Refresh)),
            actions: actions(door, large).into_iter().map(|action| button(scene, door, action)).collect(),
            attempt: attempt.filter(|attempt| worth_showing(attempt)).map(|attempt| attempt_view(scene, door, attempt, large)),
            ring: scene
                .web
                .house()
                .board()
                .ringing_at(&door.id)
                .map(|ring| (format!("/rings/{}", ring.id), t.rings_now(ring.from.as_deref()))),
            say: format!("{}: {}", door.name, face.word),
        };
        Self { t, csrf: scene.csrf.clone(), large, door: view }
    }

    /// The same without what can be done: that is beside it.
    pub(super) fn bare(mut self) -> Self {
        self.door.actions.clear();
        self.door.check = None;
        self.door.ring = None;
        self
    }
}

/// Whether the door may still change because of a command, so that a page without a script looks again.
pub(crate) fn is_moving(door: &Door) -> bool {
    let pending = door.attempt.as_ref().is_some_and(|attempt| !attempt.state.is_final());
    pending || matches!(door.state, DoorState::Locking | DoorState::Unlocking)
}

/// A look that succeeded is told by the state itself.
const fn worth_showing(attempt: &Attempt) -> bool {
    !matches!((attempt.action, attempt.state), (ActionWord::Refresh, AttemptState::Pending | AttemptState::Confirmed))
}

fn evidence(scene: &Scene, door: &Door) -> EvidenceLine {
    let t = scene.t;
    let offline = door.online == Some(false);
    let Some(last) = door.evidence.iter().find(|evidence| evidence.state.is_some()) else {
        return EvidenceLine { text: t.never_seen(door.kind, offline).into(), time: None, after: "" };
    };
    let time = Some(scene.time(last.at, Some(&door.site)));
    let vendor = scene.vendor(door.account.as_deref());
    match (door.state, last.state) {
        (DoorState::Unknown, Some(state)) => {
            EvidenceLine { text: t.last_seen(state, offline), time, after: if offline { "" } else { t.too_old() } }
        }
        (DoorState::Locking | DoorState::Unlocking, Some(state)) => EvidenceLine { text: t.last_seen(state, offline), time, after: "" },
        (_, state) => EvidenceLine { text: t.seen(last.kind, state, &vendor), time, after: "" },
    }
}

fn badges(t: &'static Texts, door: &Door) -> Vec<Badge> {
    let mut badges = Vec::new();
    if door.online == Some(false) {
        badges.push(Badge { tone: "warn", icon: "offline", word: t.offline.into() });
    }
    if let Some(level) = door.battery.filter(|level| *level <= BATTERY_LOW) {
        badges.push(Badge { tone: "warn", icon: "battery", word: t.battery_low(level) });
    }
    if door.contact_open == Some(true) && door.state != DoorState::Open {
        badges.push(Badge { tone: "warn", icon: "door-open", word: t.contact_open.into() });
    }
    badges
}

/// What is offered: the opposite of what is so, and both when nobody knows.
fn actions(door: &Door, large: bool) -> Vec<ActionWord> {
    let offered: &[ActionWord] = match door.state {
        DoorState::Locked if !large => &[ActionWord::Unlock, ActionWord::Open],
        DoorState::Unlocked | DoorState::Open if !large => &[ActionWord::Lock, ActionWord::Open],
        DoorState::Locked
        | DoorState::Unlocked
        | DoorState::Open
        | DoorState::Locking
        | DoorState::Unlocking
        | DoorState::Jammed
        | DoorState::Unknown => &[ActionWord::Lock, ActionWord::Unlock, ActionWord::Open],
    };
    let can = |action: ActionWord| match action {
        ActionWord::Open => door.capabilities.contains(&Capability::Open),
        ActionWord::Lock => door.capabilities.contains(&Capability::Lock),
        ActionWord::Unlock => door.capabilities.contains(&Capability::Unlock),
        ActionWord::Refresh => false,
    };
    offered.iter().copied().filter(|action| can(*action)).collect()
}

pub(super) fn button(scene: &Scene, door: &Door, action: ActionWord) -> Button {
    let (label, busy, _) = scene.t.action(action);
    let running = door.attempt.as_ref().filter(|attempt| !attempt.state.is_final() && attempt.action == action);
    // Locking is what sets a mind at rest; a way in is never the loudest thing on the page.
    let style = if action == ActionWord::Lock && matches!(door.state, DoorState::Unlocked | DoorState::Open) { "primary" } else { "" };
    Button {
        // Pressing it again while it is done asks after the same attempt, and not for another.
        id: running.map_or_else(|| scene.fresh(), |attempt| attempt.id.to_string()),
        word: action.as_str(),
        label,
        busy,
        icon: match action {
            ActionWord::Open => "door-open",
            ActionWord::Lock => "lock",
            ActionWord::Unlock => "unlock",
            ActionWord::Refresh => "refresh",
        },
        style,
        aria: scene.t.action_at(action, &door.name),
        pending: running.is_some(),
    }
}

fn attempt_view(scene: &Scene, door: &Door, attempt: &Attempt, large: bool) -> AttemptView {
    let t = scene.t;
    let verdict = t.verdict(attempt.state);
    let good = matches!(attempt.state, AttemptState::Pending | AttemptState::Confirmed);
    AttemptView {
        id: format!("attempt-{}", door.id),
        tone: verdict.tone,
        icon: verdict.icon,
        word: verdict.word,
        what: if attempt.actor.kind == ActorKind::Person && attempt.actor.id == scene.me && !large {
            t.action(attempt.action).2.into()
        } else {
            t.asked(attempt.action, &attempt.actor, &scene.me)
        },
        created: scene.time(attempt.created, Some(&door.site)),
        steps: steps(scene, door, attempt, large),
        why: attempt.detail.clone().filter(|_| !good),
        advice: t.advice(attempt, door.capabilities.contains(&Capability::Refresh)),
        pending: !attempt.state.is_final(),
        say: t.aloud(attempt, &door.name),
    }
}

fn steps(scene: &Scene, door: &Door, attempt: &Attempt, large: bool) -> Vec<Step> {
    let t = scene.t;
    let vendor = scene.vendor(door.account.as_deref());
    let after = |at: doorward_wire::Time| Some(t.after(at.since(attempt.created)));
    let accepted = attempt.evidence.iter().find(|evidence| evidence.kind == EvidenceKind::Accepted);
    let pending = !attempt.state.is_final();
    let sent =
        accepted.is_some() || matches!(attempt.state, AttemptState::Confirmed | AttemptState::Unconfirmed | AttemptState::Contradicted);
    let mut steps = Vec::new();
    if pending && !sent {
        steps.push(Step { tone: "busy", icon: "spin", text: t.sent(&vendor, false), after: None });
        return steps;
    }
    // What the vendor says is no evidence: these steps are never green.
    if sent {
        steps.push(Step { tone: "calm", icon: "check", text: t.sent(&vendor, true), after: None });
    }
    if let Some(accepted) = accepted {
        steps.push(Step { tone: "calm", icon: "check", text: t.accepted(&vendor), after: after(accepted.at) });
    }
    let sights: Vec<_> = attempt.evidence.iter().filter(|evidence| evidence.state.is_some()).collect();
    let between = if pending { sights.len() } else { sights.len().saturating_sub(1) };
    if large {
        for sight in &sights[..between] {
            steps.push(Step { tone: "calm", icon: "info", text: t.seen(sight.kind, sight.state, &vendor), after: after(sight.at) });
        }
    }
    if pending {
        steps.push(Step { tone: "busy", icon: "spin", text: t.waiting(attempt.action, door.kind).into(), after: None });
        return steps;
    }
    // On a card the verdict and its reason say as much.
    let told =
        attempt.detail.is_some() && matches!(attempt.state, AttemptState::Unconfirmed | AttemptState::Refused | AttemptState::Failed);
    let outcome = t.outcome(attempt);
    if outcome.is_empty() || told && !large {
        return steps;
    }
    let verdict = t.verdict(attempt.state);
    let at = match attempt.state {
        AttemptState::Confirmed | AttemptState::Contradicted => sights.last().map(|sight| sight.at).or(attempt.finished),
        AttemptState::Pending | AttemptState::Unconfirmed | AttemptState::Refused | AttemptState::Failed => attempt.finished,
    };
    steps.push(Step { tone: verdict.tone, icon: verdict.icon, text: outcome, after: at.and_then(after) });
    steps
}

/// A line about a door.
pub(crate) struct SeenLine {
    icon: &'static str,
    text: String,
    time: TimeView,
}

/// What is known about a door besides its state.
#[derive(Template)]
#[template(path = "_facts.html")]
pub(crate) struct Facts {
    t: &'static Texts,
    lines: Vec<Fact>,
    seen: Vec<SeenLine>,
}

struct Fact {
    label: &'static str,
    value: String,
    href: Option<String>,
}

impl Facts {
    pub(crate) fn new(scene: &Scene, door: &Door) -> Self {
        let t = scene.t;
        let vendor = scene.vendor(door.account.as_deref());
        let fact = |label, value: &str| Fact { label, value: value.to_owned(), href: None };
        let mut facts = Vec::new();
        if let Some(since) = door.since {
            facts.push(fact(t.since, &scene.time(since, Some(&door.site)).short));
        }
        let connection = door.online.map_or(t.not_known, |online| if online { t.online } else { t.not_online });
        facts.push(fact(t.connection, connection));
        if let Some(level) = door.battery {
            facts.push(fact(t.battery, &format!("{level} %")));
        }
        if let Some(open) = door.contact_open {
            facts.push(fact(t.contact, if open { t.contact_is_open } else { t.contact_is_closed }));
        }
        facts.push(fact(t.type_of_door, t.door_kind(door.kind)));
        facts.push(fact(t.site, scene.site_name(&door.site)));
        if let Some(account) = &door.account {
            facts.push(Fact { href: Some(format!("/accounts/{account}")), ..fact(t.account, scene.account_name(account)) });
        }
        if let Some(external) = &door.external {
            facts.push(fact(t.vendor_id, external));
        }
        if door.managed.is_some() {
            facts.push(fact(t.managed, t.managed_config));
        }
        let seen = door.evidence.iter().map(|evidence| SeenLine {
            icon: match evidence.kind {
                EvidenceKind::Accepted => "send",
                EvidenceKind::Answer => "check",
                EvidenceKind::Polled => "refresh",
                EvidenceKind::Pushed => "cloud",
                EvidenceKind::Contact => "door-open",
            },
            text: t.seen(evidence.kind, evidence.state, &vendor),
            time: scene.time(evidence.at, Some(&door.site)),
        });
        Self { t, lines: facts, seen: seen.collect() }
    }
}

/// A strike without a contact has no state, and is not counted among those whose state is unknown.
pub(crate) fn counts(door: &Door) -> bool {
    !(door.kind == DoorKind::Strike && door.state == DoorState::Unknown)
}
