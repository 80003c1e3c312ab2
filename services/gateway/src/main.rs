//! The gateway's binary; see the library for what it does.

use std::process::ExitCode;

use tracewell_gateway::app::Gateway;

fn main() -> ExitCode {
    tracewell_kit::cli::run::<Gateway>()
}
