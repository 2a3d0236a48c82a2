//! Feeds libFuzzer's inputs to [`viaduct_fuzz::proxies`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| viaduct_fuzz::proxies(data));
