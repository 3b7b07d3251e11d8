//! libFuzzer's door to `turn_oracle`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::turn::agree(data));
