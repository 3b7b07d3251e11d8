//! libFuzzer's door to `engineio_payload`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::socketio::payload(data));
