//! `tracewell-operator diff`: what applying a Platform would change in a cluster, and why.

use std::{collections::BTreeSet, fmt::Write as _};

use kube::ResourceExt;
use platform_core::{
    api::Platform,
    diff::{Apply, Changes, FieldChange},
    kinds::Kind,
    settings::Settings,
    step::{Input, Live, step},
};
use serde_json::Value;

use crate::{
    cluster::{Cluster, ClusterError, KubeCluster, PlatformKey},
    controller::{ReconcileError, fresh_entropy, kinds_of_objects, read_facts, read_live},
    manifest::Manifest,
    render::{RenderError, refuse_unaccepted},
};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// The API server would refuse the Platform, or does not answer.
    #[error("the API server does not take the Platform")]
    Refused(#[source] ClusterError),
    /// The Platform asks for something that cannot be built.
    #[error(transparent)]
    NotAccepted(#[from] RenderError),
    /// The cluster cannot be read.
    #[error(transparent)]
    Read(#[from] ReconcileError),
}

/// What the cluster has, and what would be changed about it.
#[derive(Debug)]
pub struct Comparison {
    /// The Platform as the API server would store it, with the status that it has.
    pub platform: Platform,
    /// The objects and pods as they are.
    pub live: Live,
    /// The changes that would follow.
    pub changes: Changes,
}

/// The changes that applying the manifest would lead to; `namespace` where it names none itself. Nothing is written.
pub async fn diff(
    cluster: &KubeCluster,
    manifest: &Manifest,
    namespace: &str,
    settings: &Settings,
) -> Result<Comparison, DiffError> {
    let key = PlatformKey::new(
        manifest
            .platform
            .namespace()
            .unwrap_or_else(|| namespace.to_owned()),
        manifest.platform.name_any(),
    );
    let platform = cluster
        .dry_run(&key, &manifest.written)
        .await
        .map_err(DiffError::Refused)?;
    let kinds = cluster.known_kinds().await.map_err(DiffError::Refused)?;
    compare(cluster, platform, &kinds, settings).await
}

/// The changes that this Platform leads to in a cluster that knows these kinds of others' CRDs.
pub async fn compare<C: Cluster>(
    cluster: &C,
    platform: Platform,
    kinds: &BTreeSet<Kind>,
    settings: &Settings,
) -> Result<Comparison, DiffError> {
    let facts = read_facts(cluster, &platform, kinds).await?;
    let all = kinds_of_objects(kinds).collect();
    let live = read_live(cluster, &platform, Live::default(), &all).await?;
    let now = jiff::Timestamp::now();
    let output = step(Input {
        platform: &platform,
        live: &live,
        facts: &facts,
        settings,
        now,
        entropy: fresh_entropy().map_err(ReconcileError::NoEntropy)?,
        trace_id: None,
        last_apply: None,
    });
    refuse_unaccepted(&output)?;
    Ok(Comparison {
        platform,
        live,
        changes: output.changes,
    })
}

/// The changes for a reader: an object per paragraph, then a line that counts.
pub fn explain(changes: &Changes) -> String {
    let mut text = String::new();
    let now = changes.waves.iter().flat_map(|wave| &wave.applies);
    let later = changes.held.iter().map(|held| &held.apply);
    let applies: Vec<_> = now.chain(later).collect();
    for apply in &applies {
        explain_apply(&mut text, apply);
    }
    for held in &changes.held {
        line(
            &mut text,
            format_args!("  {} is applied later: {}", held.apply.key, held.cause.message),
        );
    }
    for prune in &changes.prunes {
        line(&mut text, format_args!("- {}: {}", prune.key, prune.reason));
    }
    let created = applies.iter().filter(|apply| apply.cause.is_creation()).count();
    line(
        &mut text,
        format_args!(
            "{} to create, {} to update, {} to delete, {} unchanged",
            created,
            applies.len() - created,
            changes.prunes.len(),
            changes.kept
        ),
    );
    text
}

fn explain_apply(text: &mut String, apply: &Apply) {
    let sign = if apply.cause.is_creation() { '+' } else { '~' };
    line(text, format_args!("{sign} {}: {}", apply.key, apply.reason()));
    for field in &apply.fields {
        text.push_str(&explain_field(field));
    }
}

/// A field with what it was and what it will be.
pub fn explain_field(field: &FieldChange) -> String {
    let FieldChange { path, from, to } = field;
    let mut text = format!("    {path}\n");
    if let Some(from) = from {
        explain_value(&mut text, '-', from);
    }
    explain_value(&mut text, '+', to);
    text
}

/// A value over as many lines as it has, so that a changed configuration file can be read.
fn explain_value(text: &mut String, sign: char, value: &Value) {
    let written = match value {
        Value::String(string) => string.clone(),
        other => other.to_string(),
    };
    for written_line in written.lines() {
        line(text, format_args!("      {sign} {written_line}"));
    }
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing into a String cannot fail.
    let _ = writeln!(text, "{arguments}");
}
