#![no_main]

#[path = "../targets/tunnel.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::envelope(bytes));
