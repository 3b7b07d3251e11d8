//! libFuzzer's door to `peerjs_message`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::peerjs::message(data));
