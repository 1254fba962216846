//! Parses the command line and dispatches.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    tenant_gateway::cli::run(tenant_gateway::cli::Cli::parse())
}
