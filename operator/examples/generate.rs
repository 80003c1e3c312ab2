//! Prints one of the files that are generated from the operator's types and tables; `cargo xtask codegen` writes them.

use std::fmt::Write as _;

use clap::{Parser, ValueEnum};
use kube::CustomResourceExt as _;
use platform_core::api::Platform;
use platform_operator::permissions::{Permission, lease_permissions, permissions, secret_permissions};
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
    /// The reference of every field.
    Reference,
    /// The operator's roles as a template of the chart.
    ChartRoles,
}

fn main() -> anyhow::Result<()> {
    let text = match Arguments::parse().artifact {
        Artifact::Crd => format!("{}{}", header("#", ""), yaml(&Platform::crd())?),
        Artifact::ChartCrd => chart_crd()?,
        Artifact::Reference => reference()?,
        Artifact::ChartRoles => chart_roles()?,
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

const REFERENCE_HEAD: &str = "# Every field of a Platform
`tracewell.dev/v1alpha1`, kind `Platform`. This page is written from the operator's types by `cargo xtask codegen`. What stands
in the column *rules* is held by the API server, as are the rules below the table, each with the sentence that it refuses with.

## What you write
";

const STATUS_HEAD: &str = "
## What the operator answers
The operator alone writes it. [reasons.md](reasons.md) has the reasons of the conditions.

";

const COLUMNS_HEAD: &str = "
## What `kubectl get platforms` prints
| column | where it is taken from | with | what it is |
|---|---|---|---|
";

const FIELDS_HEAD: &str = "| field | type | default | rules | what it is |
|---|---|---|---|---|
";

/// The page of every field, of the rules across fields, and of the columns.
fn reference() -> anyhow::Result<String> {
    let crd = serde_json::to_value(Platform::crd())?;
    let version = &crd["spec"]["versions"][0];
    let schema = &version["schema"]["openAPIV3Schema"];
    let mut page = format!("{REFERENCE_HEAD}{FIELDS_HEAD}");
    let mut rules = vec![String::new()];
    collect(&schema["properties"]["spec"], "spec", &mut page, &mut rules);
    rules.extend(messages(schema).map(|message| format!("- `metadata`: {message}\n")));
    rules.sort();
    page.push_str("\n## Rules across fields\n");
    page.extend(rules);
    page.push_str(STATUS_HEAD);
    page.push_str(FIELDS_HEAD);
    collect(
        &schema["properties"]["status"],
        "status",
        &mut page,
        &mut Vec::new(),
    );
    page.push_str(COLUMNS_HEAD);
    page.extend(columns(version));
    Ok(page)
}

/// A row for each column that kubectl prints.
fn columns(version: &Value) -> impl Iterator<Item = String> {
    let columns = version["additionalPrinterColumns"].as_array();
    columns.into_iter().flatten().map(|column| {
        let text = |field: &str| column[field].as_str().unwrap_or_default();
        let with = if column["priority"] == 1 { "`-o wide`" } else { "" };
        format!(
            "| {} | `{}` | {with} | {} |\n",
            text("name"),
            text("jsonPath"),
            text("description")
        )
    })
}

fn collect(schema: &Value, path: &str, page: &mut String, rules: &mut Vec<String>) {
    rules.extend(messages(schema).map(|message| format!("- `{path}`: {message}\n")));
    if path.contains('.') {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let default = match &schema["default"] {
            Value::Null => String::new(),
            value => format!("`{}`", text(value)),
        };
        let description = text(&schema["description"]).replace(['\n', '|'], " ");
        // Writing into a String cannot fail.
        let _ = writeln!(
            page,
            "| `{path}` | {} | {default} | {} | {description} |",
            text(&schema["type"]),
            bounds(schema)
        );
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        collect(field, &format!("{path}.{name}"), page, rules);
    }
    if schema["items"]["properties"].is_object() {
        rules.extend(messages(&schema["items"]).map(|message| format!("- `{path}[]`: {message}\n")));
        for (name, field) in schema["items"]["properties"].as_object().into_iter().flatten() {
            collect(field, &format!("{path}[].{name}"), page, rules);
        }
    }
}

/// The sentences of a schema's rules across fields.
fn messages(schema: &Value) -> impl Iterator<Item = &str> {
    let rules = schema["x-kubernetes-validations"].as_array();
    rules
        .into_iter()
        .flatten()
        .filter_map(|rule| rule["message"].as_str())
}

/// The bounds of one field, for a reader.
fn bounds(schema: &Value) -> String {
    let range = |least: &str, most: &str, what: &str| match (&schema[least], &schema[most]) {
        (Value::Null, Value::Null) => None,
        (Value::Null, most) => Some(format!("at most {most}{what}")),
        (least, Value::Null) => Some(format!("at least {least}{what}")),
        (least, most) => Some(format!("{least} to {most}{what}")),
    };
    let choices = schema["enum"].as_array().map(|values| {
        let names: Vec<_> = values.iter().filter_map(Value::as_str).collect();
        format!("one of {}", names.join(", "))
    });
    let pattern = schema["pattern"]
        .as_str()
        .map(|pattern| format!("`{}`", pattern.replace('|', "\\|")));
    [
        range("minimum", "maximum", ""),
        range("minLength", "maxLength", " characters"),
        range("minItems", "maxItems", " entries"),
        choices,
        pattern,
    ]
    .into_iter()
    .flatten()
    .collect::<Vec<_>>()
    .join("; ")
}

/// The head of a role that is there once, or in the release's namespace alone.
const SCOPED_HEAD: &str = r#"apiVersion: rbac.authorization.k8s.io/v1
kind: {{ include "tracewell.roleKind" . }}
metadata:
  {{- if eq .Values.scope "Namespace" }}
  namespace: {{ .Release.Namespace }}
  {{- end }}
"#;

/// The head of the role for the Lease.
const LEASE_HEAD: &str = "apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  namespace: {{ .Release.Namespace }}
";

fn chart_roles() -> anyhow::Result<String> {
    let grant = |permission: &Permission| json!({"apiGroups": [permission.group], "resources": [permission.resource], "verbs": permission.verbs});
    let every: Vec<Value> = permissions().iter().map(grant).collect();
    let [own, any] = lease_permissions();
    let mut own = grant(&own);
    own["resourceNames"] = json!(["FULL_NAME"]);
    let role = |head: &str, suffix: &str, rules: &[Value]| {
        // Helm's braces stand there as they are, without YAML's quotes.
        let rules = yaml(&json!({"rules": rules}))?.replace("FULL_NAME", FULL_NAME);
        anyhow::Ok(format!(
            "{head}  name: {FULL_NAME}{suffix}\n  labels: {LABELS}\n{rules}"
        ))
    };
    Ok(format!(
        "{}{}---\n{}---\n{}",
        header("#", ""),
        role(SCOPED_HEAD, "", &every)?,
        role(SCOPED_HEAD, "-secrets", &[grant(&secret_permissions())])?,
        role(LEASE_HEAD, "-leader", &[own, grant(&any)])?,
    ))
}

fn yaml(value: &impl serde::Serialize) -> anyhow::Result<String> {
    Ok(serde_saphyr::to_string(value)?)
}
