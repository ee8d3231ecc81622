//! Devices: how the fleet stands at a glance, and finding one.

use super::{
    scene::Scene,
    shell::{Oops, Section, Shell, fragment, html},
    texts::{
        Texts,
        state::{Face, Tone},
    },
    visitor::Visitor,
};
use crate::Web;
use askama::Template;
use axum::{
    Router,
    extract::{Query, State},
    response::Response,
    routing::get,
};
use doorward_core::scope::Scope;
use doorward_store::StoreError;
use doorward_wire::device::{Device, DeviceState};
use serde::Deserialize;

/// Devices that are listed at once.
const SHOWN: usize = 200;
/// What a visitor needs.
pub(super) const DEVICES: Scope = Scope::Devices { provision_only: false };
/// The states, as they are counted.
const STATES: [DeviceState; 5] =
    [DeviceState::Online, DeviceState::Offline, DeviceState::Provisioned, DeviceState::Pending, DeviceState::Revoked];

pub(super) fn router() -> Router<Web> {
    Router::new().route("/fleet", get(list))
}

#[derive(Template)]
#[template(path = "fleet.html")]
struct FleetPage {
    shell: Shell,
    t: &'static Texts,
    /// There is no device at all.
    is_empty: bool,
    wanted: Wanted,
    list: String,
    /// Where the provisioning server listens.
    server: Option<String>,
    /// It gives secrets over plain HTTP.
    plain: bool,
    broker: String,
}

#[derive(Template)]
#[template(path = "_fleet_list.html")]
struct FleetList {
    t: &'static Texts,
    chips: Vec<Chip>,
    lines: Vec<Line>,
    more: usize,
}

/// A state with how many devices stand so; it leads to them.
struct Chip {
    href: String,
    count: usize,
    word: &'static str,
    tone: Tone,
    on: bool,
}

struct Line {
    id: String,
    name: String,
    about: String,
    face: Face,
}

/// Which devices are looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    pub(super) q: String,
    #[serde(default)]
    pub(super) state: String,
}

impl Wanted {
    fn state(&self) -> Option<DeviceState> {
        self.state.parse().ok()
    }

    fn finds(&self, device: &Device) -> bool {
        let text = self.q.trim().to_ascii_lowercase();
        let holds = |field: &str| field.to_ascii_lowercase().contains(&text);
        let mac = device.mac.map(|mac| mac.to_string()).unwrap_or_default();
        holds(device.id.as_str())
            || holds(&mac)
            || device.name.as_deref().is_some_and(holds)
            || device.firmware.as_deref().is_some_and(holds)
    }

    fn href(&self, state: Option<DeviceState>) -> String {
        let fields = [("q", self.q.trim()), ("state", state.map_or("", DeviceState::as_str))];
        let fields: Vec<String> =
            fields.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        if fields.is_empty() { "/fleet".into() } else { format!("/fleet?{}", fields.join("&")) }
    }
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

async fn list(State(web): State<Web>, visitor: Visitor, Query(wanted): Query<Wanted>) -> Result<Response, Oops> {
    visitor.caller.need(&DEVICES)?;
    let scene = Scene::load(&web, &visitor).await;
    let is_empty = web.fleet().devices().await?.is_empty();
    let list = rendered(&scene, &wanted).await?;
    let options = web.fleet().options();
    let scheme = if web.fleet().has_tls() { "https" } else { "http" };
    let live = format!("fleet:{}:{}", wanted.state, wanted.q.trim().replace(':', ""));
    let shell = Shell::new(&scene, scene.t.fleet.title, Section::Fleet);
    Ok(html(&FleetPage {
        shell: if is_empty { shell } else { shell.live(live) },
        t: scene.t,
        is_empty,
        wanted,
        list,
        server: web.fleet().address().map(|address| format!("{scheme}://{address}")),
        plain: options.plain_http && !web.fleet().has_tls(),
        broker: format!("{}://{}:{}", if options.broker.tls { "mqtts" } else { "mqtt" }, options.broker.host, options.broker.port),
    }))
}

/// The list, as it is now.
pub(super) async fn rendered(scene: &Scene, wanted: &Wanted) -> Result<String, StoreError> {
    let found: Vec<Device> = scene.web.fleet().devices().await?.into_iter().filter(|device| wanted.finds(device)).collect();
    let chip = |state: DeviceState| {
        let face = scene.t.device_face(state);
        let count = found.iter().filter(|device| device.state == state).count();
        let on = wanted.state() == Some(state);
        Chip { href: wanted.href((!on).then_some(state)), count, word: face.word, tone: face.tone, on }
    };
    let shown: Vec<&Device> = found.iter().filter(|device| wanted.state().is_none_or(|state| state == device.state)).collect();
    let list = FleetList {
        t: scene.t,
        chips: STATES.into_iter().map(chip).filter(|chip| chip.count > 0 || chip.on).collect(),
        more: shown.len().saturating_sub(SHOWN),
        lines: shown.into_iter().take(SHOWN).map(|device| line(scene, device)).collect(),
    };
    Ok(fragment(&list))
}

fn line(scene: &Scene, device: &Device) -> Line {
    let id = device.name.as_ref().map(|_| device.id.to_string());
    let firmware = device.firmware.clone();
    let seen = device.seen.filter(|_| device.state != DeviceState::Online).map(|seen| scene.t.device_seen(&scene.time(seen, None).short));
    let about: Vec<String> = [id, firmware, seen, device.detail.clone()].into_iter().flatten().collect();
    Line {
        name: device.name.clone().unwrap_or_else(|| device.id.to_string()),
        about: about.join(" · "),
        face: scene.t.device_face(device.state),
        id: device.id.to_string(),
    }
}
