//! The live stream of pages: fragments, rendered by the same templates, whenever something changes.
//!
//! A reader first gets everything that its page shows, because something may have changed since the page was rendered;
//! the same happens when it could not keep up. The session is looked at again each second, and the stream ends with it.

use super::{
    account_card::AccountCard,
    door_card::{DoorCard, Facts},
    doors,
    event_list::{self, Echoes},
    fleet, fleet_device, fleet_rollouts, locks, ring_card, rings,
    scene::Scene,
    shell::Oops,
    visitor::Visitor,
};
use crate::{ApiError, Web, api};
use axum::{
    Router,
    extract::{Query, State},
    response::{
        IntoResponse, Response,
        sse::{Event as Message, Sse},
    },
    routing::get,
};
use doorward_core::{keeper::Notice, scope::Scope};
use doorward_store::{EventQuery, RingQuery};
use doorward_wire::{
    account::{AccountId, is_signed_in},
    device::DeviceId,
    door::{Door, DoorId},
    event::{Event, EventKind},
    ring::{Ring, RingId},
};
use serde::Deserialize;
use std::{convert::Infallible, str::FromStr, time::Duration};
use tokio::sync::{Semaphore, broadcast::error::RecvError};

/// Streams at once. Each asks the store once a second.
const STREAMS: usize = 64;
/// How often the session is looked at again.
const CHECK: Duration = Duration::from_secs(1);
/// Something is sent at least once in so many looks, so that a dead connection is noticed.
const SILENT_LOOKS: u32 = 15;
/// Events that a reader may have missed and still gets one by one; beyond them the page is loaded again.
const MISSED: u32 = 100;

static OPEN: Semaphore = Semaphore::const_new(STREAMS);

pub(super) fn router() -> Router<Web> {
    Router::new().route("/live", get(live))
}

#[derive(Deserialize)]
struct Wanted {
    view: String,
    after: Option<i64>,
}

/// What a page shows.
#[derive(Debug, Clone, PartialEq, Eq)]
enum View {
    Doors,
    Door(DoorId),
    Accounts,
    /// An account, and whether it was signed in when its page was rendered.
    Account(AccountId, bool),
    Events(Option<DoorId>, Option<EventKind>),
    Rings(Option<DoorId>),
    Ring(RingId),
    Watched(Watched),
}

/// What is told of all the time, and so looked at each second: devices of the fleet, and what locks hear.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Watched {
    /// Devices in this state that hold this text.
    Devices(fleet::Wanted),
    Device(DeviceId),
    Rollout(String),
    Locks,
}

impl FromStr for View {
    type Err = ApiError;
    fn from_str(text: &str) -> Result<Self, ApiError> {
        let wrong = || ApiError::BadRequest("there is no such view".into());
        let (name, rest) = text.split_once(':').unwrap_or((text, ""));
        let (first, second) = rest.split_once(':').unwrap_or((rest, ""));
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Ok(match name {
            "doors" => Self::Doors,
            "door" => Self::Door(rest.parse().map_err(|_| wrong())?),
            "accounts" => Self::Accounts,
            "account" if matches!(second, "in" | "out") => Self::Account(first.parse().map_err(|_| wrong())?, second == "in"),
            "events" => Self::Events(
                some(first).map(|door| door.parse()).transpose().map_err(|_| wrong())?,
                some(second).map(|kind| kind.parse()).transpose().map_err(|_| wrong())?,
            ),
            "rings" => Self::Rings(some(rest).map(|door| door.parse()).transpose().map_err(|_| wrong())?),
            "fleet" => Self::Watched(Watched::Devices(fleet::Wanted { state: first.into(), q: second.into() })),
            "device" => Self::Watched(Watched::Device(rest.parse().map_err(|_| wrong())?)),
            "rollout" => Self::Watched(Watched::Rollout(rest.into())),
            "locks" => Self::Watched(Watched::Locks),
            "ring" => Self::Ring(rest.parse().map_err(|_| wrong())?),
            _ => return Err(wrong()),
        })
    }
}

