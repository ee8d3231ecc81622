//! The driver against the simulated Legrand cloud and its registrar.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics, in its helpers too")]

mod line;
mod support;
