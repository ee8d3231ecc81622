//! Locks over Bluetooth: how well phones are heard, who has a session, which phones there are.

use super::{
    person::SecretPage,
    plot::{self, Point, Words},
    scene::{Scene, TimeView},
    shell::{Oops, Section, Shell, fragment, html},
    texts::{
        Texts,
        state::{Face, Tone},
    },
    visitor::{Visitor, encode},
};
use crate::{
    ApiResult, Web,
    bluetooth::{Heard, LockNews, news},
    people::phones::{self, Invite},
};
use askama::Template;
use axum::{
    Form, Router,
    extract::{Path, Query, State},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use doorward_store::{BleSession, PhoneKey, PhoneOf};
use doorward_wire::{
    Time,
    door::{Door, DoorId, DoorKind},
};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The plot moves on in such steps, so that a page on which nothing happens is not sent each second.
const STEP: i64 = 5;
/// Sessions and phones that are shown.
const SHOWN: usize = 50;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/locks", get(show))
        .route("/locks/sessions/{nonce}/end", post(end))
        .route("/locks/phones/{id}/forget", post(forget))
        .route("/people/{id}/phones", post(invite_person))
}

#[derive(Template)]
#[template(path = "locks.html")]
struct LocksPage {
    shell: Shell,
    t: &'static Texts,
    parts: String,
}

#[derive(Template)]
#[template(path = "_locks.html")]
struct Parts {
    t: &'static Texts,
    csrf: String,
    issuer: (Face, String),
    locks: Vec<LockCard>,
    sessions: Vec<SessionLine>,
    phones: Vec<PhoneLine>,
}

/// A lock, with what it hears.
struct LockCard {
    href: String,
    id: DoorId,
    name: String,
    face: Face,
    trouble: Option<String>,
    about: Vec<&'static str>,
    facts: Vec<(&'static str, String)>,
    plot: Option<String>,
}

/// Somebody's session.
struct SessionLine {
    id: String,
    who: String,
    href: String,
    about: String,
    ends: TimeView,
    revoked: bool,
}

/// An enrolled phone.
struct PhoneLine {
    id: String,
    name: String,
    who: String,
    used: Option<TimeView>,
}

#[derive(Deserialize)]
struct Said {
    done: Option<String>,
}

async fn show(State(web): State<Web>, visitor: Visitor, Query(said): Query<Said>) -> Result<Response, Oops> {
    let scene = Scene::load(&web, &visitor).await;
    let parts = rendered(&scene).await?;
    let shell = Shell::new(&scene, scene.t.locks.title, Section::Doors).live("locks").refreshes(true, "/locks").done(said.done.as_deref());
    Ok(html(&LocksPage { shell, t: scene.t, parts }))
}

/// All that is told of locks, as it is now.
pub(super) async fn rendered(scene: &Scene) -> ApiResult<String> {
    let (web, t) = (scene.web.clone(), scene.t);
    let told = news(&web).await;
    let (store, now) = (web.house().store(), scene.now);
    let names = Names::load(&web).await?;
    let sessions = store.ble_sessions(None, now).await?;
    let doors: Vec<Door> = scene.doors().into_iter().filter(|door| door.kind == DoorKind::Radio).collect();
    let beacon = web.bluetooth().and_then(|bluetooth| bluetooth.beacon().map(str::to_owned));
    Ok(fragment(&Parts {
        t,
        csrf: scene.csrf.clone(),
        issuer: t.issuer(web.bluetooth().is_some(), beacon.as_deref()),
        locks: doors.iter().map(|door| card(scene, door, told.iter().find(|lock| lock.door == door.id.as_str()))).collect(),
        sessions: sessions.iter().take(SHOWN).map(|session| session_line(scene, &names, session)).collect(),
        phones: store.phones().await?.into_iter().rev().take(SHOWN).map(|phone| phone_line(scene, &names, phone)).collect(),
    }))
}

fn card(scene: &Scene, door: &Door, told: Option<&LockNews>) -> LockCard {
    let t = scene.t;
    let nothing = LockNews::default();
    let lock = told.unwrap_or(&nothing);
    let about = [(lock.secure, t.locks.secure), (!lock.secure, t.locks.tokens)];
    let count = |name: &str| lock.counters.get(name).copied().unwrap_or(0).to_string();
    let facts = vec![
        (t.locks.called, if lock.lock.is_empty() { door.id.to_string() } else { lock.lock.clone() }),
        (t.locks.sessions_live, lock.sessions.to_string()),
        (t.locks.let_in, count("presented")),
        (t.locks.refused, count("refused")),
        (t.locks.replays, count("replays")),
        (t.locks.foreign, count("foreign")),
    ];
    LockCard {
        href: format!("/doors/{}", door.id),
        id: door.id.clone(),
        name: door.name.clone(),
        face: t.radio_face(told.is_some() && lock.up),
        trouble: lock.trouble.clone(),
        about: about.into_iter().filter_map(|(is, text)| is.then_some(text)).collect(),
        facts: if told.is_some() { facts } else { Vec::new() },
        plot: told.map(|lock| drawn(scene, &door.name, lock)),
    }
}

fn drawn(scene: &Scene, name: &str, lock: &LockNews) -> String {
    let t = scene.t;
    let now = Time::from_seconds((scene.now.as_micros() / 1_000_000 / STEP + 1) * STEP);
    let point = |heard: &Heard| Some(Point { at: heard.at, rssi: heard.rssi?, tone: tone(&heard.what) });
    let points: Vec<Point> = lock.heard.iter().filter(|heard| now.since(heard.at) <= plot::SPAN).filter_map(point).collect();
    let opened = points.iter().filter(|point| point.tone == "ok").count();
    let refused = points.iter().filter(|point| point.tone == "bad").count();
    let title = t.plot_title(name, points.len(), opened, refused);
    let threshold = lock.threshold.map(|threshold| t.plot_threshold(threshold)).unwrap_or_default();
    let words = Words { title: &title, threshold: &threshold, now: t.locks.now, start: t.locks.ten_minutes_ago };
    plot::draw(&points, lock.threshold, now, &words)
}

fn tone(what: &str) -> Tone {
    match what {
        "open" => "ok",
        "repeat" | "too_far" | "rssi_unknown" => "calm",
        _ => "bad",
    }
}

/// What people and passes are called.
struct Names {
    people: BTreeMap<String, String>,
    passes: BTreeMap<String, String>,
    phones: BTreeMap<String, String>,
}

impl Names {
    async fn load(web: &Web) -> ApiResult<Self> {
        let store = web.house().store();
        Ok(Self {
            people: store.people().await?.into_iter().map(|person| (person.id, person.name)).collect(),
            passes: store.passes().await?.into_iter().map(|pass| (pass.id, pass.name)).collect(),
            phones: store.phones().await?.into_iter().map(|phone| (phone.fingerprint, phone.name)).collect(),
        })
    }

