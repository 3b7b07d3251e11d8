//! libFuzzer's door to `relay_message`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::relay::message(data));
