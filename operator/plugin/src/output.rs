//! What is printed: text for people, or data for programs.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use indicatif::ProgressBar;
use serde::Serialize;

/// Between two pictures of what turns while something is awaited.
const TICK: Duration = Duration::from_millis(100);

/// What a command that could answer answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All is as it should be.
    Well,
    /// It is not: something differs, fails or is missing.
    Otherwise,
}

impl From<bool> for Outcome {
    fn from(is_well: bool) -> Self {
        if is_well { Self::Well } else { Self::Otherwise }
    }
}

/// A format for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// Prints the data in the format, or its text where none is asked for.
pub fn tell<T: Serialize>(format: Option<Format>, data: &T, text: impl FnOnce(&T) -> String) -> Result<()> {
    print(&match format {
        None => text(data),
        Some(Format::Json) => serde_json::to_string_pretty(data)? + "\n",
        Some(Format::Yaml) => serde_saphyr::to_string(data)?,
    })
}

/// Prints, with colours only on a terminal. A reader who has enough, such as `head`, is no error.
pub fn print(text: &str) -> Result<()> {
    let mut stdout = anstream::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("the output cannot be written")
        }
        _ => Ok(()),
    }
}

/// Tells the person at the terminal what is awaited; nobody else is told.
pub fn awaiting(what: impl Into<String>) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let progress = ProgressBar::new_spinner().with_message(what.into());
    progress.enable_steady_tick(TICK);
    progress
}

/// Columns of the terminal, or as many as a page has.
pub fn width() -> usize {
    terminal_size::terminal_size().map_or(100, |(width, _)| usize::from(width.0))
}
