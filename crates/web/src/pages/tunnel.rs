//! The tunnel: its keys, what they may be used for, what they asked for.

use super::{
    accounts::ConfirmPage,
    events::Choice,
    mqtt::lines,
    scene::{Scene, TimeView},
    shell::{Oops, Section, Shell, html},
    texts::{
        EN, Texts,
        state::{Face, Tone},
    },
    visitor::Visitor,
    webhook_form::Fields,
};
use crate::{
    ApiError, Web,
    api::{
        params::At,
        tunnel::{MadeTunnelKey, TunnelEntry, TunnelKeyView, find, made, tunnel_view, view},
    },
};
use askama::Template;
use axum::{
    Form, Router,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use doorward_core::{Secret, scope::Scope};
use doorward_tunnel::{
    keys::{KeyError, OVERLAP},
    pairing,
};
use doorward_wire::tunnel::{Scopes, Service};
use serde::Deserialize;

/// Names of checkboxes that stand for a door.
const DOOR: &str = "door:";
/// What stands for every door.
const EVERY: &str = "*";

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/tunnel", get(list))
        .route("/tunnel/keys/new", get(ask).post(add))
        .route("/tunnel/keys/{name}", get(show).post(save))
        .route("/tunnel/keys/{name}/rotate", post(rotate))
        .route("/tunnel/keys/{name}/revoke", get(confirm).post(revoke))
}

#[derive(Template)]
#[template(path = "tunnel.html")]
struct TunnelPage {
    shell: Shell,
    t: &'static Texts,
    face: Face,
    /// Where phones find it.
    about: String,
    /// What is missing before a phone can use it.
    note: Option<&'static str>,
    /// Where the page for phones is, when it is served.
    remote: Option<String>,
    /// Its version, as phones show it.
    fingerprint: String,
    keys: Vec<KeyLine>,
    recent: Vec<EntryLine>,
}

struct KeyLine {
    name: String,
    rights: String,
    used: Option<TimeView>,
    worn: bool,
}

/// One request, as a line.
struct EntryLine {
    tone: Tone,
    icon: &'static str,
    text: String,
    note: String,
    time: TimeView,
}

#[derive(Deserialize)]
struct Said {
    done: Option<String>,
}

async fn list(State(web): State<Web>, visitor: Visitor, Query(said): Query<Said>) -> Result<Response, Oops> {
    visitor.caller.need(&Scope::Admin)?;
    let scene = Scene::load(&web, &visitor).await;
    let there = tunnel_view(&web);
    let keys: Vec<TunnelKeyView> = web.tunnel().keys().await?.into_iter().map(|key| view(&web, key)).collect();
    let mut recent: Vec<(String, TunnelEntry)> =
        keys.iter().flat_map(|key| key.recent.iter().map(|entry| (key.name.clone(), entry.clone()))).collect();
    recent.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.time));
    let note = match (&there.listen, &there.public_url) {
        (None, _) => Some(scene.t.tunnel.off),
        (Some(_), None) => Some(scene.t.tunnel.no_address),
        (Some(_), Some(_)) => None,
    };
    let shell = Shell::new(&scene, scene.t.tunnel.title, Section::Settings).done(said.done.as_deref());
    let remote = there.remote.then(|| there.remote_address()).flatten();
    Ok(html(&TunnelPage {
        shell,
        t: scene.t,
        face: scene.t.tunnel_face(there.listen.is_some()),
        about: there.public_url.or(there.listen).unwrap_or_default(),
        note,
        remote,
        fingerprint: there.remote_fingerprint,
        keys: keys.iter().map(|key| key_line(&scene, key)).collect(),
        recent: recent.into_iter().take(20).map(|(name, entry)| entry_line(&scene, Some(&name), &entry)).collect(),
    }))
}

