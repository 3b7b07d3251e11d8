//! libFuzzer's door to `rooms_message`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::rooms::message(data));
