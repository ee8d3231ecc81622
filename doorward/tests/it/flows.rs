//! How things travel through the whole house (ARCHITECTURE.md), in one process, on a clock pushed by hand.

mod bells;
mod certificates;
mod doors;
mod intercom;
mod passes;
mod tokens;
