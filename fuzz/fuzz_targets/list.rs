#![no_main]

#[path = "../targets/fleet.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::list(bytes));
