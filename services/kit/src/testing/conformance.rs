//! Every operation of a service, by requests that schemathesis makes of the API document: nothing it sends is answered by a
//! 5xx, by a status, a type or a body that is not documented, what the document allows is not refused as malformed, and nobody
//! is let in without a token. The links of the document are followed.

use std::{env, path::PathBuf, process::Stdio};

use tokio::process::Command;

use super::Setup;

/// The folder that holds `auth-python`.
const ASSETS: &str = "TRACEWELL_ASSETS";

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/testing/python");

/// A Python with the packages that the tests of the services pin, to run `script`. `None` is a loud skip, and a failure
/// where `CI` is set.
pub fn python(script: &str) -> Option<Command> {
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
        .arg(script)
        .kill_on_drop(true)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    Some(command)
}

/// Stops the test unless the service at `url` is as its document says to the owner of `token`, or to nobody in particular if
/// that is empty. `excluded` are operations that would end what the others need.
pub async fn assert_conforms(url: &str, token: &str, excluded: &[&str]) -> Setup<()> {
    let Some(mut schemathesis) = python(&format!("{FOLDER}/conformance.py")) else {
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let phases = "examples,coverage,fuzzing,stateful";
    schemathesis
        .current_dir(folder.path())
        .args(["--config-file", &format!("{FOLDER}/schemathesis.toml")])
        .args(["run", &format!("{url}/api-docs.json")])
        .args(["--checks", "all", "--phases", phases, "--max-examples", "8"])
        .args(["--seed", "7", "--continue-on-failure", "--no-color"]);
    if !token.is_empty() {
        schemathesis.args(["--header", &format!("Authorization: Bearer {token}")]);
    }
    for operation in excluded {
        schemathesis.args(["--exclude-name", operation]);
    }
    let output = schemathesis.output().await?;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    Ok(())
}
