#![no_main]

#[path = "../targets/bticino.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::sip(bytes));