impl View {
    /// Whether the visitor may see it.
    async fn check(&self, web: &Web, visitor: &Visitor) -> Result<(), ApiError> {
        let caller = &visitor.caller;
        match self {
            Self::Doors | Self::Rings(None) => Ok(()),
            Self::Events(None, _) => caller.need(&Scope::EventsRead),
            Self::Events(Some(door), _) => caller.need(&Scope::EventsRead).and_then(|()| caller.door(web, door).map(drop)),
            Self::Door(door) | Self::Rings(Some(door)) => caller.door(web, door).map(drop),
            Self::Ring(id) => {
                let ring = web.house().ring(*id).await?.filter(|ring| caller.sees(web, &ring.door));
                ring.map(drop).ok_or(ApiError::NotFound("ring with this id"))
            }
            Self::Accounts | Self::Account(..) | Self::Watched(_) => caller.need(&Scope::Admin),
        }
    }
}

async fn live(State(web): State<Web>, visitor: Visitor, Query(wanted): Query<Wanted>) -> Result<Response, Oops> {
    let view: View = wanted.view.parse()?;
    view.check(&web, &visitor).await?;
    let permit = OPEN.try_acquire().map_err(|_| ApiError::RateLimited(10))?;
    let mut notices = web.house().subscribe();
    let mut scene = Scene::load(&web, &visitor).await;
    scene.ring = if let View::Ring(id) = view { Some(id) } else { None };
    let mut reader = Reader { scene, view, last: wanted.after.unwrap_or(i64::MAX), echoes: Echoes::default(), shown: String::new() };
    let stream = async_stream::stream! {
        let _permit = permit;
        let clock = web.house().clock().clone();
        let mut look_at = clock.now().mono.plus(CHECK);
        let mut silent = 0;
        for part in reader.everything().await {
            yield Ok::<_, Infallible>(part.message());
        }
        loop {
            let parts = tokio::select! {
                notice = notices.recv() => match notice {
                    Ok(notice) => reader.notice(&notice).await,
                    Err(RecvError::Lagged(_)) => reader.everything().await,
                    Err(RecvError::Closed) => return,
                },
                () = clock.sleep_until(look_at) => {
                    if web.is_stopping() {
                        return;
                    }
                    let Some(caller) = visitor.again(&web).await else {
                        yield Ok(Part::Reload.message());
                        return;
                    };
                    if caller.rights != reader.scene.caller.rights || caller.scopes != reader.scene.caller.scopes {
                        yield Ok(Part::Reload.message());
                        return;
                    }
                    look_at = clock.now().mono.plus(CHECK);
                    silent += 1;
                    if silent >= SILENT_LOOKS {
                        silent = 0;
                        yield Ok(Message::default().comment(""));
                    }
                    reader.looked().await
                }
            };
            for part in parts {
                silent = 0;
                yield Ok(part.message());
            }
        }
    };
    Ok(Sse::new(stream).into_response())
}

/// Something to send.
enum Part {
    /// Elements that take the place of those with the same id.
    Patch(String),
    /// The page shows other things now.
    Reload,
    /// It is to be seen at this address: what is shown may be the answer to a form, which is not to be sent again.
    Go(String),
}

impl Part {
    fn message(self) -> Message {
        match self {
            // A carriage return ends a line of the stream.
            Self::Patch(html) => Message::default().event("patch").data(html.replace('\r', "")),
            Self::Reload => Message::default().event("bye").data("reload"),
            Self::Go(address) => Message::default().event("bye").data(address),
        }
    }
}

struct Reader {
    scene: Scene,
    view: View,
    /// The last event that the page has.
    last: i64,
    echoes: Echoes,
    /// What the page shows of what is watched.
    shown: String,
}

