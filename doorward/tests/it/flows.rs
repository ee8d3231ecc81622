//! How things travel through the whole house (ARCHITECTURE.md), in one process, on a clock pushed by hand.

mod certificates;
mod doors;
mod tokens;
