//! `kubectl-platform`: parses the command line and hands over to the library.

use std::process::ExitCode;

use kubectl_platform::{cli::Cli, output::Outcome};
use tokio::runtime;

/// The answer is no: see the end of `--help`.
const OTHERWISE: u8 = 1;

/// There is no answer.
const FAILURE: u8 = 2;

fn main() -> ExitCode {
    // With two providers in the tree, rustls would panic at the first handshake (rustls/rustls#2070); there is one, and
    // this names it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = Cli::from_environment();
    let outcome = runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(kubectl_platform::run(cli)));
    match outcome {
        Ok(Outcome::Well) => ExitCode::SUCCESS,
        Ok(Outcome::Otherwise) => ExitCode::from(OTHERWISE),
        Err(error) => {
            anstream::eprintln!("Error: {error:#}");
            ExitCode::from(FAILURE)
        }
    }
}
