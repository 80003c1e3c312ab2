//! Bounds, patterns and choices: the API server and `lint` refuse the same values.

use std::collections::BTreeMap;

use futures::{StreamExt as _, stream};
use kube::api::{Patch, PatchParams};
use platform_testkit::{example, examples};
use serde_json::{Map, Value, json};

use super::{
    cases::all_cases,
    lint,
    specs::{collector, errors, metrics, prometheus, service, stored},
};
use crate::fixture::{World, manifest, world};

/// Requests at a time.
const AT_A_TIME: usize = 8;

/// A spec that is out of bounds, what the API server says of it, and the field that `lint` names.
type Bound = (Value, &'static str, &'static str);

fn exporting(exporters: &[(&str, &str)]) -> Value {
    let exporter = |(name, endpoint): &(&str, &str)| json!({"name": name, "endpoint": endpoint});
    json!({"telemetry": {"tracing": {"exporters": exporters.iter().map(exporter).collect::<Vec<_>>()}}})
}

fn postgres(postgres: &Value) -> Value {
    json!({"database": {"type": "Postgres", "postgres": postgres}})
}

fn telemetry_bounds() -> Vec<Bound> {
    let managed = |managed: Value| json!({"telemetry": {"tracing": {"jaeger": {"managed": managed}}}});
    let endpoint = "https://otlp.example:4318";
    vec![
        (
            json!({"telemetry": {"tracing": {"samplingPercent": 101}}}),
            "less than or equal to 100",
            "spec.telemetry.tracing.samplingPercent",
        ),
        (
            collector(&json!({"mode": "Sideway"})),
            "\"Sidecar\", \"Gateway\", \"None\"",
            "spec.telemetry.collector.mode",
        ),
        (
            collector(&json!({"mode": "Gateway", "gateway": {"replicas": 11}})),
            "less than or equal to 10",
            "spec.telemetry.collector.gateway.replicas",
        ),
        (
            managed(json!({"storage": {"memory": {"maxTraces": 1}}})),
            "greater than or equal to",
            "spec.telemetry.tracing.jaeger.managed.storage.memory.maxTraces",
        ),
        (
            exporting(&[("a", endpoint), ("a", endpoint)]),
            "duplicate entries for key",
            "spec.telemetry.tracing.exporters[a]",
        ),
        (
            exporting(&[("a", "otlp.example:4318")]),
            "should match '^https?://",
            "spec.telemetry.tracing.exporters[a].endpoint",
        ),
        (
            exporting(&[("a", "https://user:word@otlp.example:4318")]),
            "should match '^https?://",
            "spec.telemetry.tracing.exporters[a].endpoint",
        ),
        (
            errors(&json!({"tracesSamplePercent": 101})),
            "less than or equal to 100",
            "spec.telemetry.errors.tracesSamplePercent",
        ),
        (
            errors(&json!({"profilesSamplePercent": -1})),
            "greater than or equal to 0",
            "spec.telemetry.errors.profilesSamplePercent",
        ),
        (
            errors(&json!({"environment": "a,b"})),
            "should match '^[A-Za-z0-9]",
            "spec.telemetry.errors.environment",
        ),
        (
            errors(&json!({"uiURL": "sentry.example.com"})),
            "should match '^https?://",
            "spec.telemetry.errors.uiURL",
        ),
        (
            errors(&json!({"uiURL": "https://ada:word@sentry.example.com"})),
            "should match '^https?://",
            "spec.telemetry.errors.uiURL",
        ),
        (
            errors(&json!({"debugEndpoints": "Yes"})),
            "\"Disabled\", \"Enabled\"",
            "spec.telemetry.errors.debugEndpoints",
        ),
        (
            errors(&json!({"dsnSecretRef": {"name": "sentry"}})),
            "dsnSecretRef.key: Required value",
            "spec.telemetry.errors.dsnSecretRef.key",
        ),
        (
            prometheus(&json!({"type": "Managed", "managed": {"retentionHours": 0}})),
            "greater than or equal to 1",
            "spec.telemetry.metrics.prometheus.managed.retentionHours",
        ),
        (
            stored("0Gi"),
            "should match '^[1-9]",
            "spec.telemetry.metrics.prometheus.managed.storage.volume.size",
        ),
        (
            metrics(&json!({"discovery": "ServiceMonitor"})),
            "\"Auto\", \"PodMonitor\", \"Annotations\", \"None\"",
            "spec.telemetry.metrics.discovery",
        ),
        (
            metrics(&json!({"dashboards": "Yes"})),
            "\"ConfigMap\", \"Disabled\"",
            "spec.telemetry.metrics.dashboards",
        ),
        (
            prometheus(&json!({"type": "External", "external": {"url": "prometheus:9090"}})),
            "should match '^https?://",
            "spec.telemetry.metrics.prometheus.external.url",
        ),
    ]
}

