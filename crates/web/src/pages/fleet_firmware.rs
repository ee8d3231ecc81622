//! Firmware: what there is, uploading more, and for whom it is meant.

use super::{
    accounts::ConfirmPage,
    fleet::DEVICES,
    scene::{Scene, TimeView},
    shell::{Oops, Section, Shell, html},
    texts::{EN, Texts, state::Face},
    visitor::Visitor,
    webhook_form::Fields,
};
use crate::{ApiError, ApiResult, Web, api::params::At};
use askama::Template;
use axum::{
    Form, Router,
    extract::{DefaultBodyLimit, Multipart, Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use doorward_fleet::{FirmwareError, Upload};
use doorward_store::Firmware;
use doorward_wire::firmware::{Channel, Hardware, Version};
use serde::Deserialize;

/// Bytes of an upload: more than the largest partition that can be configured.
const BODY: usize = 17 << 20;
/// Bytes of a field that is no image.
const FIELD: usize = 8 << 10;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/fleet/firmware", get(list).post(upload).layer(DefaultBodyLimit::max(BODY)))
        .route("/fleet/firmware/key", get(key))
        .route("/fleet/firmware/{hardware}/{version}", get(confirm).post(change))
}

#[derive(Template)]
#[template(path = "fleet_firmware.html")]
struct FirmwarePage {
    shell: Shell,
    t: &'static Texts,
    csrf: String,
    lines: Vec<Line>,
    channels: Vec<(&'static str, &'static str)>,
    hardware: String,
    tried: Tried,
}

struct Line {
    hardware: String,
    version: String,
    channel: &'static str,
    face: Face,
    about: String,
    notes: String,
    added: TimeView,
}

/// What was filled in, and what is wrong with it.
#[derive(Default)]
struct Tried {
    version: String,
    min_version: String,
    notes: String,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Said {
    done: Option<String>,
}

async fn list(State(web): State<Web>, visitor: Visitor, Query(said): Query<Said>) -> Result<Response, Oops> {
    visitor.caller.need(&DEVICES)?;
    let scene = Scene::load(&web, &visitor).await;
    page(&scene, said.done.as_deref(), Tried::default()).await
}

async fn page(scene: &Scene, done: Option<&str>, tried: Tried) -> Result<Response, Oops> {
    let mut all = scene.web.fleet().all_firmware().await?;
    all.sort_by(|a, b| (&a.hardware, &b.version).cmp(&(&b.hardware, &a.version)));
    let refused = tried.error.is_some();
    let mut page = html(&FirmwarePage {
        shell: Shell::new(scene, scene.t.fleet.firmware, Section::Fleet).done(done),
        t: scene.t,
        csrf: scene.csrf.clone(),
        lines: all.iter().map(|firmware| line(scene, firmware)).collect(),
        channels: [Channel::Draft, Channel::Beta, Channel::Stable].map(|channel| (channel.as_str(), scene.t.channel(channel).word)).into(),
        hardware: scene.web.fleet().options().hardware.to_string(),
        tried,
    });
    if refused {
        *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    Ok(page)
}

fn line(scene: &Scene, firmware: &Firmware) -> Line {
    Line {
        hardware: firmware.hardware.to_string(),
        version: firmware.version.to_string(),
        channel: firmware.channel.as_str(),
        face: scene.t.channel(firmware.channel),
        about: scene.t.firmware_about(firmware.hardware.as_str(), firmware.size, &firmware.sha256),
        notes: firmware.notes.clone(),
        added: scene.time(firmware.created, None),
    }
}

/// The token comes first and the image last, so that nothing of an image is taken from somebody who has no right.
async fn upload(State(web): State<Web>, visitor: Visitor, mut form: Multipart) -> Result<Response, Oops> {
    visitor.caller.need(&DEVICES)?;
    let mut tried = Tried::default();
    let (mut sure, mut hardware, mut channel) = (false, String::new(), String::new());
    while let Some(field) = form.next_field().await.map_err(|error| ApiError::BadRequest(error.body_text()))? {
        let name = field.name().unwrap_or_default().to_owned();
        if name != "image" {
            let bytes = field.bytes().await.map_err(|error| ApiError::BadRequest(error.body_text()))?;
            let text: String = String::from_utf8_lossy(&bytes).trim().chars().take(FIELD).collect();
            match name.as_str() {
                "csrf" => {
                    visitor.caller.check_csrf(&text)?;
                    sure = true;
                }
                "version" => tried.version = text,
                "min_version" => tried.min_version = text,
                "notes" => tried.notes = text,
                "hardware" => hardware = text,
                "channel" => channel = text,
                _ => {}
            }
            continue;
        }
        if !sure {
            visitor.caller.check_csrf("")?;
        }
        let wish = wish(&tried, &hardware, &channel);
        let made = match wish {
            Ok(wish) => web.fleet().upload(wish, field, &visitor.caller.actor).await.map_err(|error| EN.sentence(&error.to_string())),
            Err(wrong) => Err(wrong),
        };
        return match made {
            Ok(_) => Ok(Redirect::to("/fleet/firmware?done=firmware_added").into_response()),
            Err(error) => page(&Scene::load(&web, &visitor).await, None, Tried { error: Some(error), ..tried }).await,
        };
    }
    let error = Some(EN.fleet.no_file.to_owned());
    page(&Scene::load(&web, &visitor).await, None, Tried { error, ..tried }).await
}

fn wish(tried: &Tried, hardware: &str, channel: &str) -> Result<Upload, String> {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let version = |text: &str| some(text).map(|text| text.parse::<Version>()).transpose().map_err(|error| EN.version_wrong(error));
    Ok(Upload {
        hardware: some(hardware).map(|text| text.parse::<Hardware>()).transpose().map_err(|_| EN.fleet.hardware_wrong.to_owned())?,
        version: version(&tried.version)?,
        min_version: version(&tried.min_version)?,
        channel: channel.parse().ok(),
        notes: tried.notes.clone(),
        sha256: None,
    })
}

async fn key(State(web): State<Web>, visitor: Visitor) -> Result<Response, Oops> {
    visitor.caller.need(&DEVICES)?;
    let pem = web.fleet().firmware_public_key().await?;
    let name = "attachment; filename=\"doorward-firmware.pem\"";
    Ok(([(header::CONTENT_TYPE, "application/x-pem-file"), (header::CONTENT_DISPOSITION, name)], pem).into_response())
}

async fn find(web: &Web, hardware: &str, version: &str) -> ApiResult<Firmware> {
    let (Ok(hardware), Ok(version)) = (hardware.parse::<Hardware>(), version.parse::<Version>()) else {
        return Err(FirmwareError::Unknown.into());
    };
    Ok(web.house().store().firmware(&hardware, &version).await?.ok_or(FirmwareError::Unknown)?)
}

/// Asks once more before it is removed.
async fn confirm(State(web): State<Web>, visitor: Visitor, At((hardware, version)): At<(String, String)>) -> Result<Response, Oops> {
    visitor.caller.need(&DEVICES)?;
    let firmware = find(&web, &hardware, &version).await?;
    let scene = Scene::load(&web, &visitor).await;
    let t = scene.t;
    Ok(html(&ConfirmPage {
        shell: Shell::new(&scene, t.fleet.remove_firmware, Section::Fleet),
        t,
        csrf: scene.csrf.clone(),
        action: format!("/fleet/firmware/{}/{}", firmware.hardware, firmware.version),
        title: t.remove_version(firmware.version.as_str()),
        lines: vec![t.fleet.remove_firmware_text.into()],
        hidden: vec![("remove", "yes".into())],
        back: "/fleet/firmware".into(),
        label: t.fleet.remove_firmware,
    }))
}

/// Changes the channel, or removes it.
async fn change(
    State(web): State<Web>,
    visitor: Visitor,
    At((hardware, version)): At<(String, String)>,
    Form(form): Form<Fields>,
) -> Result<Response, Oops> {
    visitor.caller.check_csrf(form.get("csrf").map_or("", String::as_str))?;
    visitor.caller.need(&DEVICES)?;
    let firmware = find(&web, &hardware, &version).await?;
    let actor = &visitor.caller.actor;
    if form.contains_key("remove") {
        web.fleet().remove_firmware(&firmware.hardware, &firmware.version, actor).await.map_err(ApiError::from)?;
        return Ok(Redirect::to("/fleet/firmware?done=firmware_removed").into_response());
    }
    let channel = form.get("channel").and_then(|channel| channel.parse().ok()).unwrap_or(firmware.channel);
    web.fleet().edit_firmware(&Firmware { channel, ..firmware }, actor).await.map_err(ApiError::from)?;
    Ok(Redirect::to("/fleet/firmware?done=saved").into_response())
}
