//! The pages that a person sees: the sign-in, and a look at gates and bells.

use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State as Extract;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};

use super::book::Question;
use super::control::patch_faults;
use super::login::fields;
use super::openers::{Opener, OpenerView, Position};
use super::sip::calls::{self, RingState, RingView};
use super::world::World;
use crate::html::{escaped, whole};

/// Faults that a person switches with one click, and what they are called.
const FAULTS: [(&str, &str); 11] = [
    ("Expired tokens", r#"{"unauthorized":true}"#),
    ("5xx", r#"{"status":{"on":"http","with":503}}"#),
    ("HTML, no JSON", r#"{"garbage":{"on":"http"}}"#),
    ("10 s late", r#"{"slow_ms":10000}"#),
    ("Stale nonces", r#"{"stale_nonce":true}"#),
    ("Wrong password", r#"{"wrong_password":"forbidden"}"#),
    ("200, nothing moves", r#"{"no_movement":true}"#),
    ("No answer to a command", r#"{"dead":{"on":"message","with":"silent","after_effect":true}}"#),
    ("Another server certificate", r#"{"foreign_certificate":true}"#),
    ("A new authority", r#"{"new_authority":true}"#),
    ("Ring storm", r#"{"ring_storm":20}"#),
];

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new().route("/", get(front)).route("/do", post(done))
}

/// Who are you? Works without JavaScript.
pub(crate) fn sign_in(action: &str, question: &Question, complaint: Option<&str>) -> String {
    let complaint = complaint.map(|text| format!("<p role=\"alert\">{}</p>", escaped(text))).unwrap_or_default();
    whole(
        "Sim Legrand: sign in",
        &format!(
            "<p>This is a simulated cloud: no real gate is behind it.</p>{complaint}<form method=\"post\" action=\"{}\">\
             <input type=\"hidden\" name=\"tx\" value=\"{}\"><input type=\"hidden\" name=\"csrf_token\" value=\"{}\">\
             <p><label>Email<br><input name=\"signInName\" type=\"email\" autofocus></label></p>\
             <p><label>Password<br><input name=\"password\" type=\"password\"></label></p>\
             <button class=\"main\" name=\"answer\" value=\"continue\">Sign in</button> \
             <button name=\"answer\" value=\"cancel\" formnovalidate>Cancel</button></form>",
            escaped(action),
            escaped(&question.id),
            escaped(&question.csrf)
        ),
    )
}

/// Something cannot be done.
pub(crate) fn problem(what: &str) -> String {
    whole("Sim Legrand: that did not work", &format!("<p>{}</p>", escaped(what)))
}

/// Gates, bells and faults, and a hand for each.
async fn front(Extract(world): Extract<Arc<World>>) -> Html<String> {
    let (openers, panels, rings, faults) = world.look(|state, _| {
        let openers: Vec<_> = state.openers.iter().map(Opener::view).collect();
        let gateways = state.plants().flat_map(|plant| &plant.gateways);
        let panels: Vec<_> = gateways.flat_map(|gateway| &gateway.panels).map(|panel| (panel.id.clone(), panel.name.clone())).collect();
        let rings: Vec<_> = state.exchange.rings().into_iter().filter(|ring| ring.state == RingState::Ringing).collect();
        let faulty = state.faults != super::Faults::default();
        (openers, panels, rings, faulty)
    });
    let mut rows = String::new();
    for opener in &openers {
        opener_row(&mut rows, opener);
    }
    for (id, name) in &panels {
        panel_row(&mut rows, id, name, &rings);
    }
    let switches: String = FAULTS.iter().map(|(name, change)| button("faults", change, name)).collect();
    let off = if faults { button("faults", "off", "Everything off") } else { String::new() };
    Html(whole(
        "Sim Legrand",
        &format!(
            "<table><tr><th>What<th>State<th></tr>{rows}</table><h1>Faults</h1><p>{switches}{off}</p><p><small>State: \
             <a href=\"/sim/state\">/sim/state</a>, requests: <a href=\"/sim/requests\">/sim/requests</a>, contacts: \
             <a href=\"/sim/contacts\">/sim/contacts</a>, all faults: <code>PUT /sim/faults</code></small></p>"
        ),
    ))
}

fn button(name: &str, value: &str, label: &str) -> String {
    format!(
        "<form method=\"post\" action=\"/do\" style=\"display:inline\"><button name=\"{name}\" value=\"{}\">{}</button></form> ",
        escaped(value),
        escaped(label)
    )
}

fn opener_row(rows: &mut String, opener: &OpenerView) {
    let position = match opener.position {
        Position::Shut => "shut",
        Position::Opening => "opening",
        Position::Open => "open",
        Position::Closing => "closing",
        Position::Jammed => "jammed",
    };
    let contact = match opener.contact_open {
        None => "",
        Some(true) => ", contact open",
        Some(false) => ", contact closed",
    };
    let deleted = if opener.deleted { ", deleted at the vendor" } else { "" };
    let (hand, label) = if opener.position == Position::Shut { ("open", "Open by hand") } else { ("shut", "Shut by hand") };
    let hand = button(hand, &opener.id, label);
    let (name, id) = (escaped(&opener.name), escaped(&opener.id));
    // Writing into a String cannot fail.
    let _ = write!(
        rows,
        "<tr><td>{name}<br><small>{id}</small><td>{position}{contact}{deleted}<br><small>opened {} times</small><td>{hand}</tr>",
        opener.times_opened
    );
}

fn panel_row(rows: &mut String, id: &str, name: &str, rings: &[RingView]) {
    let rings: Vec<_> = rings.iter().filter(|ring| ring.panel == id).collect();
    let state = if rings.is_empty() { "quiet" } else { "rings" };
    let cancel: String = rings.first().map(|ring| button("cancel", &ring.id, "Go away")).unwrap_or_default();
    let ring = button("ring", id, "Ring");
    // Writing into a String cannot fail.
    let _ = write!(rows, "<tr><td>{}<br><small>bell {}</small><td>{state}<td>{ring}{cancel}</tr>", escaped(name), escaped(id));
}

/// A button of the front page.
async fn done(Extract(world): Extract<Arc<World>>, body: Bytes) -> Response {
    let form = fields(&body);
    let pressed = form.iter().next().map(|(name, value)| (name.as_str(), value.as_str()));
    let hand = |id: &str, open| world.edit(|state, _| state.tamper(id, |opener| opener.hand(open)).is_some());
    let known = match pressed {
        Some(("open", id)) => hand(id, true),
        Some(("shut", id)) => hand(id, false),
        Some(("ring", panel)) => calls::ring(&world, panel).is_some(),
        Some(("cancel", ring)) => calls::end(&world, ring, RingState::Cancelled),
        Some(("faults", "off")) => {
            world.change(|state, _| state.faults = super::Faults::default());
            true
        }
        Some(("faults", change)) => patch_faults(&world, change.as_bytes()).is_ok(),
        Some(_) | None => false,
    };
    if known {
        (StatusCode::SEE_OTHER, [(header::LOCATION, "/")]).into_response()
    } else {
        (StatusCode::NOT_FOUND, Html(problem("no such thing"))).into_response()
    }
}