fn platform_bounds() -> Vec<Bound> {
    let many: Vec<_> = (0..40)
        .map(|number| json!({"name": format!("s{number}"), "image": "s:1", "port": 80}))
        .collect();
    let ingress = |host: &str| json!({"exposure": {"type": "Ingress", "ingress": {"host": host}}});
    vec![
        (json!({"services": []}), "at least 1 items", "spec.services"),
        (json!({"services": many}), "at most 32 items", "spec.services"),
        (
            json!({"services": [{"name": "auth"}, {"name": "auth"}]}),
            "duplicate entries for key",
            "spec.services[auth]",
        ),
        (
            service(json!({"image": "shop 1"})),
            "should match '^[^\\s]+$'",
            "spec.services[shop].image",
        ),
        (
            service(json!({"probes": {"livenessPath": "healthz"}})),
            "should match '^/",
            "spec.services[shop].probes.livenessPath",
        ),
        (
            json!({"exposure": {"type": "NodePort", "nodePort": {"gateway": 80}}}),
            "greater than or equal to 30000",
            "spec.exposure.nodePort.gateway",
        ),
        (
            ingress("Shop_1.example"),
            "should match '^[a-z0-9]",
            "spec.exposure.ingress.host",
        ),
        (
            json!({"database": {"type": "Oracle"}}),
            "\"Embedded\", \"Postgres\", \"External\"",
            "spec.database.type",
        ),
        (
            json!({"deletionPolicy": "Keep"}),
            "\"Delete\", \"RetainStorage\"",
            "spec.deletionPolicy",
        ),
        (
            postgres(&json!({"storage": {"size": "big"}})),
            "should match '^[0-9]+",
            "spec.database.postgres.storage.size",
        ),
        (
            postgres(&json!({"backup": {"schedule": "at night"}})),
            "should match",
            "spec.database.postgres.backup.schedule",
        ),
        (
            postgres(&json!({"backup": {"retainCount": 0}})),
            "greater than or equal to 1",
            "spec.database.postgres.backup.retainCount",
        ),
        (
            json!({"services": [{"name": "auth", "migrations": {"args": ["x"], "deadlineSeconds": 9}}]}),
            "greater than or equal to 10",
            "spec.services[auth].migrations.deadlineSeconds",
        ),
        (
            json!({"colour": "red"}),
            "field not declared in schema",
            "spec.colour",
        ),
    ]
}

#[tokio::test]
async fn bounds_and_enums_are_refused_with_what_is_allowed() {
    let Some(world) = world("bounds").await else {
        return;
    };
    for (spec, allowed, field) in telemetry_bounds().into_iter().chain(platform_bounds()) {
        let told = lint(&spec);
        let is_named = |told: &String| told.starts_with(&format!("{field}: "));
        assert!(
            told.len() == 1 && is_named(&told[0]),
            "{told:?}\nshould name\n{field}"
        );
        let refusal = world.try_apply("bad", spec).await.expect_err(allowed).to_string();
        assert!(refusal.contains(allowed), "{refusal}\nshould say\n{allowed}");
    }
}