fn key_line(scene: &Scene, key: &TunnelKeyView) -> KeyLine {
    KeyLine {
        name: key.name.clone(),
        rights: scene.t.tunnel_rights(&key.scopes),
        used: key.used.map(|used| scene.time(used, None)),
        worn: key.worn,
    }
}

fn entry_line(scene: &Scene, name: Option<&str>, entry: &TunnelEntry) -> EntryLine {
    let (tone, icon) = match (entry.reason, entry.status) {
        (Some(_), _) => ("warn", "x"),
        (None, ..400) => ("ok", "check"),
        (None, _) => ("bad", "alert"),
    };
    let source = entry.source.as_deref().map_or_else(String::new, |source| format!(" · {source}"));
    let reason = entry.reason.map_or_else(String::new, |reason| format!(" · {}", scene.t.reason(reason)));
    EntryLine {
        tone,
        icon,
        text: scene.t.tunnel_asked(name, &entry.service, &entry.what),
        note: format!(" · {}{reason}{source}", entry.status),
        time: scene.time(entry.time, None),
    }
}

/// What a form holds.
#[derive(Default)]
struct Filled {
    name: String,
    person: Option<String>,
    doors: Vec<String>,
    publish: String,
    subscribe: String,
    brokers: String,
    http: String,
    jeedom: bool,
}

impl Filled {
    fn read(form: &Fields) -> Self {
        let text = |key: &str| form.get(key).map_or("", |text| text.trim()).to_owned();
        let doors = form.keys().filter_map(|key| key.strip_prefix(DOOR)).map(str::to_owned).collect();
        Self {
            name: text("name"),
            person: Some(text("person")).filter(|person| !person.is_empty()),
            doors,
            publish: text("publish"),
            subscribe: text("subscribe"),
            brokers: text("brokers"),
            http: text("http"),
            jeedom: form.contains_key("jeedom"),
        }
    }

    fn of(key: &TunnelKeyView) -> Self {
        let scopes = &key.scopes;
        Self {
            name: key.name.clone(),
            person: key.person.clone(),
            doors: if scopes.services.contains(&Service::Doors) { scopes.doors.clone() } else { Vec::new() },
            publish: scopes.mqtt_publish.join("\n"),
            subscribe: scopes.mqtt_subscribe.join("\n"),
            brokers: scopes.brokers.join("\n"),
            http: scopes.http.join("\n"),
            jeedom: scopes.services.contains(&Service::Jeedom),
        }
    }

    /// A key may use what something is filled in for.
    fn scopes(&self) -> Scopes {
        let every = self.doors.iter().any(|door| door == EVERY);
        let doors = if every { vec![EVERY.to_owned()] } else { self.doors.clone() };
        let (http, brokers) = (lines(&self.http), lines(&self.brokers));
        let (mqtt_publish, mqtt_subscribe) = (lines(&self.publish), lines(&self.subscribe));
        let services = [
            (Service::Doors, !doors.is_empty()),
            (Service::Mqtt, !mqtt_publish.is_empty() || !mqtt_subscribe.is_empty()),
            (Service::Jeedom, self.jeedom),
            (Service::Http, !http.is_empty()),
        ];
        let services = services.into_iter().filter_map(|(service, wanted)| wanted.then_some(service)).collect();
        Scopes { services, http, mqtt_publish, mqtt_subscribe, brokers, doors }
    }
}

/// The fields as they are shown.
#[derive(Template)]
#[template(path = "_tunnel_fields.html")]
struct KeyFields {
    t: &'static Texts,
    every_door: bool,
    doors: Vec<Choice>,
    filled: Filled,
    has_jeedom: bool,
    /// Brokers or destinations are named already.
    is_open: bool,
}

