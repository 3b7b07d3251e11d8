//! libFuzzer's door to `rooms_session`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::rooms::session(data));