/// Values that are odd in the place of this one.
fn odd_values(value: &Value) -> Vec<Value> {
    match value {
        Value::Number(_) => [-1_i64, 0, 1, 101, 70_000, 1_i64 << 40]
            .map(Value::from)
            .into_iter()
            .chain([json!(1.5), json!("7")])
            .collect(),
        Value::String(_) => [
            "",
            "A b",
            "a\u{a0}b",
            "a_b",
            "-a",
            "127Mi",
            "http://x/?y",
            "Nonesuch",
            "a\nb",
        ]
        .map(Value::from)
        .into_iter()
        .chain([json!("a".repeat(64)), json!("é".repeat(300)), json!(7)])
        .collect(),
        Value::Array(items) => {
            let first = items.first().cloned().unwrap_or_default();
            vec![
                json!([null]),
                json!([first.clone(), first.clone()]),
                json!(vec![first; 70]),
                json!({}),
            ]
        }
        Value::Object(fields) => {
            let mut more = fields.clone();
            more.insert("colour".to_owned(), json!("red"));
            vec![json!({}), json!(more), json!([])]
        }
        Value::Bool(_) | Value::Null => vec![json!("a")],
    }
}

/// The specs in which one value is odd, or left out, or null; by the name of its field, once for each.
fn collect_odd(spec: &Value, pointer: &str, field: &str, odd: &mut BTreeMap<String, Vec<Value>>) {
    let value = spec.pointer(pointer).cloned().unwrap_or_default();
    if !pointer.is_empty() && !odd.contains_key(field) {
        let replaced = odd_values(&value).into_iter().chain([Value::Null]);
        let with = |value: Value| {
            let mut spec = spec.clone();
            if let Some(place) = spec.pointer_mut(pointer) {
                *place = value;
            }
            spec
        };
        odd.insert(field.to_owned(), replaced.map(with).collect());
    }
    match &value {
        Value::Object(fields) => {
            for name in fields.keys() {
                let left_out = format!("{field}.{name} left out");
                odd.entry(left_out).or_insert_with(|| {
                    let mut spec = spec.clone();
                    let fields = spec.pointer_mut(pointer).and_then(Value::as_object_mut);
                    fields.map(|fields: &mut Map<_, _>| fields.remove(name));
                    vec![spec]
                });
                collect_odd(
                    spec,
                    &format!("{pointer}/{name}"),
                    &format!("{field}.{name}"),
                    odd,
                );
            }
        }
        Value::Array(items) => {
            for index in 0..items.len() {
                collect_odd(spec, &format!("{pointer}/{index}"), &format!("{field}[]"), odd);
            }
        }
        _ => {}
    }
}

/// What the API server says of a spec; nothing is stored.
async fn refusal(world: &World, spec: &Value) -> Option<String> {
    let params = PatchParams::apply("kubectl").dry_run().validation_strict();
    let body = manifest(&world.namespace, "odd", spec);
    match world
        .platforms()
        .patch("odd", &params, &Patch::Apply(&body))
        .await
    {
        Err(kube::Error::Api(status)) => Some(status.message.clone()),
        answer => {
            answer.unwrap();
            None
        }
    }
}

#[tokio::test]
async fn lint_refuses_what_the_api_server_refuses_and_nothing_else() {
    let Some(world) = world("agreement").await else {
        return;
    };
    let shown = examples().into_iter().map(|name| json!(example(&name).spec));
    let mut odd = BTreeMap::new();
    for spec in shown.chain(all_cases().map(|case| case.2)) {
        collect_odd(&spec, "", "spec", &mut odd);
    }
    let specs: Vec<_> = odd
        .iter()
        .flat_map(|(field, specs)| specs.iter().map(move |spec| (field, spec)))
        .collect();
    assert!(specs.len() > 1000, "{} odd specs are too few", specs.len());
    let disagreements: Vec<_> = stream::iter(&specs)
        .map(async |(field, spec)| {
            let (local, remote) = (lint(spec), refusal(&world, spec).await);
            (local.is_empty() != remote.is_none())
                .then(|| format!("{field}: lint says {local:?}, the API server {remote:?} of {spec}"))
        })
        .buffer_unordered(AT_A_TIME)
        .filter_map(async |disagreement| disagreement)
        .collect()
        .await;
    assert!(
        disagreements.is_empty(),
        "{} of {}:\n{}",
        disagreements.len(),
        specs.len(),
        disagreements.join("\n")
    );
}
