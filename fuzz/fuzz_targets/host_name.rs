//! libFuzzer's door to `host_name`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::http::host_name(data));
