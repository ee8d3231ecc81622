//! The real binary: start, stop, exit codes, and `kill -9` at the worst moment.

mod backups;
mod ble_keys;
mod bticino;
mod component;
mod debug;
mod demo;
mod full;
pub(crate) mod killed;
mod notify;
mod push;
mod readme;
mod sign_in;
mod starting;
mod webhooks;
