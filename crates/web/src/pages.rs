//! Pages: rendered here, useful without JavaScript, live with it.
//!
//! * [`scene`] is what every page knows: the visitor, names, time zones. [`shell`] is what every page looks like.
//! * One file for each subject: [`doors`], [`access`], [`people`], [`person`], [`passes`], [`pass`], [`you`], [`ceremonies`], [`door_form`], [`codes`], [`code_form`], [`accounts`], [`account`], [`account_sign_in`], [`account_set_up`], [`events`], [`rings`], [`settings`], [`notifications`], [`webhooks`], [`webhook`], [`fleet`], [`fleet_device`], [`fleet_provision`], [`fleet_firmware`], [`fleet_rollouts`],
//!   [`logs`], [`entry`].
//! * [`live`] sends the same fragments again when something changes; `assets/live.js` puts them in their place.
//! * [`texts`] holds every word.
//!
//! A form is posted, answered with a redirect, and shown again by a plain GET, so that reloading repeats nothing. A form
//! marked `data-live` is sent by the script with `x-live: 1` and answered with fragments instead.
//!
//! # To add a page
//! 1. Write its template in `templates/` and its words in `texts.rs`.
//! 2. Write its handlers in a file of its subject; take a [`Visitor`](visitor::Visitor), and check the form's CSRF token.
//! 3. Add its router below.

mod access;
mod account;
mod account_card;
mod account_form;
mod account_set_up;
mod account_sign_in;
mod accounts;
pub(crate) mod assets;
mod ceremonies;
mod code_form;
mod codes;
mod door_card;
mod door_form;
mod doors;
mod entry;
mod event_list;
mod events;
mod fleet;
mod fleet_device;
mod fleet_firmware;
mod fleet_provision;
mod fleet_rollouts;
mod icons;
mod live;
mod locks;
mod logs;
mod mqtt;
mod notifications;
mod pass;
mod passes;
mod people;
mod person;
mod plot;
mod ring_card;
mod rings;
mod scene;
mod settings;
mod shell;
mod sites;
mod terms_form;
pub(crate) mod texts;
mod tokens;
mod tunnel;
mod visitor;
mod webhook;
mod webhook_form;
mod webhooks;
mod you;

pub(crate) use icons::icon;
pub(crate) use visitor::Errand;

use crate::{ApiError, Web, caller::Caller};
use askama::Template;
use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};

/// Every page, the live stream, and the assets. `web` is for the error pages, which look like the others.
pub fn router(web: &Web) -> Router<Web> {
    let everybody = Router::new()
        .merge(doors::router())
        .merge(events::router())
        .merge(rings::router())
        .merge(settings::router())
        .merge(you::router())
        .merge(passes::router())
        .merge(pass::router())
        .merge(entry::router())
        .merge(live::router());
    let administrators = Router::new()
        .merge(codes::router())
        .merge(door_form::router())
        .merge(accounts::router())
        .merge(account::router())
        .merge(account_sign_in::router())
        .merge(account_set_up::router())
        .merge(settings::house_router())
        .merge(people::router())
        .merge(person::router())
        .merge(access::router())
        .merge(sites::router())
        .merge(tokens::router())
        .merge(locks::router())
        .merge(logs::router())
        .merge(mqtt::router())
        .merge(tunnel::router())
        .merge(fleet::router())
        .merge(fleet_provision::router())
        .merge(fleet_firmware::router())
        .merge(fleet_rollouts::router())
        .merge(fleet_device::router())
        .merge(notifications::router())
        .merge(webhooks::router())
        .merge(webhook::router())
        .route_layer(middleware::from_fn_with_state(web.clone(), administrators_only));
    everybody
        .merge(administrators)
        .fallback(nowhere)
        .layer(middleware::from_fn_with_state(web.clone(), shell::dress))
        .merge(assets::router())
        .merge(ceremonies::router())
}

/// What the page of a pass is made of.
pub(crate) fn public_assets() -> Router<Web> {
    assets::of_passes()
}

#[derive(Template)]
#[template(path = "pass_page.html")]
struct PassPage {
    t: &'static texts::Texts,
}

/// The page of a pass: the same for everybody, and nothing of the house is on it.
pub(crate) fn pass_page() -> Response {
    shell::html(&PassPage { t: &texts::EN })
}

/// Closes pages to those who are signed in and are no administrators. The handlers themselves ask whoever is not signed in to.
async fn administrators_only(State(web): State<Web>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match Caller::find(&parts, &web).await {
        Ok(Some(caller)) if caller.is_limited() => shell::Oops(ApiError::Forbidden(texts::EN.for_administrators.into())).into_response(),
        Ok(_) | Err(_) => next.run(Request::from_parts(parts, body)).await,
    }
}

async fn nowhere() -> shell::Oops {
    shell::Oops(ApiError::NotFound("such page"))
}
