//! libFuzzer's door to `client_address`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::http::client_address(data));
