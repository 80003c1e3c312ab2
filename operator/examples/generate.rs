//! Prints one of the files that are generated from the operator's types and tables; `cargo xtask codegen` writes them.

use clap::{Parser, ValueEnum};
use kube::CustomResourceExt as _;
use platform_core::api::Platform;
use platform_operator::permissions::permissions;
use serde_json::{Value, json};

/// What helm fills in.
const FULL_NAME: &str = r#"{{ include "tracewell.fullname" . }}"#;
const LABELS: &str = r#"{{- include "tracewell.labels" . | nindent 4 }}"#;

#[derive(Parser)]
struct Arguments {
    artifact: Artifact,
}

#[derive(Clone, ValueEnum)]
enum Artifact {
    /// The CRD.
    Crd,
    /// The CRD as a template of the chart.
    ChartCrd,
    /// The operator's `ClusterRole` as a template of the chart.
    ChartRole,
}

fn main() -> anyhow::Result<()> {
    let text = match Arguments::parse().artifact {
        Artifact::Crd => format!("{}{}", header("#", ""), yaml(&Platform::crd())?),
        Artifact::ChartCrd => chart_crd()?,
        Artifact::ChartRole => chart_role()?,
    };
    print!("{text}");
    Ok(())
}

fn header(open: &str, close: &str) -> String {
    format!("{open} Generated from the operator's types by `cargo xtask codegen`. Do not edit.{close}\n")
}

fn chart_crd() -> anyhow::Result<String> {
    let mut crd = serde_json::to_value(Platform::crd())?;
    // Without this, `helm uninstall` would delete every Platform together with the CRD.
    crd["metadata"]["annotations"] = json!({"helm.sh/resource-policy": "keep"});
    let escaped = yaml(&crd)?;
    anyhow::ensure!(
        !escaped.contains("{{"),
        "the CRD holds what helm takes for a template"
    );
    Ok(format!(
        "{}{{{{- if .Values.crds.install }}}}\n{escaped}{{{{- end }}}}\n",
        header("{{- /*", " */}}")
    ))
}

fn chart_role() -> anyhow::Result<String> {
    let rules: Vec<Value> = permissions()
        .into_iter()
        .map(|permission| {
            json!({"apiGroups": [permission.group], "resources": [permission.resource], "verbs": permission.verbs})
        })
        .collect();
    Ok(format!(
        "{}apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: {FULL_NAME}\n  labels: {LABELS}\n{}",
        header("#", ""),
        yaml(&json!({"rules": rules}))?
    ))
}

fn yaml(value: &impl serde::Serialize) -> anyhow::Result<String> {
    Ok(serde_saphyr::to_string(value)?)
}
