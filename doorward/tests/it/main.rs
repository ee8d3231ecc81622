//! The whole program: flows in one process, real peers, the real binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one thing among many")]

mod arrows;
mod binary;
mod boot;
mod corpus;
mod flows;
mod house;
mod peers;
#[path = "../../../crates/store/tests/it/postgres.rs"]
#[allow(dead_code, reason = "shared with the store's tests, which use more of it")]
mod postgres;
