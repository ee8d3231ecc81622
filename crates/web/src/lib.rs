//! HTTP: API v1, the U-tec local API, pages, sign-in, hooks, webhooks.
//!
//! * [`Web`] is what every handler may use.
//! * [`caller`] says who is asking, [`guard`] what may come in at all.
//! * [`api`] is API v1, one file for each subject; [`local`] is the API that clients of the original U-tec gateway speak.
//! * [`pages`] are server-rendered and work without JavaScript; `assets/live.js` only makes them live.
//! * [`serve`] runs the listeners.
//! * [`passkey`] checks what authenticators bring.
//! * `people` gives rights and passes, for API and pages alike.
//! * [`notify`] tells people what they should look at, [`webhooks`] tells servers of others what happened; [`outward`] is the one way out, and says where it does not lead.
//!
//! It must never decide who may open a door (that is `doorward_core::policy`) and never talk to a vendor.
//!
//! # To add an endpoint
//! 1. Write the handler in the file of its subject, with its `utoipa::path`.
//! 2. Add it to the `routes!` in that file: that is its route and its place in the `OpenAPI` document.
//! 3. Run `make contracts`.

pub mod api;
pub mod bluetooth;
pub mod caller;
pub mod guard;
mod guest;
pub mod local;
pub mod logbook;
pub mod notify;
pub mod outward;
pub mod pages;
pub mod people;
mod problem;
pub mod serve;
mod sign_in;
mod state;
pub mod webhooks;

pub use problem::{ApiError, ApiResult};
pub use sign_in::passkey;
pub use state::{Web, WebConfig};
