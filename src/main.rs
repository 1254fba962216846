//! Parses the command line and dispatches.

use std::process::ExitCode;

use clap::Parser;

/// Answers are made of many small pieces; this allocator is faster at those than the system's, and gives
/// memory back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tenant_gateway::cli::run(tenant_gateway::cli::Cli::parse())
}
