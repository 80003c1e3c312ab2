//! The billing service's binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    tracewell_kit::cli::run::<tracewell_billing::Billing>()
}
