//! One device: how it stands, what happened to it, and what can be done about it.

use super::{
    accounts::ConfirmPage,
    event_list,
    fleet::DEVICES,
    scene::{Scene, TimeView},
    shell::{Flash, Oops, Section, Shell, fragment, html},
    texts::{
        EN, Texts,
        state::{Face, Tone},
    },
    visitor::Visitor,
    webhook_form::Fields,
};
use crate::{ApiError, ApiResult, Web, api::params::At};
use askama::Template;
use axum::{
    Form, Router,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use doorward_fleet::{Order, Outcome, Stands};
use doorward_store::{DeviceOffer, EventQuery, StoreError};
use doorward_wire::device::{Device, DeviceId, DeviceState, Named, Provisioned};
use serde::Deserialize;
use std::time::Duration;

/// Events that are shown.
const EVENTS: u32 = 30;
/// How long a restart is waited for: a page is not to hang.
const RESTART: Duration = Duration::from_secs(8);

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/fleet/{id}", get(show).post(save))
        .route("/fleet/{id}/restart", post(restart))
        .route("/fleet/{id}/claim", post(claim))
        .route("/fleet/{id}/rotate", post(rotate))
        .route("/fleet/{id}/revoke", get(confirm).post(revoke))
        .route("/fleet/{id}/firmware", post(send))
}

#[derive(Template)]
#[template(path = "fleet_device.html")]
struct DevicePage {
    shell: Shell,
    t: &'static Texts,
    csrf: String,
    id: String,
    card: String,
    revoked: bool,
    claim: Option<String>,
    events: Vec<String>,
    name: String,
    hardware: String,
    versions: Vec<String>,
    error: Option<String>,
}

#[derive(Template)]
#[template(path = "_fleet_device.html")]
struct DeviceCard {
    t: &'static Texts,
    id: String,
    name: String,
    face: Face,
    detail: Option<String>,
    offer: Option<OfferView>,
    facts: Vec<(&'static str, String)>,
    seen: Option<TimeView>,
    provisioned: TimeView,
}

/// How its update stands.
struct OfferView {
    text: String,
    error: Option<String>,
    open: bool,
    progress: i64,
    tone: Tone,
}

#[derive(Deserialize)]
struct Said {
    done: Option<String>,
}

async fn find(web: &Web, id: &str) -> ApiResult<Device> {
    let none = || ApiError::NotFound("device with this identifier");
    let id: Named = id.parse().map_err(|_| none())?;
    web.fleet().device(&id.id).await?.ok_or_else(none)
}

async fn show(State(web): State<Web>, visitor: Visitor, At(id): At<String>, Query(said): Query<Said>) -> Result<Response, Oops> {
    visitor.caller.need(&DEVICES)?;
    let device = find(&web, &id).await?;
    page(&web, &visitor, device, Tried::done(said.done)).await
}

/// What was tried before a page is shown again.
#[derive(Default)]
struct Tried {
    done: Option<String>,
    flash: Option<Flash>,
    form: Option<(String, String, String)>,
}

impl Tried {
    fn done(done: Option<String>) -> Self {
        Self { done, ..Self::default() }
    }

