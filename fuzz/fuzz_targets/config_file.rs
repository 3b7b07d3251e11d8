//! libFuzzer's door to `config_file`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::config::file(data));
