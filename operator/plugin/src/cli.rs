//! The command line.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use clap::{
    ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum,
    parser::ValueSource,
};
use clap_complete::Shell;
use jiff::SignedDuration;
use platform_operator::settings::{ManifestArgs, SettingsArgs};

use crate::output::Format;

/// Under every `--help`.
const EXIT_CODES: &str = "\
Exit codes:
  0  all is as it should be
  1  it is not: status, a Platform is not ready; plan, something would change; doctor, a check failed; trace, no trace
  2  there is no answer: a wrong argument, a file or a cluster that cannot be read";

/// Shows a Platform, plans its changes, finds what is wrong with it, and opens its parts.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-platform",
    bin_name = "kubectl platform",
    version,
    about,
    after_help = EXIT_CODES,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// Where the cluster is.
    #[command(flatten)]
    pub cluster: ClusterArgs,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Where the cluster is.
#[derive(Args, Debug, Default)]
pub struct ClusterArgs {
    /// Namespace of the Platform [default: the context's]
    #[arg(short, long, global = true, value_name = "NAMESPACE")]
    pub namespace: Option<String>,

    /// Context of the kubeconfig [default: its current one]
    #[arg(long, global = true, value_name = "CONTEXT")]
    pub context: Option<String>,

    /// File with the way to the cluster [default: $KUBECONFIG, ~/.kube/config, or the pod's own account]
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

/// The sub-commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show a Platform as a tree: services, pods, what is wrong with them, and where everything is
    Status(ReportArgs),
    /// Print the objects that the operator would create for a file, without a cluster
    Render(ManifestArgs),
    /// Show what applying a file would change and why, which pods restart, and what data is at risk
    Plan(PlanArgs),
    /// Check everything that has to work, from names to traces, and say of each failure how to mend it
    Doctor(ReportArgs),
    /// Open a part of the Platform in the browser, through a port of this machine, until Ctrl-C
    Open(OpenArgs),
    /// Send one request through a service, and draw its trace as Jaeger stored it
    Trace(TraceArgs),
    /// Show the logs of all services in the order of time
    Logs(LogsArgs),
    /// Print the script that completes this command line in a shell
    Completion {
        /// The shell; kubectl prints the program kubectl_complete-platform, by which kubectl completes
        shell: CompletionFor,
    },
    /// Print the manual page
    Man,
    /// What kubectl_complete-platform calls
    #[command(name = "__complete", hide = true)]
    Complete {
        /// The words after `kubectl platform`, the last of which is to be completed.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<OsString>,
    },
}

/// Who completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CompletionFor {
    /// `kubectl platform …`, in any shell in which kubectl completes.
    Kubectl,
    /// `kubectl-platform …` in Bash.
    Bash,
    /// … in Elvish.
    Elvish,
    /// … in fish.
    Fish,
    /// … in `PowerShell`.
    Powershell,
    /// … in Zsh.
    Zsh,
}

impl CompletionFor {
    /// The shell; None for kubectl.
    pub fn shell(self) -> Option<Shell> {
        Some(match self {
            Self::Kubectl => return None,
            Self::Bash => Shell::Bash,
            Self::Elvish => Shell::Elvish,
            Self::Fish => Shell::Fish,
            Self::Powershell => Shell::PowerShell,
            Self::Zsh => Shell::Zsh,
        })
    }
}

/// Arguments of `status` and `doctor`.
#[derive(Args, Debug)]
pub struct ReportArgs {
    /// Name of the Platform [default: every one of the namespace]
    pub name: Option<String>,

    /// The Platforms of all namespaces, whatever --namespace says
    #[arg(short = 'A', long, conflicts_with = "name")]
    pub all_namespaces: bool,

    /// Print data for programs instead of text
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// Arguments of `plan`.
#[derive(Args, Debug)]
pub struct PlanArgs {
    /// The file, and where images come from [default: from where the operator in the cluster takes them].
    #[command(flatten)]
    pub manifest: ManifestArgs,

    /// Print data for programs instead of text
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<Format>,

    /// Whether any of the images is named by a flag or a variable.
    #[arg(skip)]
    pub has_images: bool,
}

/// A part of a Platform that can be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// The way in to all services.
    Gateway,
    /// The traces.
    Jaeger,
    /// The API documents.
    Docs,
    /// The metrics.
    Prometheus,
}

