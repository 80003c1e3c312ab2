//! The operator against a real etcd and kube-apiserver: what only they can judge. Where a test does not start one, there is
//! no controller manager, so a Deployment stays without pods and nothing is garbage collected.
//!
//! `TRACEWELL_ASSETS` names the directory with the two binaries. Each test has a namespace of its own.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

mod alerts;
mod chart;
mod collisions;
mod command_line;
mod convergence;
mod data;
mod deadline;
mod exposure;
mod faults;
mod faulty;
mod fixture;
mod leader;
mod poison;
mod privileges;
mod proxy;
mod revisions;
mod runbooks;
mod running;
mod schema;
mod status;
mod stolen_token;
mod uninstall;
mod upgrade;

/// The operator as a process.
const PROGRAM: &str = env!("CARGO_BIN_EXE_tracewell-operator");
