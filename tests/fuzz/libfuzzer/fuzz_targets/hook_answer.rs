//! Feeds libFuzzer's inputs to [`viaduct_fuzz::hook_answer`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| viaduct_fuzz::hook_answer(data));
