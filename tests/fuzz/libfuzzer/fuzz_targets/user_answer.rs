//! Feeds libFuzzer's inputs to [`viaduct_fuzz::user_answer`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| viaduct_fuzz::user_answer(data));
