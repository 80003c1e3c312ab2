//! A program that ends with the process that started it, however that ends.

use std::{
    io::Write as _,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result};

/// Starts a program, waits for a signal's name on the shell's standard input or for its end, and stops the program. The
/// input is a pipe that the starting process holds.
const SUPERVISOR: &str = r#"
log=$1
shift
"$@" >"$log" 2>&1 </dev/null &
program=$!
read -r signal
kill -"${signal:-KILL}" $program
wait
"#;

/// A running program.
#[derive(Debug)]
pub struct Supervised {
    /// Its pipe keeps the program going.
    shell: Child,
}

impl Supervised {
    /// Starts it; what it prints goes to `log`.
    pub fn start(log: &Path, program: &Path, arguments: &[&str]) -> Result<Self> {
        let shell = Command::new("sh")
            .args(["-c", SUPERVISOR, "supervisor"])
            .args([log, program])
            .args(arguments)
            .stdin(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { shell })
    }

    /// Tells it to stop, and waits until it has.
    pub fn terminate(mut self) -> Result<()> {
        if let Some(mut input) = self.shell.stdin.take() {
            input.write_all(b"TERM\n")?;
        }
        self.shell.wait()?;
        Ok(())
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait(); // it is gone either way
    }
}