impl Reader {
    /// All that the page shows, as it is now.
    async fn everything(&mut self) -> Vec<Part> {
        self.scene.reload().await;
        self.scene.now = self.scene.web.house().now().utc;
        if let Some(elsewhere) = self.signed_in_or_out() {
            return vec![elsewhere];
        }
        let board = self.scene.web.house().board();
        let mut html = self.scene.banners();
        match &self.view {
            View::Doors => {
                let doors = self.scene.doors();
                for door in &doors {
                    html += &self.door(door);
                }
                html += &doors::summary(&self.scene, &doors);
            }
            View::Door(id) => match board.door(id) {
                Some(door) => html += &self.door(&door),
                None => return vec![Part::Reload],
            },
            View::Accounts | View::Account(..) => match self.accounts().await {
                Some(cards) => html += &cards,
                None => return vec![Part::Reload],
            },
            View::Rings(door) => html += &self.rings(door.clone()).await,
            View::Ring(id) => match self.ring(*id).await {
                Some(ring) => html += &ring,
                None => return vec![Part::Reload],
            },
            View::Watched(_) => match self.watched().await {
                Some(fragment) => html += &fragment,
                None => return vec![Part::Reload],
            },
            View::Events(..) => {}
        }
        let mut parts = vec![Part::Patch(html)];
        parts.extend(self.missed().await);
        parts
    }

    /// What is told of all the time is looked at each second.
    async fn looked(&mut self) -> Vec<Part> {
        if !matches!(self.view, View::Watched(_)) {
            return Vec::new();
        }
        self.scene.now = self.scene.web.house().now().utc;
        let before = self.shown.clone();
        match self.watched().await {
            Some(html) if html == before => Vec::new(),
            Some(html) => vec![Part::Patch(html)],
            None => vec![Part::Reload],
        }
    }

    /// What the page shows of those; nothing when they are gone. Times of “just now” are the script's affair.
    async fn watched(&mut self) -> Option<String> {
        let View::Watched(part) = &self.view else { return None };
        let html = match part {
            Watched::Devices(wanted) => fleet::rendered(&self.scene, wanted).await.ok(),
            Watched::Device(id) => fleet_device::rendered(&self.scene, id).await.ok().flatten(),
            Watched::Rollout(id) => fleet_rollouts::rendered(&self.scene, id).await.ok().flatten(),
            Watched::Locks => locks::rendered(&self.scene).await.ok(),
        }?;
        self.shown.clone_from(&html);
        Some(html)
    }

    /// What a notice changes on the page.
    async fn notice(&mut self, notice: &Notice) -> Vec<Part> {
        self.scene.now = self.scene.web.house().now().utc;
        let board = self.scene.web.house().board();
        if !self.concerns(notice) {
            return Vec::new();
        }
        match notice {
            Notice::Door(door) => match &self.view {
                View::Doors => {
                    let summary = doors::summary(&self.scene, &self.scene.doors());
                    vec![Part::Patch(self.door(door) + &summary)]
                }
                View::Door(id) if *id == door.id => vec![Part::Patch(self.door(door))],
                View::Ring(id) => self.ring_at(*id, &door.id).await,
                View::Door(_) | View::Accounts | View::Account(..) | View::Events(..) | View::Rings(_) | View::Watched(_) => Vec::new(),
            },
            Notice::DoorGone(gone) => match &self.view {
                View::Doors => vec![Part::Reload],
                View::Door(id) if id == gone => vec![Part::Reload],
                View::Ring(id) if board.ring(*id).is_some_and(|ring| ring.door == *gone) => vec![Part::Reload],
                View::Door(_)
                | View::Accounts
                | View::Account(..)
                | View::Events(..)
                | View::Rings(_)
                | View::Ring(_)
                | View::Watched(_) => Vec::new(),
            },
            Notice::Account(_) | Notice::AccountGone(_) => {
                self.scene.reload().await;
                if let Some(elsewhere) = self.signed_in_or_out() {
                    return vec![elsewhere];
                }
                let mut html = self.scene.banners();
                match self.accounts().await {
                    Some(cards) => html += &cards,
                    None => return vec![Part::Reload],
                }
                vec![Part::Patch(html)]
            }
            Notice::Event(event) => self.event(event).into_iter().collect(),
            // The door that it is at says the same.
            Notice::Attempt(_) => Vec::new(),
            Notice::Ring(ring) => vec![Part::Patch(self.rang(ring))],
        }
    }

