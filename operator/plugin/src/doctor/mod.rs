//! `doctor`: one pass over everything that has to work.

mod check;
mod checks;
mod collect;
mod dns;
mod telemetry;

use anyhow::Result;
use jiff::Timestamp;
use kube::ResourceExt as _;
use serde::Serialize;

use self::collect::collect;
pub use self::{
    check::{Check, Verdict},
    checks::examine,
    collect::{Answer, Seen, SeenService},
};
use crate::{
    cli::ReportArgs,
    connection::Connection,
    output::{Outcome, awaiting, tell},
    paint::{BOLD, paint},
};

/// The checks of a Platform.
#[derive(Clone, Debug, Serialize)]
pub struct Diagnosis {
    /// Namespace of the Platform.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What was checked, in the order of a request's way.
    pub checks: Vec<Check>,
}

/// Examines every Platform that the arguments mean.
pub async fn run(connection: &Connection, arguments: &ReportArgs) -> Result<Outcome> {
    let mut diagnoses = Vec::new();
    for platform in connection.platforms(arguments).await? {
        let (namespace, name) = (platform.namespace().unwrap_or_default(), platform.name_any());
        let progress = awaiting(format!(
            "{namespace}/{name}: services, traces, metrics and documents are asked for"
        ));
        let seen = collect(connection, platform).await?;
        progress.finish_and_clear();
        diagnoses.push(Diagnosis {
            namespace,
            name,
            checks: examine(&seen, Timestamp::now()),
        });
    }
    let draw = |diagnoses: &Vec<Diagnosis>| diagnoses.iter().map(Diagnosis::draw).collect();
    tell(arguments.output, &diagnoses, draw)?;
    Ok(diagnoses.iter().all(Diagnosis::is_well).into())
}

impl Diagnosis {
    /// Whether no check failed.
    pub fn is_well(&self) -> bool {
        !self
            .checks
            .iter()
            .any(|check| matches!(check.verdict, Verdict::Failed { .. }))
    }

    /// A line for each check, then one that counts.
    pub fn draw(&self) -> String {
        let lines: String = self.checks.iter().map(Check::draw).collect();
        let count = |is: fn(&Verdict) -> bool| self.checks.iter().filter(|check| is(&check.verdict)).count();
        format!(
            "{}\n{lines}{} ok, {} failed, {} not checked\n",
            paint(BOLD, format!("{}/{}", self.namespace, self.name)),
            count(|verdict| matches!(verdict, Verdict::Ok { .. })),
            count(|verdict| matches!(verdict, Verdict::Failed { .. })),
            count(|verdict| matches!(verdict, Verdict::Skipped { .. })),
        )
    }
}