    fn flash(flash: Flash) -> Self {
        Self { flash: Some(flash), ..Self::default() }
    }
}

async fn page(web: &Web, visitor: &Visitor, device: Device, tried: Tried) -> Result<Response, Oops> {
    let scene = Scene::load(web, visitor).await;
    let store = web.house().store();
    let query = EventQuery { device: Some(device.id.clone()), limit: EVENTS, ..EventQuery::default() };
    let events = event_list::brief(&scene, &store.events(&query).await?, EVENTS as usize).iter().map(fragment).collect();
    let claim = web.fleet().claim(&device.id).await?.map(|claim| {
        let until = claim.until.map(|until| scene.time(until, None).full);
        scene.t.claim_open(until.as_deref(), claim.network.as_deref(), claim.claimed_by.as_deref())
    });
    let firmware = web.fleet().all_firmware().await?;
    let fits = firmware.iter().filter(|image| image.hardware == device.hardware);
    let mut versions: Vec<_> = fits.map(|image| image.version.clone()).collect();
    versions.sort_by(|a, b| b.cmp(a));
    let title = device.name.clone().unwrap_or_else(|| device.id.to_string());
    let mut shell = Shell::new(&scene, title, Section::Fleet).live(format!("device:{}", device.id)).done(tried.done.as_deref());
    shell.flash = tried.flash.or(shell.flash);
    let refused = tried.form.is_some();
    let (name, hardware, error) = match tried.form {
        Some((name, hardware, error)) => (name, hardware, Some(error)),
        None => (device.name.clone().unwrap_or_default(), device.hardware.to_string(), None),
    };
    let mut page = html(&DevicePage {
        shell,
        t: scene.t,
        csrf: scene.csrf.clone(),
        id: device.id.to_string(),
        card: card(&scene, &device).await?,
        revoked: device.state == DeviceState::Revoked,
        claim,
        events,
        name,
        hardware,
        versions: versions.iter().map(ToString::to_string).collect(),
        error,
    });
    if refused {
        *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    Ok(page)
}

/// A device's card, as it is now; nothing when it is gone.
pub(super) async fn rendered(scene: &Scene, id: &DeviceId) -> Result<Option<String>, StoreError> {
    match scene.web.fleet().device(id).await? {
        Some(device) => card(scene, &device).await.map(Some),
        None => Ok(None),
    }
}

async fn card(scene: &Scene, device: &Device) -> Result<String, StoreError> {
    let t = scene.t;
    let offer = scene.web.fleet().offer_of(&device.id).await?;
    let facts = [
        (t.fleet.mac, device.mac.map(|mac| mac.to_string())),
        (t.fleet.hardware, Some(device.hardware.to_string())),
        (t.fleet.firmware, device.firmware.clone()),
        (t.fleet.uptime, device.uptime.map(|seconds| t.lasts(Duration::from_secs(seconds)))),
        (t.fleet.memory, device.free_heap.map(|bytes| format!("{} KiB", bytes / 1024))),
        (t.fleet.wifi, device.wifi_rssi.map(|rssi| format!("{rssi} dBm").replace('-', "\u{2212}"))),
        (t.fleet.user, Some(device.mqtt_user.clone())),
    ];
    Ok(fragment(&DeviceCard {
        t,
        id: device.id.to_string(),
        name: device.name.clone().unwrap_or_else(|| device.id.to_string()),
        face: t.device_face(device.state),
        detail: device.detail.clone(),
        offer: offer.map(|offer| offer_view(t, offer)),
        facts: facts.into_iter().filter_map(|(label, value)| Some((label, value?))).collect(),
        seen: device.seen.map(|seen| scene.time(seen, None)),
        provisioned: scene.time(device.provisioned, None),
    }))
}

fn offer_view(t: &'static Texts, offer: DeviceOffer) -> OfferView {
    let open = !matches!(offer.state.as_str(), "done" | "failed" | "withdrawn");
    let tone = match offer.state.as_str() {
        "done" => "ok",
        "failed" => "bad",
        _ => "busy",
    };
    OfferView { text: t.offer(offer.version.as_str(), &offer.state), error: offer.error, open, progress: offer.progress, tone }
}

fn field<'a>(form: &'a Fields, name: &str) -> &'a str {
    form.get(name).map_or("", |text| text.trim())
}

async fn save(State(web): State<Web>, visitor: Visitor, At(id): At<String>, Form(form): Form<Fields>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(field(&form, "csrf"))?;
    visitor.caller.need(&DEVICES)?;
    let device = find(&web, &id).await?;
    let (name, hardware) = (field(&form, "name").to_owned(), field(&form, "hardware").to_owned());
    let again = |error: String| Tried { form: Some((name.clone(), hardware.clone(), error)), ..Tried::default() };
    if name.chars().count() > 64 || name.chars().any(char::is_control) {
        return page(&web, &visitor, device, again(EN.fleet.name_wrong.into())).await;
    }
    let word = match hardware.as_str() {
        "" => None,
        text => match text.parse() {
            Ok(word) => Some(word),
            Err(_) => return page(&web, &visitor, device, again(EN.fleet.hardware_wrong.into())).await,
        },
    };
    let named = Some(name.as_str()).filter(|name| !name.is_empty());
    web.fleet().edit(&device.id, named, word.as_ref(), &visitor.caller.actor).await.map_err(ApiError::from)?;
    Ok(Redirect::to(&format!("/fleet/{}?done=saved", device.id)).into_response())
}

