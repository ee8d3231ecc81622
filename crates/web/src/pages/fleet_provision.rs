//! Provisioning, step by step: one device, or a list of them.

use super::{
    fleet_device::secret_page,
    scene::Scene,
    shell::{Oops, Section, Shell, html},
    texts::{EN, Texts},
    visitor::Visitor,
    webhook_form::Fields,
};
use crate::{ApiError, Web};
use askama::Template;
use axum::{
    Form, Router,
    extract::State,
    http::StatusCode,
    response::Response,
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use doorward_core::scope::Scope;
use doorward_fleet::{Wish, csv};
use doorward_wire::{
    device::{Named, Provisioned},
    nvs::quoted,
};

/// Devices of a list that the page takes; longer ones are for the command line.
const MOST: usize = 500;
const SCOPES: [Scope; 2] = [Scope::Devices { provision_only: true }, Scope::Devices { provision_only: false }];

pub(super) fn router() -> Router<Web> {
    Router::new().route("/fleet/provision", get(ask).post(one)).route("/fleet/provision/list", post(many))
}

#[derive(Template)]
#[template(path = "fleet_provision.html")]
struct ProvisionPage {
    shell: Shell,
    t: &'static Texts,
    csrf: String,
    id: String,
    name: String,
    list: String,
    error: Option<String>,
    list_error: Option<String>,
}

/// What was filled in, and what is wrong with it.
#[derive(Default)]
struct Tried {
    id: String,
    name: String,
    list: String,
    error: Option<String>,
    list_error: Option<String>,
}

async fn ask(State(web): State<Web>, visitor: Visitor) -> Result<Response, Oops> {
    visitor.caller.need_any(&SCOPES)?;
    Ok(page(&Scene::load(&web, &visitor).await, Tried::default()))
}

fn page(scene: &Scene, tried: Tried) -> Response {
    let refused = tried.error.is_some() || tried.list_error.is_some();
    let Tried { id, name, list, error, list_error } = tried;
    let shell = Shell::new(scene, scene.t.fleet.provision, Section::Fleet);
    let mut page = html(&ProvisionPage { shell, t: scene.t, csrf: scene.csrf.clone(), id, name, list, error, list_error });
    if refused {
        *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    page
}

fn field(form: &Fields, name: &str) -> String {
    form.get(name).map_or("", |text| text.trim()).to_owned()
}

async fn one(State(web): State<Web>, visitor: Visitor, Form(form): Form<Fields>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&field(&form, "csrf"))?;
    visitor.caller.need_any(&SCOPES)?;
    let (id, name) = (field(&form, "id"), field(&form, "name"));
    let scene = Scene::load(&web, &visitor).await;
    let again = |error: String| page(&scene, Tried { id: id.clone(), name: name.clone(), error: Some(error), ..Tried::default() });
    let named: Named = match id.parse() {
        Ok(named) => named,
        Err(error) => return Ok(again(EN.device_id_wrong(error))),
    };
    if name.chars().count() > 64 || name.chars().any(char::is_control) {
        return Ok(again(EN.fleet.name_wrong.into()));
    }
    let name = Some(name.as_str()).filter(|name| !name.is_empty());
    match web.fleet().provision(&named, name, &visitor.caller.actor).await {
        Ok(device) => Ok(html(&secret_page(&scene, web.fleet().told(&device).await?))),
        Err(doorward_fleet::DeskError::Store(error)) => Err(ApiError::Store(error).into()),
        Err(error) => Ok(again(EN.sentence(&error.to_string()))),
    }
}

/// What came of a list.
#[derive(Template)]
#[template(path = "fleet_provisioned.html")]
struct ProvisionedPage {
    shell: Shell,
    t: &'static Texts,
    good: usize,
    bad: Vec<String>,
    /// The credentials as CSV.
    csv: String,
    /// The same as a file that is in its own link, so that it is kept nowhere.
    link: String,
}

async fn many(State(web): State<Web>, visitor: Visitor, Form(form): Form<Fields>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&field(&form, "csrf"))?;
    visitor.caller.need_any(&SCOPES)?;
    let list = form.get("list").cloned().unwrap_or_default();
    let scene = Scene::load(&web, &visitor).await;
    let again = |error: String| page(&scene, Tried { list: list.clone(), list_error: Some(error), ..Tried::default() });
    let rows = match csv::read(&list) {
        Ok(rows) if rows.len() > MOST => return Ok(again(EN.list_too_long(MOST))),
        Ok(rows) => rows,
        Err(error) => return Ok(again(EN.sentence(&error.to_string()))),
    };
    let mut bad = Vec::new();
    let mut wishes = Vec::new();
    for row in rows {
        match row.device {
            Ok(device) => wishes
                .push(Wish { device, name: row.name.map(|name| name.chars().filter(|letter| !letter.is_control()).take(64).collect()) }),
            Err(error) => bad.push(EN.list_line(row.line, &error.to_string())),
        }
    }
    let outcomes = web.fleet().provision_many(&wishes, &visitor.caller.actor).await.map_err(ApiError::from)?;
    let zone = web.fleet().zone().await?;
    let mut text = String::from("device_id,mqtt_user,mqtt_password,mqtt_host,mqtt_port,device_token\n");
    let mut good = 0;
    for (wish, outcome) in wishes.iter().zip(outcomes) {
        match outcome {
            Ok(device) => {
                let Provisioned { device_id, mqtt_user, mqtt_password, mqtt_host, mqtt_port, device_token, .. } =
                    web.fleet().told_in(&device, &zone);
                let fields = [mqtt_user, mqtt_password, mqtt_host].map(|field| quoted(&field)).join(",");
                text += &[device_id.to_string(), fields, mqtt_port.to_string(), device_token].join(",");
                text.push('\n');
                good += 1;
            }
            Err(error) => bad.push(format!("{}: {error}", wish.device.id)),
        }
    }
    let shell = Shell::new(&scene, scene.t.fleet.provision, Section::Fleet);
    let link = format!("data:text/csv;base64,{}", STANDARD.encode(&text));
    Ok(html(&ProvisionedPage { shell, t: scene.t, good, bad, csv: text, link }))
}
