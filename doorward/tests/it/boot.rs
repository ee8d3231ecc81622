//! The real binary: start, stop, exit codes, and `kill -9` at the worst moment.

mod component;
mod full;
mod killed;
mod starting;
