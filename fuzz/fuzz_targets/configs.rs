#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mailtide::claims::run("configs", data));
