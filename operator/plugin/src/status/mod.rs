//! `status`: Platforms as trees.

mod draw;
mod report;

use anyhow::Result;
use jiff::Timestamp;
use platform_core::api::Platform;

pub use self::report::{
    CauseReport, ConditionReport, Place, PlatformReport, PodReport, WorkloadReport, report,
};
use crate::{
    cli::ReportArgs,
    connection::Connection,
    output::{Outcome, tell},
};

/// Shows every Platform that the arguments mean.
pub async fn run(connection: &Connection, arguments: &ReportArgs) -> Result<Outcome> {
    let platforms: Vec<Platform> = connection.platforms(arguments).await?;
    let mut reports = Vec::new();
    for platform in &platforms {
        let pods = connection.pods(platform).await?;
        reports.push(report(platform, &pods, Timestamp::now()));
    }
    let trees = |reports: &Vec<PlatformReport>| -> String {
        let trees: Vec<_> = reports.iter().map(PlatformReport::draw).collect();
        trees.join("\n")
    };
    tell(arguments.output, &reports, trees)?;
    Ok(reports.iter().all(|report| report.ready).into())
}
