//! Every promise of the gateway, held against the running program: real HTTP, real databases.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod authorization;
mod browser;
mod catalogue;
mod contract;
mod deletion;
mod playground;
mod smoke;
mod support;
