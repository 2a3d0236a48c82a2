//! Feeds libFuzzer's inputs to [`viaduct_fuzz::frame`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| viaduct_fuzz::frame(data));
