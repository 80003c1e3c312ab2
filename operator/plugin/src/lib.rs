//! `kubectl platform`: a Platform as a person wants to see it, and the operator's own library on a person's machine.
//!
//! What is to be said is decided by pure functions, each with tests; the rest carries requests.
//!
//! | module | pure | what it does |
//! |---|---|---|
//! | [`status`] | `report` | the tree of a Platform, its services and pods |
//! | [`plan`] | `assess` | what applying a file would change, restart and put at risk |
//! | [`doctor`] | `checks` | one pass over everything that has to work, with a fix for each failure |
//! | [`trace`] | `waterfall` | one request, and its trace as Jaeger stored it |
//! | [`logs`] | `line`, `merge` | the lines of all pods in one order |
//! | [`browse`] | | a part of the Platform in the browser |
//! | [`connection`], [`reach`], [`forward`] | | the way to the API server, and through it to pods |
//! | [`cli`], [`shell`], [`output`], [`paint`], [`tree`] | | the command line, and what it prints |

pub mod advice;
pub mod browse;
pub mod cli;
pub mod connection;
pub mod doctor;
pub mod forward;
pub mod logs;
pub mod output;
pub mod paint;
pub mod plan;
pub mod reach;
pub mod shell;
pub mod status;
pub mod trace;
pub mod tree;

use anyhow::Result;

use self::{
    cli::{Cli, Command},
    connection::Connection,
    output::{Outcome, print},
};

/// Carries out a command.
pub async fn run(cli: Cli) -> Result<Outcome> {
    let connect = || Connection::open(&cli.cluster);
    match &cli.command {
        Command::Status(arguments) => status::run(&connect().await?, arguments).await,
        Command::Render(arguments) => print(&plan::render(arguments)?).map(|()| Outcome::Well),
        Command::Plan(arguments) => plan::run(&connect().await?, arguments).await,
        Command::Doctor(arguments) => Box::pin(doctor::run(&connect().await?, arguments)).await,
        Command::Open(arguments) => browse::run(&connect().await?, arguments).await,
        Command::Trace(arguments) => trace::run(&connect().await?, arguments).await,
        Command::Logs(arguments) => logs::run(&connect().await?, arguments).await,
        Command::Completion { shell } => print(&shell::completion(*shell)).map(|()| Outcome::Well),
        Command::Man => print(&shell::manual()?).map(|()| Outcome::Well),
        Command::Complete { words } => print(&shell::complete(words)?).map(|()| Outcome::Well),
    }
}
