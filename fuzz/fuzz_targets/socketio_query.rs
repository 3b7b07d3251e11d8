//! libFuzzer's door to `socketio_query`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::socketio::query(data));
