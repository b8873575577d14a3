#![no_main]
libfuzzer_sys::fuzz_target!(|body: &[u8]| lazaret_fuzz::check(env!("CARGO_BIN_NAME"), body));
