//! Every promise of the gateway, held against the running program: real HTTP, real databases.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod authorization;
mod backlog;
mod batches;
mod browser;
mod catalogue;
mod certificate;
mod circles;
mod cli;
mod contract;
mod deletion;
mod faults;
mod forgeries;
mod gaps;
mod grace;
mod http;
mod keeping;
mod key_sets;
mod lists;
mod live;
mod migrations;
mod obstacles;
mod offline;
mod plan;
mod plans;
mod playground;
mod readme;
mod recount;
mod refusals;
mod replay;
mod rollups;
mod smoke;
mod storage;
mod storage_faults;
mod storage_s3;
mod strangers;
mod support;
mod terminal;
mod tidy;
mod tokens;
mod walks;
mod windows;
mod withheld;
mod writers;
