//! The web room as its callers see it: a real listener, a real store, and a vendor that does as it is told.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on must end")]

mod attacks;
mod corpus;
mod doors;
mod fleet;
mod local;
mod management;
mod notify;
mod openapi;
mod pages;
mod passes;
mod people;
mod presented;
mod rings;
mod set_up;
mod streams;
mod support;
mod tunnel;
mod ways_in;
mod webhooks;