    /// Whether a notice is about something that the visitor may see.
    fn concerns(&self, notice: &Notice) -> bool {
        match notice {
            Notice::Door(door) => self.scene.caller.rights.sees(&door.id, &door.site, self.scene.now),
            Notice::Ring(ring) => self.scene.sees(&ring.door),
            Notice::Event(event) => self.scene.reads(event),
            Notice::Account(_) | Notice::AccountGone(_) => self.scene.is_administrator(),
            Notice::DoorGone(_) | Notice::Attempt(_) => true,
        }
    }

    /// What a ring that begins or ends changes on the page.
    fn rang(&self, ring: &Ring) -> String {
        let banners = self.scene.banners();
        let board = self.scene.web.house().board();
        let more = match &self.view {
            View::Doors => board.door(&ring.door).map(|door| self.door(&door)),
            View::Door(id) if *id == ring.door => board.door(id).map(|door| self.door(&door)),
            View::Rings(door) if door.as_ref().is_none_or(|door| *door == ring.door) => Some(ring_card::listed(&self.scene, ring)),
            View::Ring(id) if *id == ring.id => Some(ring_card::parts(&self.scene, ring)),
            View::Door(_) | View::Accounts | View::Account(..) | View::Events(..) | View::Rings(_) | View::Ring(_) | View::Watched(_) => {
                None
            }
        };
        banners + &more.unwrap_or_default()
    }

    /// The ring of the page; `None` when it is not there.
    async fn ring(&self, id: RingId) -> Option<String> {
        let ring = self.scene.web.house().ring(id).await.unwrap_or_default()?;
        Some(ring_card::parts(&self.scene, &ring))
    }

    /// The ring of the page, if this door is its own.
    async fn ring_at(&self, id: RingId, door: &DoorId) -> Vec<Part> {
        match self.scene.web.house().ring(id).await {
            Ok(Some(ring)) if ring.door == *door => vec![Part::Patch(ring_card::parts(&self.scene, &ring))],
            Ok(_) | Err(_) => Vec::new(),
        }
    }

    /// The newest rings, the oldest of them first, as each takes the first place.
    async fn rings(&self, door: Option<DoorId>) -> String {
        let query = RingQuery { door, limit: rings::PAGE, ..RingQuery::default() };
        // A store that cannot be read has a banner; the list stays as it is.
        let rings = self.scene.web.house().store().rings(&query).await.unwrap_or_default();
        rings.iter().rev().filter(|ring| self.scene.sees(&ring.door)).map(|ring| ring_card::listed(&self.scene, ring)).collect()
    }

    fn door(&self, door: &Door) -> String {
        use super::shell::fragment;
        let large = matches!(self.view, View::Door(_));
        let card = fragment(&DoorCard::new(&self.scene, door, large, None));
        if large { card + &fragment(&Facts::new(&self.scene, door)) } else { card }
    }

    /// Where the page's account is to be seen when it was signed in, or out, since it was rendered: there is more to see then
    /// than its card.
    fn signed_in_or_out(&self) -> Option<Part> {
        let View::Account(id, before) = &self.view else { return None };
        let standing = self.scene.web.house().board().standing(id)?;
        let changed = is_signed_in(standing.state, &standing.stages) != *before;
        changed.then(|| Part::Go(format!("/accounts/{id}")))
    }

