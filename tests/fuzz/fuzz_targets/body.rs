//! Whatever the body of a request is, the gateway answers, and has not failed.
#![no_main]

mod gateway;

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    gateway::post(None, body);
});
