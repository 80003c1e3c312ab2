//! The project's own tasks. `make help` lists the ones that people call; each is a thin alias of a sub-command here.

use std::process::ExitCode;

use clap::Parser;

mod assets;
mod cache;
mod cluster;
mod codegen;
mod dev;
mod disk;
mod machine;
mod packages;
mod programs;
mod steps;
mod verify;

#[derive(Parser)]
#[command(about, disable_help_subcommand = true)]
enum Task {
    /// Create the kind cluster, build everything, install Tracewell, apply examples/demo.yaml, print the URLs.
    Up,
    /// Remove the kind cluster.
    Down,
    /// Do all the set-up and run every test, from laws to journeys on kind.
    Test(verify::TestArgs),
    /// Install what the tests start besides our own programs, and print the folder that `TRACEWELL_ASSETS` names.
    Assets,
    /// Run the four services on this machine, without Kubernetes.
    Dev,
    /// Formatting, clippy, licences, generated files.
    Lint,
    /// Measure the figures of docs/benchmarks.md.
    Bench(verify::BenchArgs),
    /// Write the generated files again, or with --check fail where one differs.
    Codegen(codegen::CodegenArgs),
    /// Remove the tools and images that were built outside the tree.
    CleanCache,
}

fn main() -> ExitCode {
    let outcome = match Task::parse() {
        Task::Up => cluster::up(),
        Task::Down => cluster::down(),
        Task::Test(args) => verify::test(&args),
        Task::Assets => verify::assets(),
        Task::Dev => dev::dev(),
        Task::Lint => verify::lint(),
        Task::Bench(args) => verify::bench(&args),
        Task::Codegen(args) => codegen::codegen(&args),
        Task::CleanCache => cluster::clean_cache(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
