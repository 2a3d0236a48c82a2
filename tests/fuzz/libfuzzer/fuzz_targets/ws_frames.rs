//! Feeds libFuzzer's inputs to [`viaduct_fuzz::ws_frames`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| viaduct_fuzz::ws_frames(data));
