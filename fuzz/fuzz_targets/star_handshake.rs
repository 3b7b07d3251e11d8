//! libFuzzer's door to `star_handshake`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::star::handshake(data));