async fn restart(State(web): State<Web>, visitor: Visitor, At(id): At<String>, Form(form): Form<Fields>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(field(&form, "csrf"))?;
    visitor.caller.need(&DEVICES)?;
    let device = find(&web, &id).await?;
    let flash = match web.fleet().order(&device.id, &Order::Restart, &visitor.caller.actor, RESTART).await {
        Ok(Outcome::Back) => Flash::good(EN.fleet.restarted),
        Ok(Outcome::Answered(_) | Outcome::Told | Outcome::Silent) => Flash::good(EN.fleet.told),
        Err(error) => Flash::bad(EN.sentence(&error.to_string())),
    };
    let device = find(&web, &id).await?;
    page(&web, &visitor, device, Tried::flash(flash)).await
}

/// Opens a claim, or closes the one that is open.
async fn claim(State(web): State<Web>, visitor: Visitor, At(id): At<String>, Form(form): Form<Fields>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(field(&form, "csrf"))?;
    visitor.caller.need(&DEVICES)?;
    let (device, actor) = (find(&web, &id).await?, &visitor.caller.actor);
    if !web.fleet().close_claim(&device.id, actor).await.map_err(ApiError::from)? {
        web.fleet().open_claim(&device.id, Stands::Usual, None, actor).await.map_err(ApiError::from)?;
    }
    Ok(Redirect::to(&format!("/fleet/{}", device.id)).into_response())
}

async fn rotate(State(web): State<Web>, visitor: Visitor, At(id): At<String>, Form(form): Form<Fields>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(field(&form, "csrf"))?;
    visitor.caller.need(&DEVICES)?;
    let device = find(&web, &id).await?;
    let stored = web.fleet().renew(&device.id, &visitor.caller.actor).await.map_err(ApiError::from)?;
    let told = web.fleet().told(&stored).await?;
    Ok(html(&secret_page(&Scene::load(&web, &visitor).await, told)))
}

async fn confirm(State(web): State<Web>, visitor: Visitor, At(id): At<String>) -> Result<Response, Oops> {
    visitor.caller.need(&DEVICES)?;
    let device = find(&web, &id).await?;
    let scene = Scene::load(&web, &visitor).await;
    let t = scene.t;
    let name = device.name.unwrap_or_else(|| device.id.to_string());
    Ok(html(&ConfirmPage {
        shell: Shell::new(&scene, t.fleet.revoke, Section::Fleet),
        t,
        csrf: scene.csrf.clone(),
        action: format!("/fleet/{}/revoke", device.id),
        title: t.revoke_device(&name),
        lines: vec![t.fleet.revoke_text.into()],
        hidden: Vec::new(),
        back: format!("/fleet/{}", device.id),
        label: t.fleet.revoke,
    }))
}

async fn revoke(State(web): State<Web>, visitor: Visitor, At(id): At<String>, Form(form): Form<Fields>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(field(&form, "csrf"))?;
    visitor.caller.need(&DEVICES)?;
    let device = find(&web, &id).await?;
    web.fleet().revoke(&device.id, &visitor.caller.actor).await.map_err(ApiError::from)?;
    Ok(Redirect::to(&format!("/fleet/{}", device.id)).into_response())
}

async fn send(State(web): State<Web>, visitor: Visitor, At(id): At<String>, Form(form): Form<Fields>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(field(&form, "csrf"))?;
    visitor.caller.need(&DEVICES)?;
    let device = find(&web, &id).await?;
    let Ok(version) = field(&form, "version").parse() else { return Err(ApiError::NotFound("firmware of this version").into()) };
    match web.fleet().offer(&device.id, &version, form.contains_key("back"), &visitor.caller.actor).await {
        Ok(_) => Ok(Redirect::to(&format!("/fleet/{}", device.id)).into_response()),
        Err(error) => {
            let flash = Flash::bad(EN.sentence(&error.to_string()));
            page(&web, &visitor, device, Tried::flash(flash)).await
        }
    }
}

/// What a device is to be given.
#[derive(Template)]
#[template(path = "fleet_secret.html")]
pub(super) struct SecretPage {
    shell: Shell,
    t: &'static Texts,
    id: String,
    client: String,
    told: Provisioned,
}

pub(super) fn secret_page(scene: &Scene, told: Provisioned) -> SecretPage {
    SecretPage {
        shell: Shell::new(scene, told.device_id.to_string(), Section::Fleet),
        t: scene.t,
        id: told.device_id.to_string(),
        client: told.device_id.client_id(),
        told,
    }
}
