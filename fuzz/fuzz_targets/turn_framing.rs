//! libFuzzer's door to `turn_framing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::turn::framing(data));
