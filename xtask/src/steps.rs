//! A step runner: announces each step, keeps its output in a log file, shows that it is alive, says on failure what
//! went wrong, and ends with a table of what took how long.
//!
//! A child writes straight into the log file, not through a pipe to us: nothing is lost when we are killed, and the
//! last line is read back from the file for the progress line.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

/// How much of a failed step's output is printed.
const TAIL_LINES: usize = 30;
/// Enough bytes for [`TAIL_LINES`] long lines.
const TAIL_BYTES: u64 = 16 * 1024;
/// How long logs are kept.
const KEPT: Duration = Duration::from_hours(24);
/// Steps shorter than this show no progress line.
const QUIET: Duration = Duration::from_secs(2);

/// One task (`up`, `test`…) as a sequence of steps.
pub(crate) struct Steps {
    started: Instant,
    log: PathBuf,
    done: Vec<(String, Duration)>,
}

impl Steps {
    /// Starts a task whose output goes to a log of its own in the cache folder; logs of more than a day ago are removed.
    pub(crate) fn new(task: &str) -> Result<Self> {
        let folder = crate::cluster::cache_folder()?.join("logs");
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        for old in fs::read_dir(&folder)?.filter_map(Result::ok) {
            let age = old
                .metadata()
                .and_then(|log| log.modified())
                .map(|written| written.elapsed().unwrap_or_default());
            if age.is_ok_and(|age| age > KEPT) {
                fs::remove_file(old.path())?;
            }
        }
        let log = folder.join(format!("{task}-{}.log", std::process::id()));
        File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        Ok(Self {
            started: Instant::now(),
            log,
            done: Vec::new(),
        })
    }

    /// Runs one command as a step.
    pub(crate) fn run(&mut self, title: &str, command: &mut Command) -> Result<()> {
        self.step(title, |step| step.run(command))
    }

    /// Runs `work` as a step; every command that it starts through its [`Step`] belongs to the same progress line.
    pub(crate) fn step<T>(&mut self, title: &str, work: impl FnOnce(&Step) -> Result<T>) -> Result<T> {
        println!("==> {title}");
        let step = Step::open(title, &self.log)?;
        let started = Instant::now();
        let result = thread::scope(|scope| {
            let (finished, wait) = mpsc::channel::<()>();
            let progress = step.progress();
            scope.spawn(move || progress.show_until(&wait));
            let result = work(&step);
            drop(finished);
            result
        });
        self.done.push((title.to_owned(), started.elapsed()));
        result.map_err(|error| step.explain(&error))
    }

    /// Prints how long each step took. The table comes last, after everything succeeded.
    pub(crate) fn finish(self) {
        let width = self
            .done
            .iter()
            .map(|(title, _)| title.chars().count())
            .max()
            .unwrap_or_default();
        println!();
        for (title, took) in self
            .done
            .iter()
            .filter(|(_, took)| *took >= Duration::from_secs(1))
        {
            println!("  {title:<width$}  {:>8}", clock(*took));
        }
        println!("  {:<width$}  {:>8}", "in all", clock(self.started.elapsed()));
    }
}

/// One running step.
pub(crate) struct Step {
    title: String,
    log: PathBuf,
    /// Where this step's output begins in the log.
    begins: u64,
}

impl Step {
    fn open(title: &str, log: &Path) -> Result<Self> {
        let mut file = append(log)?;
        writeln!(file, "==> {title}")?;
        let begins = file.seek(SeekFrom::End(0))?;
        Ok(Self {
            title: title.to_owned(),
            log: log.to_owned(),
            begins,
        })
    }

    /// Runs a command to its end, its output in the log; an exit status other than 0 is an error.
    pub(crate) fn run(&self, command: &mut Command) -> Result<()> {
        let mut log = append(&self.log)?;
        writeln!(log, "$ {}", shown(command))?;
        let status = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .status()
            .with_context(|| format!("cannot start `{}`", shown(command)))?;
        succeeded(command, status)
    }

    /// Runs a command and returns what it printed; its errors go to the log.
    pub(crate) fn output(&self, command: &mut Command) -> Result<String> {
        let log = append(&self.log)?;
        let output = command
            .stdin(Stdio::null())
            .stderr(log)
            .output()
            .with_context(|| format!("cannot start `{}`", shown(command)))?;
        succeeded(command, output.status)?;
        String::from_utf8(output.stdout).with_context(|| format!("`{}` printed no UTF-8", shown(command)))
    }

    /// Everything that this step's commands have printed so far.
    pub(crate) fn printed(&self) -> Result<String> {
        let log = fs::read(&self.log).with_context(|| format!("cannot read {}", self.log.display()))?;
        Ok(String::from_utf8_lossy(&log[usize::try_from(self.begins)?.min(log.len())..]).into_owned())
    }

