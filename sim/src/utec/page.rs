//! The pages that a person sees: the question, and a look at the locks.

use std::fmt::Write;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State as Extract;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use super::locks::{Bolt, LockView, Position};
use super::world::World;
use crate::html::{escaped, whole};

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
