//! libFuzzer's door to `websocket_frame`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::websocket::frame(data));
