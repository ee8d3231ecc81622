//! The pages that a person sees: the question, and a look at the locks.

use std::fmt::Write;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State as Extract;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use super::locks::{Bolt, LockView, Position};
use super::world::World;

const STYLE: &str = "
:root { color-scheme: light dark }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 42rem; margin: 10vh auto; padding: 0 1rem }
main { border: 1px solid #8884; border-radius: 12px; padding: 1.5rem 2rem }
h1 { font-size: 1.4rem; margin-top: 0 }
button { font: inherit; padding: .5rem 1.25rem; border-radius: 8px; border: 1px solid #8888;
  background: none; cursor: pointer }
button.main { background: #0a66c2; border-color: #0a66c2; color: #fff }
table { width: 100%; border-collapse: collapse }
td, th { text-align: left; padding: .4rem .4rem .4rem 0 }
small { opacity: .7 }";

fn whole(title: &str, main: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <style>{STYLE}</style><main><h1>{title}</h1>{main}</main></html>"
    )
}

/// May doorward? Works without JavaScript.
pub(crate) fn question(id: &str) -> String {
    let id = escaped(id);
    whole(
        "Sim U-tec: allow doorward?",
        &format!(
            "<p>doorward asks to see and operate the locks of this account. This is a simulated cloud: no \
             real lock is behind it.</p><form method=\"post\" action=\"/authorize\">\
             <input type=\"hidden\" name=\"question\" value=\"{id}\">\
             <button class=\"main\" name=\"answer\" value=\"allow\">Allow</button> \
             <button name=\"answer\" value=\"deny\">Deny</button></form>"
        ),
    )
}

/// The question cannot be asked.
pub(crate) fn problem(what: &str) -> String {
    whole("Sim U-tec: that did not work", &format!("<p>{}</p>", escaped(what)))
}

/// The locks, and a hand to turn them with.
pub(crate) async fn front(Extract(world): Extract<Arc<World>>) -> Html<String> {
    let locks = world.look(|state, _| {
        let views = state.locks.iter().map(super::locks::Lock::view);
        views.collect::<Vec<_>>()
    });
    let mut rows = String::new();
    for lock in &locks {
        row(&mut rows, lock);
    }
    Html(whole(
        "Sim U-tec",
        &format!(
            "<table><tr><th>Lock<th>Bolt<th>Battery<th></tr>{rows}</table><p><small>State: \
             <a href=\"/sim/state\">/sim/state</a>, requests: <a href=\"/sim/requests\">/sim/requests</a>, \
             faults: <code>PUT /sim/faults</code></small></p>"
        ),
    ))
}

fn row(rows: &mut String, lock: &LockView) {
    let (position, hand) = match lock.position {
        Position::Locked => ("locked", "unlocked"),
        Position::Unlocked => ("unlocked", "locked"),
        Position::Jammed => ("jammed", "locked"),
    };
    let moving = if lock.moving { ", moving" } else { "" };
    let door = if lock.door_open { ", door open" } else { "" };
    let (name, id) = (escaped(&lock.name), escaped(&lock.id));
    // Writing into a String cannot fail.
    let _ = write!(
        rows,
        "<tr><td>{name}<br><small>{id}</small><td>{position}{moving}{door}<td>{}/5<td>\
         <form method=\"post\" action=\"/turn\"><input type=\"hidden\" name=\"id\" value=\"{id}\">\
         <button name=\"to\" value=\"{hand}\">Turn by hand</button></form></tr>",
        lock.battery
    );
}

/// The button on the front page.
pub(crate) async fn turn(Extract(world): Extract<Arc<World>>, body: Bytes) -> Response {
    let mut id = String::new();
    let mut to = None;
    for (name, value) in form_urlencoded::parse(&body) {
        match (&*name, &*value) {
            ("id", value) => value.clone_into(&mut id),
            ("to", "locked") => to = Some(Bolt::Locked),
            ("to", "unlocked") => to = Some(Bolt::Unlocked),
            _ => {}
        }
    }
    let turned = to.is_some_and(|to| world.edit(|state, _| state.tamper(&id, |lock| lock.turn(to))));
    if turned {
        (StatusCode::SEE_OTHER, [(header::LOCATION, "/")]).into_response()
    } else {
        (StatusCode::NOT_FOUND, Html(problem("no such lock"))).into_response()
    }
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}
