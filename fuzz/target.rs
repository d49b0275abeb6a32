//! One program for each target: its name says which.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| larder_fuzz::run(env!("CARGO_BIN_NAME"), bytes));