    /// Writes a line into the log; it is what the progress line shows until the next output.
    pub(crate) fn note(&self, line: &str) -> Result<()> {
        writeln!(append(&self.log)?, "{line}").context("cannot write the log")
    }

    fn progress(&self) -> Progress {
        Progress {
            log: self.log.clone(),
            begins: self.begins,
            started: Instant::now(),
        }
    }

    /// The error that people see: the cause, the end of the output, and where the rest is.
    fn explain(&self, error: &anyhow::Error) -> anyhow::Error {
        let tail = tail(&self.log, self.begins).unwrap_or_default();
        let lines: Vec<&str> = tail.lines().collect();
        let last = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n    ");
        anyhow!(
            "{}: {error:#}\n\n    {last}\n\nThe whole output: {}",
            self.title,
            self.log.display()
        )
    }
}

/// Shows that a long step is alive: one line that is redrawn on a terminal, one line every half minute elsewhere.
struct Progress {
    log: PathBuf,
    begins: u64,
    started: Instant,
}

impl Progress {
    fn show_until(&self, finished: &mpsc::Receiver<()>) {
        let terminal = io::stdout().is_terminal();
        let pace = if terminal {
            Duration::from_millis(500)
        } else {
            Duration::from_secs(30)
        };
        while finished.recv_timeout(pace) == Err(RecvTimeoutError::Timeout) {
            if terminal && self.started.elapsed() > QUIET {
                print!("\r\x1b[2K    {}", self.line(100));
                let _ = io::stdout().flush(); // a progress line that cannot be drawn is no reason to stop
            } else if !terminal {
                println!("    {}", self.line(100));
            }
        }
        if terminal {
            print!("\r\x1b[2K");
            let _ = io::stdout().flush();
        }
    }

    fn line(&self, width: usize) -> String {
        let tail = tail(&self.log, self.begins).unwrap_or_default();
        let last = tail
            .lines()
            .rev()
            .find(|line| !line.trim().is_empty())
            .unwrap_or_default();
        let last: String = last
            .trim()
            .chars()
            .filter(|c| !c.is_control())
            .take(width)
            .collect();
        format!("{} {last}", clock(self.started.elapsed()))
    }
}

fn succeeded(command: &Command, status: ExitStatus) -> Result<()> {
    if !status.success() {
        bail!("`{}` failed ({status})", shown(command));
    }
    Ok(())
}

/// A command as a person would type it.
fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

fn append(log: &Path) -> Result<File> {
    File::options()
        .append(true)
        .create(true)
        .open(log)
        .with_context(|| format!("cannot write {}", log.display()))
}

/// The end of the log, never from before `begins`.
fn tail(log: &Path, begins: u64) -> io::Result<String> {
    let mut file = File::open(log)?;
    let end = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(begins.max(end.saturating_sub(TAIL_BYTES))))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn clock(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(folder: &tempfile::TempDir) -> Steps {
        Steps {
            started: Instant::now(),
            log: folder.path().join("log"),
            done: Vec::new(),
        }
    }

    fn shell(script: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]);
        shell
    }

    #[test]
    fn a_failed_step_tells_its_own_output_and_where_the_rest_is() {
        let folder = tempfile::tempdir().unwrap();
        let mut steps = steps(&folder);
        steps.run("first", &mut shell("echo of the first")).unwrap();
        let said = steps
            .run("second", &mut shell("echo cause >&2; exit 3"))
            .unwrap_err()
            .to_string();
        assert!(said.starts_with("second: "), "{said}");
        assert!(
            said.contains("exit status: 3") && said.contains("\n    cause"),
            "{said}"
        );
        assert!(said.contains("log") && !said.contains("of the first"), "{said}");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let said = steps(&folder)
            .run("step", &mut Command::new("no-such-program"))
            .unwrap_err()
            .to_string();
        assert!(said.contains("no-such-program"), "{said}");
    }

    #[test]
    fn only_the_end_of_a_long_output_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut steps = steps(&folder);
        let said = steps
            .run("long", &mut shell("seq 100000; exit 1"))
            .unwrap_err()
            .to_string();
        assert!(
            said.contains("\n    100000\n") && !said.contains("\n    99000\n"),
            "{said}"
        );
    }

    #[test]
    fn a_step_returns_what_its_work_returns() {
        let folder = tempfile::tempdir().unwrap();
        let printed = steps(&folder)
            .step("count", |step| step.output(&mut shell("echo $((40 + 2))")))
            .unwrap();
        assert_eq!(printed, "42\n");
    }
}