/// Arguments of `open`.
#[derive(Args, Debug)]
pub struct OpenArgs {
    /// What to open
    pub part: Part,

    /// Name of the Platform [default: the only one of the namespace]
    pub name: Option<String>,

    /// Port of this machine [default: a free one]
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub port: u16,

    /// Print the URL, and open no browser
    #[arg(long)]
    pub no_browser: bool,
}

/// Arguments of `trace`.
#[derive(Args, Debug)]
pub struct TraceArgs {
    /// Name of the service that gets the request
    pub service: String,

    /// Name of the Platform [default: the only one of the namespace]
    pub name: Option<String>,

    /// Path of the request, a GET [default: the service's API document]
    #[arg(long, value_name = "PATH", value_parser = parse_path)]
    pub path: Option<String>,

    /// How long to wait for the trace, such as 90s or 2m
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse_duration)]
    pub timeout: Duration,

    /// Print data for programs instead of text
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// Arguments of `logs`.
#[derive(Args, Debug)]
pub struct LogsArgs {
    /// Name of the Platform [default: the only one of the namespace]
    pub name: Option<String>,

    /// Only this service; can be repeated
    #[arg(long = "service", value_name = "SERVICE")]
    pub services: Vec<String>,

    /// Only lines of the trace with this id
    #[arg(long, value_name = "ID", value_parser = parse_trace_id)]
    pub trace: Option<String>,

    /// Go on with lines as they are written, until Ctrl-C
    #[arg(short, long)]
    pub follow: bool,

    /// How far back to begin, such as 30s, 10m or 2h
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = parse_duration)]
    pub since: Duration,
}

impl Cli {
    /// The command line of this process; where it is wrong, says so and ends.
    pub fn from_environment() -> Self {
        let matches = Self::command().get_matches();
        let mut cli = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        if let (Command::Plan(plan), Some(("plan", matches))) = (&mut cli.command, matches.subcommand()) {
            plan.has_images = has_images(matches);
        }
        cli
    }
}

fn has_images(matches: &ArgMatches) -> bool {
    let images = SettingsArgs::augment_args(clap::Command::new("images"));
    images
        .get_arguments()
        .filter_map(|image| matches.value_source(image.get_id().as_str()))
        .any(|source| source != ValueSource::DefaultValue)
}

fn parse_duration(text: &str) -> Result<Duration> {
    let duration: SignedDuration = text
        .parse()
        .ok()
        .context("it must be a number with a unit, such as 30s, 10m or 2h")?;
    Duration::try_from(duration).context("it must not be negative")
}

fn parse_path(text: &str) -> Result<String, &'static str> {
    if text.starts_with('/') {
        Ok(text.to_owned())
    } else {
        Err("it must begin with /")
    }
}

fn parse_trace_id(text: &str) -> Result<String, &'static str> {
    if text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("it must be 32 hexadecimal digits, as in trace_id of a log line or in Jaeger's URL")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_is_wrong_is_said_with_what_is_allowed() {
        let refusal = |arguments: &[&str]| {
            let words = [&["kubectl-platform"], arguments].concat();
            Cli::try_parse_from(words).unwrap_err().to_string()
        };
        assert!(refusal(&["logs", "--since", "soon"]).contains("such as 30s, 10m or 2h"));
        assert!(refusal(&["logs", "--trace", "abc"]).contains("32 hexadecimal digits"));
        assert!(refusal(&["trace", "auth", "--path", "x"]).contains("must begin with /"));
        assert!(refusal(&["open", "grafana"]).contains("gateway, jaeger, docs, prometheus"));
        assert!(refusal(&["status", "demo", "-A"]).contains("cannot be used with"));
    }

    #[test]
    fn images_of_flags_are_told_from_defaults() {
        let has = |arguments: &[&str]| {
            let words = [&["kubectl-platform", "plan", "-f", "x"], arguments].concat();
            let matches = Cli::command().try_get_matches_from(words).unwrap();
            has_images(matches.subcommand().unwrap().1)
        };
        assert!(!has(&[]));
        assert!(has(&["--collector-image", "c:1"]));
    }
}
