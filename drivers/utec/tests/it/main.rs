//! The driver against a server that records, and against a simulated cloud with faults.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics, in its helpers too")]

mod calls;
mod codes;
mod conformance;
mod house;
mod logs;
mod parsers;
mod push;
mod recorder;
mod settings;
mod signin;
mod tls;
mod tokens;
mod watch;
