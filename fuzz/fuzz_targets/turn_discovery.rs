//! libFuzzer's door to `turn_discovery`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::turn::discovery(data));
