//! Programs of others that the tests start.

use tokio::process::Command;

/// A script of `tests/python`.
pub(crate) fn python(script: &str) -> Option<Command> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python");
    tracewell_kit::testing::python(&format!("{folder}/{script}"))
}
