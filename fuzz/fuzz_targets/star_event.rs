//! libFuzzer's door to `star_event`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::star::event(data));
