//! MQTT: the broker, its users and their rights, who is connected, what was denied, and the way to Home Assistant.

use super::{
    accounts::ConfirmPage,
    scene::{Scene, TimeView},
    shell::{Oops, Section, Shell, html},
    texts::{Texts, state::Face},
    visitor::{Errand, Visitor},
    webhook_form::explain,
};
use crate::{
    ApiError, Web,
    api::{
        mqtt::{BrokerKind, MqttView, view},
        mqtt_users::{MqttUserEdit, NewMqttUser, add_user, edit_user, remove_user},
        params::At,
    },
};
use askama::Template;
use axum::{
    Form, Router,
    extract::{Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use doorward_core::scope::Scope;
use doorward_store::MqttUser;
use doorward_wire::topic::Rights;
use serde::Deserialize;

/// The user that Home Assistant gets.
const HOME_ASSISTANT: &str = "homeassistant";
/// What it publishes: commands, and that it has started.
const ITS_PUBLISH: [&str; 3] = ["doorward/door/+/set", "doorward/device/+/set", "homeassistant/status"];
/// What it hears.
const ITS_SUBSCRIBE: [&str; 13] = [
    "homeassistant/#",
    "doorward/status",
    "doorward/event",
    "doorward/account/+/problem",
    "doorward/door/+/state",
    "doorward/door/+/attributes",
    "doorward/door/+/availability",
    "doorward/door/+/battery",
    "doorward/door/+/contact",
    "doorward/door/+/contradiction",
    "doorward/door/+/ring",
    "doorward/device/+/firmware",
    "doorward/device/+/availability",
];

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/mqtt", get(list))
        .route("/mqtt/authority.pem", get(authority))
        .route("/mqtt/users/new", get(ask).post(add))
        .route("/mqtt/users/{name}", get(show).post(save))
        .route("/mqtt/users/{name}/remove", get(confirm).post(remove))
}

#[derive(Template)]
#[template(path = "mqtt.html")]
struct MqttPage {
    shell: Shell,
    t: &'static Texts,
    csrf: String,
    face: Face,
    /// What is said below the broker's name.
    about: String,
    facts: Vec<(&'static str, String)>,
    detail: Option<String>,
    orphans: Vec<String>,
    has_authority: bool,
    can_add: bool,
    users: Vec<UserLine>,
    /// Home Assistant has a user already.
    has_home_assistant: bool,
    denied: Vec<DeniedLine>,
}

struct UserLine {
    name: String,
    rights: String,
    connected: String,
    here: bool,
}

struct DeniedLine {
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
    let mqtt = view(&web).await?;
    let users = web.house().store().mqtt_users().await?;
    let denied = web.mqtt().map(|mqtt| mqtt.roster().denied()).unwrap_or_default();
    let denied = denied.into_iter().take(20).map(|denied| DeniedLine {
        text: scene.t.mqtt_denied(&denied.user, denied.what, &denied.topic),
        note: scene.t.mqtt_denied_count(denied.count),
        time: scene.time(denied.at, None),
    });
    let shell = Shell::new(&scene, scene.t.mqtt.title, Section::Settings).done(said.done.as_deref());
    Ok(html(&MqttPage {
        shell,
        t: scene.t,
        csrf: scene.csrf.clone(),
        face: scene.t.mqtt_face(mqtt.broker, mqtt.connected),
        about: mqtt.addresses.join(", "),
        facts: facts(&scene, &mqtt),
        detail: mqtt.detail.clone(),
        orphans: mqtt.orphans.clone(),
        has_authority: mqtt.authority.is_some(),
        can_add: mqtt.broker != BrokerKind::Off,
        has_home_assistant: users.iter().any(|user| user.name == HOME_ASSISTANT),
        users: users.iter().map(|user| line(&web, &scene, user)).collect(),
        denied: denied.collect(),
    }))
}

fn facts(scene: &Scene, mqtt: &MqttView) -> Vec<(&'static str, String)> {
    let t = scene.t;
    let version = mqtt.version.clone().map(|version| (t.mqtt.version, version));
    let since = mqtt.since.map(|since| (t.mqtt.since, scene.time(since, None).full));
    let commands = (mqtt.broker == BrokerKind::External).then(|| (t.mqtt.commands, t.yes_or_no(mqtt.commands).to_owned()));
    version.into_iter().chain(since).chain(commands).collect()
}

fn line(web: &Web, scene: &Scene, user: &MqttUser) -> UserLine {
    let clients = web.mqtt().map(|mqtt| mqtt.roster().clients_of(&user.name)).unwrap_or_default();
    UserLine {
        name: user.name.clone(),
        rights: scene.t.mqtt_rights(user.publish.filters().len(), user.subscribe.filters().len()),
        connected: scene.t.mqtt_clients(&clients),
        here: !clients.is_empty(),
    }
}

async fn authority(State(web): State<Web>, visitor: Visitor) -> Result<Response, Oops> {
    visitor.caller.need(&Scope::Admin)?;
    let pem = view(&web).await?.authority.ok_or(ApiError::NotFound("certificate authority of doorward's own in use"))?;
    let name = "attachment; filename=\"doorward-authority.pem\"";
    Ok(([(header::CONTENT_TYPE, "application/x-pem-file"), (header::CONTENT_DISPOSITION, name)], pem).into_response())
}

/// What a client is to be given, shown once.
#[derive(Template)]
#[template(path = "mqtt_secret.html")]
struct MadePage {
    shell: Shell,
    t: &'static Texts,
    title: String,
    text: &'static str,
    host: String,
    port: String,
    name: String,
    secret: String,
}

#[derive(Template)]
#[template(path = "mqtt_user.html")]
struct UserPage {
    shell: Shell,
    t: &'static Texts,
    csrf: String,
    title: String,
    action: String,
    /// The user that is changed, or nothing for a new one.
    known: Option<String>,
    form: UserForm,
    error: Option<String>,
}

/// The form as it was filled in; filters are one on each line.
#[derive(Deserialize, Default)]
struct UserForm {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    publish: String,
    #[serde(default)]
    subscribe: String,
    #[serde(default)]
    client_id: String,
    /// Home Assistant's rights, whatever else is filled in.
    #[serde(default)]
    home_assistant: Option<String>,
}

impl UserForm {
    fn new_user(&self) -> NewMqttUser {
        let owned = |filters: &[&str]| filters.iter().map(|filter| (*filter).to_owned()).collect();
        if self.home_assistant.is_some() {
            let (publish, subscribe) = (owned(&ITS_PUBLISH), owned(&ITS_SUBSCRIBE));
            return NewMqttUser { name: HOME_ASSISTANT.into(), publish, subscribe, client_id: None, password: None };
        }
        NewMqttUser {
            name: self.name.trim().to_owned(),
            publish: lines(&self.publish),
            subscribe: lines(&self.subscribe),
            client_id: Some(self.client_id.trim().to_owned()),
            password: None,
        }
    }
}

/// What is written one on each line.
pub(super) fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn text(rights: &Rights) -> String {
    rights.filters().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

async fn ask(State(web): State<Web>, visitor: Visitor) -> Result<Response, Oops> {
    visitor.caller.need(&Scope::Admin)?;
    let scene = Scene::load(&web, &visitor).await;
    Ok(form_page(&scene, None, UserForm::default(), None))
}

fn form_page(scene: &Scene, known: Option<&str>, form: UserForm, error: Option<String>) -> Response {
    let title = known.map_or_else(|| scene.t.mqtt.add_user.to_owned(), str::to_owned);
    let refused = error.is_some();
    let mut page = html(&UserPage {
        shell: Shell::new(scene, title.clone(), Section::Settings),
        t: scene.t,
        csrf: scene.csrf.clone(),
        title,
        action: known.map_or_else(|| "/mqtt/users/new".into(), |name| format!("/mqtt/users/{name}")),
        known: known.map(ToOwned::to_owned),
        form,
        error,
    });
    if refused {
        *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    page
}

async fn add(State(web): State<Web>, visitor: Visitor, errand: Errand, Form(form): Form<UserForm>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    visitor.caller.need(&Scope::Admin)?;
    let added = add_user(&web, &visitor.caller.actor, &form.new_user()).await;
    let scene = Scene::load(&web, &visitor).await;
    match added {
        Ok(made) => {
            let (host, port) = place(&web, &errand).await?;
            let text = if made.name == HOME_ASSISTANT { scene.t.mqtt.for_home_assistant } else { scene.t.mqtt.for_a_program };
            Ok(html(&MadePage {
                shell: Shell::new(&scene, scene.t.mqtt.secret, Section::Settings),
                t: scene.t,
                title: scene.t.mqtt_made(&made.name),
                text,
                host,
                port,
                name: made.name,
                secret: made.secret.unwrap_or_default(),
            }))
        }
        Err(error @ (ApiError::Unprocessable(_) | ApiError::Conflict(_))) => Ok(form_page(&scene, None, form, Some(explain(&error)))),
        Err(error) => Err(error.into()),
    }
}

/// Where a client on the network finds the broker: the host of the page, and the port of the first listener.
async fn place(web: &Web, errand: &Errand) -> Result<(String, String), ApiError> {
    let address = view(web).await?.addresses.into_iter().next().unwrap_or_default();
    let (_, rest) = address.split_once("://").unwrap_or(("", &address));
    let (host, port) = rest.rsplit_once(':').unwrap_or((rest, "1883"));
    let anywhere = matches!(host, "0.0.0.0" | "[::]");
    let called = errand.host.rsplit_once(':').map_or(errand.host.as_str(), |(host, _)| host);
    let host = if anywhere { called } else { host };
    Ok((host.to_owned(), port.to_owned()))
}

async fn the_user(web: &Web, name: &str) -> Result<MqttUser, ApiError> {
    let users = web.house().store().mqtt_users().await?;
    users.into_iter().find(|user| user.name == name).ok_or(ApiError::NotFound("MQTT user with this name"))
}

async fn show(State(web): State<Web>, visitor: Visitor, At(name): At<String>) -> Result<Response, Oops> {
    visitor.caller.need(&Scope::Admin)?;
    let user = the_user(&web, &name).await?;
    let form = UserForm {
        publish: text(&user.publish),
        subscribe: text(&user.subscribe),
        client_id: user.client_id.unwrap_or_default(),
        ..UserForm::default()
    };
    Ok(form_page(&Scene::load(&web, &visitor).await, Some(&name), form, None))
}

async fn save(State(web): State<Web>, visitor: Visitor, At(name): At<String>, Form(form): Form<UserForm>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    visitor.caller.need(&Scope::Admin)?;
    let edit = MqttUserEdit {
        publish: Some(lines(&form.publish)),
        subscribe: Some(lines(&form.subscribe)),
        client_id: Some(form.client_id.trim().to_owned()),
    };
    match edit_user(&web, &visitor.caller.actor, &name, edit).await {
        Ok(_) => Ok(Redirect::to("/mqtt?done=saved").into_response()),
        Err(error @ (ApiError::Unprocessable(_) | ApiError::Conflict(_))) => {
            Ok(form_page(&Scene::load(&web, &visitor).await, Some(&name), form, Some(explain(&error))))
        }
        Err(error) => Err(error.into()),
    }
}

async fn confirm(State(web): State<Web>, visitor: Visitor, At(name): At<String>) -> Result<Response, Oops> {
    visitor.caller.need(&Scope::Admin)?;
    let scene = Scene::load(&web, &visitor).await;
    Ok(html(&ConfirmPage {
        shell: Shell::new(&scene, scene.t.mqtt.remove_user, Section::Settings),
        t: scene.t,
        csrf: scene.csrf.clone(),
        title: scene.t.mqtt_remove(&name),
        lines: vec![scene.t.mqtt.remove_text.into()],
        action: format!("/mqtt/users/{name}/remove"),
        label: scene.t.mqtt.remove_user,
        back: format!("/mqtt/users/{name}"),
        hidden: Vec::new(),
    }))
}

#[derive(Deserialize)]
struct Csrf {
    #[serde(default)]
    csrf: String,
}

async fn remove(State(web): State<Web>, visitor: Visitor, At(name): At<String>, Form(form): Form<Csrf>) -> Result<Redirect, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    visitor.caller.need(&Scope::Admin)?;
    remove_user(&web, &visitor.caller.actor, &name).await?;
    Ok(Redirect::to("/mqtt?done=mqtt_user_removed"))
}