    /// The accounts that the page shows; `None` when the one that it is about is gone.
    async fn accounts(&self) -> Option<String> {
        use super::shell::fragment;
        let web = &self.scene.web;
        let (only, large) = match &self.view {
            View::Accounts => (None, false),
            View::Account(id, _) => (Some(id), true),
            View::Doors | View::Door(_) | View::Events(..) | View::Rings(_) | View::Ring(_) | View::Watched(_) => {
                return Some(String::new());
            }
        };
        // A store that cannot be read has a banner; the cards stay as they are.
        let Ok(rows) = web.house().store().accounts().await else { return Some(String::new()) };
        if only.is_some_and(|id| rows.iter().all(|row| row.id != *id)) {
            return None;
        }
        let rows = rows.iter().filter(|row| only.is_none_or(|id| row.id == *id));
        Some(rows.map(|row| fragment(&AccountCard::new(&self.scene, &api::view(web, row), large))).collect())
    }

    /// The filter of the page's events, if it shows any; `true` for the short list on a door's page.
    fn events(&self) -> Option<(Option<&DoorId>, Option<EventKind>, bool)> {
        match &self.view {
            View::Door(id) => Some((Some(id), None, true)),
            View::Events(door, kind) => Some((door.as_ref(), *kind, false)),
            View::Doors | View::Accounts | View::Account(..) | View::Rings(_) | View::Ring(_) | View::Watched(_) => None,
        }
    }

    fn event(&mut self, event: &Event) -> Option<Part> {
        let (door, kind, brief) = self.events()?;
        let wanted = door.is_none_or(|door| event.door.as_ref() == Some(door)) && kind.is_none_or(|kind| event.kind == kind);
        if !wanted || event.id <= self.last && self.last != i64::MAX {
            return None;
        }
        self.last = event.id;
        let passes = self.echoes.lets_pass(event) || kind.is_some();
        passes.then(|| Part::Patch(event_list::arrived(&self.scene, event, brief)))
    }

    /// Events that came between the page and the stream, or that a slow reader missed.
    async fn missed(&mut self) -> Vec<Part> {
        if self.last == i64::MAX {
            return Vec::new();
        }
        let Some((door, kind, _)) = self.events() else { return Vec::new() };
        let query = EventQuery { after: Some(self.last), before: None, door: door.cloned(), kind, limit: MISSED, ..EventQuery::default() };
        match self.scene.web.house().store().events(&query).await {
            Ok(events) if events.len() == MISSED as usize => vec![Part::Reload],
            Ok(events) => events
                .iter()
                .filter(|event| self.scene.reads(event))
                .cloned()
                .collect::<Vec<_>>()
                .iter()
                .filter_map(|event| self.event(event))
                .collect(),
            Err(error) => {
                tracing::warn!(%error, "missed events could not be read for a page");
                Vec::new()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::View;
    use doorward_wire::event::EventKind;

    #[test]
    fn a_view_is_what_a_page_names() {
        assert_eq!("doors".parse::<View>().unwrap(), View::Doors);
        assert_eq!("door:gate".parse::<View>().unwrap(), View::Door("gate".parse().unwrap()));
        assert_eq!("events::".parse::<View>().unwrap(), View::Events(None, None));
        let both = View::Events(Some("gate".parse().unwrap()), Some(EventKind::DoorLocked));
        assert_eq!("events:gate:door.locked".parse::<View>().unwrap(), both);
        assert_eq!("rings:".parse::<View>().unwrap(), View::Rings(None));
        assert_eq!("rings:gate".parse::<View>().unwrap(), View::Rings(Some("gate".parse().unwrap())));
        assert_eq!("account:gates:in".parse::<View>().unwrap(), View::Account("gates".parse().unwrap(), true));
        for wrong in [
            "account:gates",
            "account:gates:",
            "ring:",
            "ring:1",
            "rings:A b",
            "",
            "door",
            "door:",
            "door:A b",
            "events:gate:nothing",
            "settings",
        ] {
            wrong.parse::<View>().unwrap_err();
        }
    }
}
