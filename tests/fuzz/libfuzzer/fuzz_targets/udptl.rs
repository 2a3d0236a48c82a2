//! Feeds libFuzzer's inputs to [`viaduct_fuzz::udptl`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| viaduct_fuzz::udptl(data));
