//! A ring as it is shown: who rings where, since when, what can be done, and what came of it.

use super::{
    door_card::{self, Button, DoorCard},
    scene::{Scene, TimeView},
    shell::fragment,
    texts::{Texts, state::Tone},
};
use askama::Template;
use doorward_wire::{
    attempt::ActionWord,
    door::{Capability, Door},
    ring::{Ring, RingState},
};

/// A ring, large, on its own page.
#[derive(Template)]
#[template(path = "_ring.html")]
pub(crate) struct RingCard {
    t: &'static Texts,
    csrf: String,
    ring: RingView,
}

struct RingView {
    id: String,
    tone: Tone,
    icon: &'static str,
    title: String,
    from: Option<String>,
    since: TimeView,
    /// When it ended, and after how long.
    ended: Option<(TimeView, String)>,
    /// The door at which it rings and what opens it; nothing when that can no longer be done here.
    open: Option<(String, Button)>,
    ignore: bool,
    look: Look,
}

/// How a picture of whoever rings is come by.
enum Look {
    /// There is none.
    Nowhere,
    /// By answering.
    Answers,
    /// It was answered: by going there again.
    Again(String),
}

/// One ring in the history, under the heading of its day where it is the first.
#[derive(Template)]
#[template(path = "_ring_item.html")]
pub(crate) struct RingItem {
    day: Option<(String, String)>,
    under: String,
    id: String,
    tone: Tone,
    icon: &'static str,
    text: String,
    note: String,
    time: TimeView,
}

/// A ring as it stands now, with its door, as fragments.
pub(crate) fn parts(scene: &Scene, ring: &Ring) -> String {
    let door = scene.web.house().board().door(&ring.door);
    let card = fragment(&RingCard::new(scene, ring, door.as_ref()));
    // While it rings what opens the door is one of the ring's own buttons.
    card + &door.map_or_else(String::new, |door| {
        let card = DoorCard::new(scene, &door, false, None);
        fragment(&if ring.state.is_final() { card } else { card.bare() })
    })
}

/// Whether a page without a script looks again.
pub(crate) fn is_moving(scene: &Scene, ring: &Ring) -> bool {
    let door = scene.web.house().board().door(&ring.door);
    !ring.state.is_final() || door.is_some_and(|door| door_card::is_moving(&door))
}

impl RingCard {
    fn new(scene: &Scene, ring: &Ring, door: Option<&Door>) -> Self {
        let t = scene.t;
        let face = t.ring_state(ring.state);
        let site = door.map(|door| door.site.as_str());
        let stream = door.and_then(|door| door.stream.clone());
        let ringing = !ring.state.is_final();
        let view = RingView {
            id: ring.id.to_string(),
            tone: face.tone,
            icon: face.icon,
            title: t.ring_outcome(ring.state, ring.by.as_ref(), door.map_or(ring.door.as_str(), |door| &door.name)),
            from: ring.from.clone(),
            since: scene.time(ring.since, site),
            ended: ring.ended.map(|ended| (scene.time(ended, site), t.after(ended.since(ring.since)))),
            open: door.filter(|_| ringing).and_then(|door| Some((door.id.to_string(), door_card::button(scene, door, way_in(door)?)))),
            ignore: ringing,
            look: match (stream, ring.state) {
                (Some(_), RingState::Ringing) => Look::Answers,
                (Some(stream), RingState::Answered) => Look::Again(stream),
                _ => Look::Nowhere,
            },
        };
        Self { t, csrf: scene.csrf.clone(), ring: view }
    }
}

/// What lets somebody in at a door.
fn way_in(door: &Door) -> Option<ActionWord> {
    let ways = [(ActionWord::Open, Capability::Open), (ActionWord::Unlock, Capability::Unlock)];
    ways.into_iter().find(|(_, can)| door.capabilities.contains(can)).map(|(action, _)| action)
}

/// Rings, newest first, each day under its heading.
pub(crate) fn by_day(scene: &Scene, rings: &[Ring]) -> Vec<RingItem> {
    let mut before = None;
    let listed = rings.iter().map(|ring| {
        let item = item(scene, ring);
        let first = before.as_ref() != Some(&item.under);
        before = Some(item.under.clone());
        RingItem { day: item.day.filter(|_| first), ..item }
    });
    listed.collect()
}

/// A ring in the history as a fragment, with the heading of its day in case that is new.
pub(crate) fn listed(scene: &Scene, ring: &Ring) -> String {
    fragment(&item(scene, ring))
}

fn item(scene: &Scene, ring: &Ring) -> RingItem {
    let t = scene.t;
    let door = scene.web.house().board().door(&ring.door);
    let face = t.ring_state(ring.state);
    let day = scene.zoned(ring.since, None).date();
    RingItem {
        day: Some((day.to_string(), t.day(day, scene.zoned(scene.now, None).date()))),
        under: day.to_string(),
        id: ring.id.to_string(),
        tone: face.tone,
        icon: face.icon,
        text: t.ring_outcome(ring.state, ring.by.as_ref(), door.as_ref().map_or(ring.door.as_str(), |door| &door.name)),
        note: ring.from.clone().unwrap_or_default(),
        time: scene.time(ring.since, None),
    }
}