fn fields(scene: &Scene, filled: Filled) -> String {
    let known = scene.web.house().board().doors();
    let chosen = |id: &str| filled.doors.iter().any(|door| door == id);
    let choice = |id: &str, label: String| Choice { value: format!("{DOOR}{id}"), label, on: chosen(id) };
    let mut doors: Vec<Choice> = known.iter().map(|door| choice(door.id.as_str(), door.name.clone())).collect();
    // A door that is gone stays until somebody takes it away.
    let gone = filled.doors.iter().filter(|id| *id != EVERY && known.iter().all(|door| door.id.as_str() != id.as_str()));
    doors.extend(gone.map(|id| choice(id, id.clone())));
    super::shell::fragment(&KeyFields {
        t: scene.t,
        every_door: chosen(EVERY),
        doors,
        has_jeedom: scene.web.tunnel().has_jeedom() || filled.jeedom,
        is_open: !filled.http.is_empty() || !filled.brokers.is_empty(),
        filled,
    })
}

#[derive(Template)]
#[template(path = "tunnel_new.html")]
struct NewPage {
    shell: Shell,
    t: &'static Texts,
    csrf: String,
    name: String,
    people: Vec<(String, String, bool)>,
    fields: String,
    error: Option<String>,
}

async fn ask(State(web): State<Web>, visitor: Visitor) -> Result<Response, Oops> {
    visitor.caller.need(&Scope::Admin)?;
    new_page(&Scene::load(&web, &visitor).await, Filled::default(), None).await
}

