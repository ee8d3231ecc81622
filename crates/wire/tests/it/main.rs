//! What needs another program, or files of the repository.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail with them")]

mod corpus;
mod python;
