//! libFuzzer's door to `socketio_session`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::socketio::session(data));
