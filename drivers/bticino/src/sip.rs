//! SIP over TLS (RFC 3261), as far as a door needs it.
//!
//! Reading on: [`session`] (what is said on one connection, without the connection), `message` (the wire), `proof` (digests
//! ahead of the challenge), `calls` (who rings), [`rpc`] (what a gate is told), [`tls`] (whom to believe), [`mod@line`]
//! (the connection itself).

mod calls;
pub mod line;
pub mod message;
mod proof;
pub mod rpc;
pub mod session;
pub mod tls;

pub use calls::{CallEnd, Patience};
