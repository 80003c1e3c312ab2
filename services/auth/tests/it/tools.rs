//! Programs of others that the tests start.

use std::{env, path::PathBuf, process::Stdio};

use tokio::process::Command;

/// The folder that holds `auth-python`.
const ASSETS: &str = "TRACEWELL_ASSETS";

/// The path of a file of `tests/python`.
pub(crate) fn script(name: &str) -> String {
    format!("{}/tests/python/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A script of `tests/python`, with the packages that are pinned there. `None` is a loud skip, and a failure where `CI`
/// is set.
pub(crate) fn python(script: &str) -> Option<Command> {
    let Some(folder) = env::var_os(ASSETS) else {
        let reason =
            format!("{ASSETS} must name the folder of the tests' programs; `make test` installs them");
        assert!(env::var_os("CI").is_none(), "{reason}");
        eprintln!("SKIPPED, NOTHING WAS TESTED: {reason}");
        return None;
    };
    let program = PathBuf::from(folder).join("auth-python");
    assert!(
        program.is_file(),
        "{} is missing: `make test` installs it",
        program.display()
    );
    let mut command = Command::new(program);
    command
        .arg(self::script(script))
        .kill_on_drop(true)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    Some(command)
}
