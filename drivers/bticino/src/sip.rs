//! SIP over TLS (RFC 3261), as far as a door needs it.
//!
//! Reading on: [`session`] (what is said on one connection, without the connection), `request` (what we ask), `news` (what
//! follows for the house), [`message`] (the wire), `proof` (digests ahead of the challenge), `calls` (who rings), [`rpc`]
//! (what a gate is told), [`commands`] (and may answer later), [`tls`] (whom to believe), [`mod@line`] (one connection),
//! `orders` (what is to be done on it), `connect` (how it is made).

mod calls;
pub mod commands;
mod connect;
pub mod line;
pub mod message;
mod news;
mod orders;
mod proof;
mod request;
pub mod rpc;
pub mod session;
pub mod tls;

pub use calls::{CallEnd, Patience};
