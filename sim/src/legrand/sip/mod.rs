//! The registrar: SIP over TLS with a required client certificate and digests, and the bell's calls.
//!
//! `listener` takes connections, `tls` says who may come, `line` reads and writes one of them. `text` is what
//! SIP looks like. `answers` decides about each request, with `proof` (who sent it), `register` and `command`
//! for the two that matter. `exchange` holds what is connected and registered, `calls` what rings.

mod answers;
pub(crate) mod calls;
mod command;
mod digest;
pub(crate) mod exchange;
mod line;
pub(crate) mod listener;
mod proof;
mod register;
mod text;
pub(crate) mod tls;
