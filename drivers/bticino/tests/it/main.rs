//! The driver against a simulated cloud, and against servers that answer as no cloud should.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics, in its helpers too")]

mod account;
mod browser;
mod conformance;
mod driver;
mod line;
mod proxy;
mod support;
mod upstream;