    fn of(&self, of: &PhoneOf) -> (String, String) {
        let (names, id, place) = match of {
            PhoneOf::Person(id) => (&self.people, id, "people"),
            PhoneOf::Pass(id) => (&self.passes, id, "passes"),
        };
        (names.get(id).cloned().unwrap_or_else(|| id.clone()), format!("/{place}/{}", encode(id)))
    }
}

fn session_line(scene: &Scene, names: &Names, session: &BleSession) -> SessionLine {
    let (who, href) = names.of(&session.of);
    let door = scene.web.house().board().door(&session.door).map_or_else(|| session.door.to_string(), |door| door.name);
    let phone = names.phones.get(&session.phone).map_or(scene.t.locks.page, String::as_str);
    SessionLine {
        about: format!("{door} · {phone}"),
        who,
        href,
        ends: scene.time(session.expires, None),
        revoked: session.revoked.is_some(),
        id: encode(&session.nonce),
    }
}

fn phone_line(scene: &Scene, names: &Names, phone: PhoneKey) -> PhoneLine {
    let (who, _) = names.of(&phone.of);
    PhoneLine { id: encode(&phone.fingerprint), name: phone.name, who, used: phone.used.map(|used| scene.time(used, None)) }
}

#[derive(Deserialize)]
struct Csrf {
    csrf: String,
}

async fn end(State(web): State<Web>, visitor: Visitor, Path(nonce): Path<String>, Form(form): Form<Csrf>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    phones::end_session(&web, &visitor.caller, &nonce).await?;
    Ok(Redirect::to("/locks?done=session_ended").into_response())
}

async fn invite_person(State(web): State<Web>, visitor: Visitor, Path(id): Path<String>, Form(form): Form<Csrf>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    let invite = phones::invite_person(&web, &visitor.caller, &id).await?;
    let scene = Scene::load(&web, &visitor).await;
    Ok(html(&invited(&scene, &invite, format!("/people/{}", encode(&id)))))
}

/// A code for one phone, and how it is used there.
pub(super) fn invited(scene: &Scene, invite: &Invite, back: String) -> SecretPage {
    let t = scene.t;
    let lock = invite.locks.first().map_or("LOCK", |lock| lock.lock.as_str());
    let issuer = invite.issuer.as_deref().map(|issuer| format!(" --issuer {issuer}")).unwrap_or_default();
    SecretPage {
        shell: Shell::new(scene, t.locks.enrol, Section::People),
        t,
        title: t.locks.enrol.into(),
        text: t.enrol_text(&scene.time(invite.until, None).short, invite.beacon.as_deref()),
        label: t.locks.enrol_command,
        secret: format!("doorward ble guest --lock {lock} --invite {}{issuer}", invite.code),
        note: t.shown_once,
        back,
    }
}

async fn forget(State(web): State<Web>, visitor: Visitor, Path(id): Path<String>, Form(form): Form<Csrf>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    phones::forget(&web, &visitor.caller, &id).await?;
    Ok(Redirect::to("/locks?done=phone_forgotten").into_response())
}

/// Whether the house has such locks, so that the page is worth a way to it.
pub(super) fn has_any(scene: &Scene) -> bool {
    scene.is_administrator() && scene.doors().iter().any(|door| door.kind == DoorKind::Radio)
}
