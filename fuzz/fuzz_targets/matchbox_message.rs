//! libFuzzer's door to `matchbox_message`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::matchbox::message(data));
