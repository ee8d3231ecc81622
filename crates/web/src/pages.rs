//! Pages: rendered here, useful without JavaScript, live with it.
//!
//! * [`scene`] is what every page knows: the visitor, names, time zones. [`shell`] is what every page looks like.
//! * One file for each subject: [`doors`], [`door_form`], [`codes`], [`code_form`], [`accounts`], [`account`], [`account_sign_in`], [`account_set_up`], [`events`], [`rings`], [`settings`], [`notifications`], [`webhooks`], [`webhook`], [`fleet`], [`fleet_device`], [`fleet_provision`], [`fleet_firmware`], [`fleet_rollouts`],
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

mod account;
mod account_card;
mod account_form;
mod account_set_up;
mod account_sign_in;
mod accounts;
pub(crate) mod assets;
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
mod logs;
mod mqtt;
mod notifications;
mod people;
mod ring_card;
mod rings;
mod scene;
mod settings;
mod shell;
mod sites;
pub(crate) mod texts;
mod tokens;
mod tunnel;
mod visitor;
mod webhook;
mod webhook_form;
mod webhooks;

pub(crate) use icons::icon;
pub(crate) use visitor::Errand;

use crate::{ApiError, Web};
use axum::{Router, middleware};

/// Every page, the live stream, and the assets. `web` is for the error pages, which look like the others.
pub fn router(web: &Web) -> Router<Web> {
    Router::new()
        .merge(doors::router())
        .merge(codes::router())
        .merge(door_form::router())
        .merge(accounts::router())
        .merge(account::router())
        .merge(account_sign_in::router())
        .merge(account_set_up::router())
        .merge(events::router())
        .merge(rings::router())
        .merge(settings::router())
        .merge(people::router())
        .merge(sites::router())
        .merge(tokens::router())
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
        .merge(entry::router())
        .merge(live::router())
        .fallback(nowhere)
        .layer(middleware::from_fn_with_state(web.clone(), shell::dress))
        .merge(assets::router())
}

async fn nowhere() -> shell::Oops {
    shell::Oops(ApiError::NotFound("such page"))
}
