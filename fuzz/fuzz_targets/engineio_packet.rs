//! libFuzzer's door to `engineio_packet`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::socketio::packet(data));