async fn new_page(scene: &Scene, filled: Filled, error: Option<String>) -> Result<Response, Oops> {
    let refused = error.is_some();
    let people = scene.web.house().store().people().await?;
    let is_theirs = |id: &String| filled.person.as_ref() == Some(id);
    let mut page = html(&NewPage {
        shell: Shell::new(scene, scene.t.tunnel.add_key, Section::Settings),
        t: scene.t,
        csrf: scene.csrf.clone(),
        name: filled.name.clone(),
        people: people.into_iter().map(|person| (is_theirs(&person.id), person)).map(|(on, person)| (person.id, person.name, on)).collect(),
        fields: fields(scene, filled),
        error,
    });
    if refused {
        *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    Ok(page)
}

async fn add(State(web): State<Web>, visitor: Visitor, Form(form): Form<Fields>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(form.get("csrf").map_or("", String::as_str))?;
    visitor.caller.need(&Scope::Admin)?;
    let filled = Filled::read(&form);
    let added = web.tunnel().add_key(&filled.name, filled.person.as_deref(), &filled.scopes(), &visitor.caller.actor).await;
    let scene = Scene::load(&web, &visitor).await;
    match added {
        Ok(secret) => Ok(secret_page(&scene, made(&web, filled.name, &secret), scene.t.tunnel.made_text)),
        Err(KeyError::Store(error)) => Err(ApiError::Store(error).into()),
        Err(error) => new_page(&scene, filled, Some(EN.tunnel_wrong(&ApiError::from(error)))).await,
    }
}

/// A key's secret, shown once.
#[derive(Template)]
#[template(path = "tunnel_secret.html")]
struct SecretPage {
    shell: Shell,
    t: &'static Texts,
    title: String,
    text: &'static str,
    secret: String,
    /// The link that the code holds, when it is one.
    link: Option<String>,
    picture: String,
}

fn secret_page(scene: &Scene, made: MadeTunnelKey, text: &'static str) -> Response {
    let code = Secret::from(made.code.as_str());
    html(&SecretPage {
        shell: Shell::new(scene, scene.t.tunnel.key, Section::Settings),
        t: scene.t,
        title: scene.t.tunnel_made(&made.name),
        text,
        picture: pairing::svg(&code, scene.t.tunnel.code).unwrap_or_default(),
        link: (made.code != made.secret).then_some(made.code),
        secret: made.secret,
    })
}

#[derive(Template)]
#[template(path = "tunnel_key.html")]
struct KeyPage {
    shell: Shell,
    t: &'static Texts,
    csrf: String,
    name: String,
    rights: String,
    used: Option<TimeView>,
    overlap: Option<TimeView>,
    worn: bool,
    recent: Vec<EntryLine>,
    fields: String,
    error: Option<String>,
}

async fn show(State(web): State<Web>, visitor: Visitor, At(name): At<String>, Query(said): Query<Said>) -> Result<Response, Oops> {
    visitor.caller.need(&Scope::Admin)?;
    let key = view(&web, find(&web, &name).await?);
    let filled = Filled::of(&key);
    Ok(key_page(&Scene::load(&web, &visitor).await, &key, filled, said.done.as_deref(), None))
}

fn key_page(scene: &Scene, key: &TunnelKeyView, filled: Filled, done: Option<&str>, error: Option<String>) -> Response {
    let refused = error.is_some();
    let mut page = html(&KeyPage {
        shell: Shell::new(scene, key.name.clone(), Section::Settings).done(done),
        t: scene.t,
        csrf: scene.csrf.clone(),
        name: key.name.clone(),
        rights: scene.t.tunnel_rights(&key.scopes),
        used: key.used.map(|used| scene.time(used, None)),
        overlap: key.overlap_until.map(|until| scene.time(until, None)),
        worn: key.worn,
        recent: key.recent.iter().map(|entry| entry_line(scene, None, entry)).collect(),
        fields: fields(scene, filled),
        error,
    });
    if refused {
        *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    page
}

async fn save(State(web): State<Web>, visitor: Visitor, At(name): At<String>, Form(form): Form<Fields>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(form.get("csrf").map_or("", String::as_str))?;
    visitor.caller.need(&Scope::Admin)?;
    let filled = Filled::read(&form);
    match web.tunnel().scope_key(&name, &filled.scopes(), &visitor.caller.actor).await {
        Ok(()) => Ok(Redirect::to(&format!("/tunnel/keys/{name}?done=saved")).into_response()),
        Err(error @ KeyError::Scopes(_)) => {
            let key = view(&web, find(&web, &name).await?);
            let scene = Scene::load(&web, &visitor).await;
            Ok(key_page(&scene, &key, filled, None, Some(EN.tunnel_wrong(&ApiError::from(error)))))
        }
        Err(error) => Err(ApiError::from(error).into()),
    }
}

#[derive(Deserialize)]
struct Csrf {
    #[serde(default)]
    csrf: String,
}

async fn rotate(State(web): State<Web>, visitor: Visitor, At(name): At<String>, Form(form): Form<Csrf>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    visitor.caller.need(&Scope::Admin)?;
    let secret = web.tunnel().rotate_key(&name, OVERLAP, &visitor.caller.actor).await.map_err(ApiError::from)?;
    let scene = Scene::load(&web, &visitor).await;
    Ok(secret_page(&scene, made(&web, name, &secret), scene.t.tunnel.rotated_text))
}

async fn confirm(State(web): State<Web>, visitor: Visitor, At(name): At<String>) -> Result<Response, Oops> {
    visitor.caller.need(&Scope::Admin)?;
    find(&web, &name).await?;
    let scene = Scene::load(&web, &visitor).await;
    Ok(html(&ConfirmPage {
        shell: Shell::new(&scene, scene.t.tunnel.revoke, Section::Settings),
        t: scene.t,
        csrf: scene.csrf.clone(),
        title: scene.t.tunnel_revoke_this(&name),
        lines: vec![scene.t.tunnel.revoke_text.into()],
        action: format!("/tunnel/keys/{name}/revoke"),
        label: scene.t.tunnel.revoke,
        back: format!("/tunnel/keys/{name}"),
        hidden: Vec::new(),
    }))
}

async fn revoke(State(web): State<Web>, visitor: Visitor, At(name): At<String>, Form(form): Form<Csrf>) -> Result<Redirect, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    visitor.caller.need(&Scope::Admin)?;
    web.tunnel().revoke_key(&name, &visitor.caller.actor).await.map_err(ApiError::from)?;
    Ok(Redirect::to("/tunnel?done=tunnel_revoked"))
}
