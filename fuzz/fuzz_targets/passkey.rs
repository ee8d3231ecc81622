#![no_main]

#[path = "../targets/passkey.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::ceremony(bytes));
