//! The CRD: it is accepted, it fills in defaults, and each of its rules refuses what it should with a sentence that
//! says what is allowed.

use std::collections::BTreeSet;

use kube::{CustomResourceExt as _, api::DeleteParams};
use platform_core::{api::Platform, resolve::resolve, step::Facts};
use serde_json::{Value, json};

use crate::fixture::{settings, world};

/// A spec that breaks a rule, the beginning of the rule's message, and a twin that keeps the rule.
type Case = (Value, &'static str, Value);

/// A Platform with one service of somebody else's.
fn service(mut service: Value) -> Value {
    for (field, value) in [
        ("name", json!("shop")),
        ("image", json!("shop:1")),
        ("port", json!(8080)),
    ] {
        if service[field].is_null() {
            service[field] = value;
        }
    }
    json!({"services": [service]})
}

fn jaeger(jaeger: &Value) -> Value {
    json!({"telemetry": {"tracing": {"jaeger": jaeger}}})
}

fn direct(endpoint: &str) -> Value {
    json!({"telemetry": {
        "collector": {"mode": "None"},
        "tracing": {"jaeger": {"type": "External", "external": {"endpoint": endpoint}}},
    }})
}

fn metrics(metrics: &Value) -> Value {
    json!({"telemetry": {"metrics": metrics}})
}

fn prometheus(prometheus: &Value) -> Value {
    metrics(&json!({"prometheus": prometheus}))
}

/// A managed Prometheus with a volume of this size.
fn stored(size: &str) -> Value {
    prometheus(
        &json!({"type": "Managed", "managed": {"storage": {"type": "Volume", "volume": {"size": size}}}}),
    )
}

fn monitor(prometheus: &Value) -> Value {
    json!({"telemetry": {
        "tracing": {"jaeger": {"managed": {"monitor": "Enabled"}}},
        "metrics": {"prometheus": prometheus},
    }})
}

fn errors(errors: &Value) -> Value {
    json!({"telemetry": {"errors": errors}})
}

fn variable(variable: &Value) -> Value {
    service(json!({"env": [variable]}))
}

fn resources(requests: &Value, limits: &Value) -> Value {
    service(json!({"resources": {"requests": requests, "limits": limits}}))
}

/// Rules about one service.
fn service_cases() -> Vec<Case> {
    let key = json!({"name": "n", "key": "k"});
    vec![
        (
            json!({"services": [{"name": "shop"}]}),
            "image and port are required for a service that is not one of gateway, auth, chat, billing",
            json!({"services": [{"name": "auth"}]}),
        ),
        (
            service(json!({"name": "jaeger"})),
            "name must not be jaeger, jaeger-query, collector",
            service(json!({"name": "jaegers"})),
        ),
        (
            service(json!({"dependsOn": ["shop"]})),
            "dependsOn must not name the service itself",
            service(json!({"dependsOn": []})),
        ),
        (
            service(json!({"port": 9464})),
            "port must not be 4317, 4318, 8888, 9464 or 13133",
            service(json!({"port": 9465})),
        ),
        (
            service(json!({"metrics": {"port": 8080}})),
            "port and metrics.port must be different",
            service(json!({"metrics": {"port": 8081, "path": "/stats"}})),
        ),
        (
            service(json!({"metrics": {"port": 4318}})),
            "metrics.port must not be 4317, 4318, 8888 or 13133",
            service(json!({"metrics": {}})),
        ),
        (
            variable(&json!({"name": "A", "value": "a", "valueFrom": {"secretKeyRef": key}})),
            "an env entry has value or valueFrom, not both",
            variable(&json!({"name": "A", "value": "a"})),
        ),
        (
            variable(&json!({"name": "A", "valueFrom": {"secretKeyRef": key, "configMapKeyRef": key}})),
            "valueFrom has exactly one of secretKeyRef and configMapKeyRef",
            variable(&json!({"name": "A", "valueFrom": {"secretKeyRef": key}})),
        ),
        (
            resources(&json!({"cpu": "1"}), &json!({"cpu": "999m"})),
            "requests.cpu must be less than or equal to limits.cpu",
            resources(&json!({"cpu": "1"}), &json!({"cpu": "1000m"})),
        ),
        (
            resources(&json!({"memory": "1Gi"}), &json!({"memory": "1G"})),
            "requests.memory must be less than or equal to limits.memory",
            resources(&json!({"memory": "1G"}), &json!({"memory": "1Gi"})),
        ),
        (
            service(json!({"route": {"pathPrefix": "/v1"}})),
            "pathPrefix must not be /v1, /api-docs, /debug, /health, /healthz, /metrics or /readyz",
            service(json!({"route": {"pathPrefix": "/v2"}})),
        ),
    ]
}

fn collector(collector: &Value) -> Value {
    json!({"telemetry": {"collector": collector}})
}

fn exporters(mode: &str, jaeger: &Value) -> Value {
    let exporters = json!([{"name": "vendor", "endpoint": "https://otlp.example:4318"}]);
    json!({"telemetry": {
        "collector": {"mode": mode}, "tracing": {"jaeger": {"type": jaeger}, "exporters": exporters},
    }})
}

fn badger(badger: &Value) -> Value {
    jaeger(&json!({"managed": {"storage": {"type": "Badger", "badger": badger}}}))
}

/// Rules about the number of a service's pods and about where its variables come from.
fn scale_cases() -> Vec<Case> {
    let autoscaled = |autoscaling: Value| service(json!({"autoscaling": autoscaling}));
    vec![
        (
            service(json!({"replicas": 2, "autoscaling": {"maxReplicas": 3}})),
            "replicas and autoscaling exclude each other",
            autoscaled(json!({"maxReplicas": 3})),
        ),
        (
            autoscaled(json!({"minReplicas": 4, "maxReplicas": 3})),
            "minReplicas must be less than or equal to maxReplicas",
            autoscaled(json!({"minReplicas": 3, "maxReplicas": 3})),
        ),
        (
            service(json!({"envFrom": [{"prefix": "A_"}]})),
            "an envFrom entry has exactly one of secretRef and configMapRef",
            service(json!({"envFrom": [{"secretRef": {"name": "a"}}, {"configMapRef": {"name": "a"}}]})),
        ),
    ]
}

/// Rules about collectors and further backends.
fn collector_cases() -> Vec<Case> {
    let two = json!({"mode": "Gateway", "gateway": {"replicas": 2, "tailSampling": {}}});
    let mut named = two.clone();
    named["image"] = json!("collector-contrib:1");
    let exporter = |exporter: Value| json!({"telemetry": {"tracing": {"exporters": [exporter]}}});
    let authority = json!({"name": "ca", "key": "ca.crt"});
    vec![
        (
            collector(&json!({"mode": "Sidecar", "gateway": {"tailSampling": {}}})),
            "gateway, and so tailSampling, is allowed only when mode is Gateway",
            collector(&json!({"mode": "Gateway", "gateway": {"tailSampling": {}}})),
        ),
        (
            collector(&two),
            "several replicas with tailSampling need an image that has the loadbalancing exporter",
            collector(&named),
        ),
        (
            exporters("None", &json!("Managed")),
            "tracing.exporters need a collector",
            exporters("Gateway", &json!("Managed")),
        ),
        (
            exporter(json!({"name": "a", "endpoint": "http://a.example:4318", "caSecretRef": authority})),
            "caSecretRef is allowed only with an https endpoint",
            exporter(json!({"name": "a", "endpoint": "https://a.example:4318", "caSecretRef": authority})),
        ),
        (
            jaeger(&json!({"managed": {"storage": {"badger": {}}}})),
            "badger is allowed only when type is Badger",
            badger(&json!({})),
        ),
    ]
}

/// Rules about ways in.
fn exposure_cases() -> Vec<Case> {
    let parent = json!({"name": "public"});
    vec![
        (
            json!({"exposure": {"type": "Ingress"}}),
            "ingress is required when type is Ingress, and allowed only then",
            json!({"exposure": {"type": "Ingress", "ingress": {"host": "shop.example.com"}}}),
        ),
        (
            json!({"exposure": {"gateway": {"host": "shop.example.com", "parentRef": parent}}}),
            "gateway is required when type is Gateway, and allowed only then",
            json!({"exposure": {"type": "Gateway", "gateway": {"host": "shop.example.com", "parentRef": parent}}}),
        ),
    ]
}

/// Rules about a change of what is there: the spec before, one that must not follow, the rule's message, one that may.
fn changes() -> Vec<(Value, Value, &'static str, Value)> {
    let memory = jaeger(&json!({"managed": {"storage": {"type": "Memory"}}}));
    vec![
        (
            json!({}),
            badger(&json!({})),
            "managed.storage.type cannot be changed",
            memory.clone(),
        ),
        (
            badger(&json!({"size": "5Gi"})),
            badger(&json!({"size": "4Gi"})),
            "size can only grow",
            badger(&json!({"size": "6Gi"})),
        ),
        (
            badger(&json!({"storageClassName": "fast"})),
            badger(&json!({"storageClassName": "slow"})),
            "storageClassName cannot be changed",
            badger(&json!({"storageClassName": "fast", "retentionHours": 1})),
        ),
    ]
}

fn all_cases() -> impl Iterator<Item = Case> {
    service_cases()
        .into_iter()
        .chain(scale_cases())
        .chain(collector_cases())
        .chain(exposure_cases())
        .chain(platform_cases())
        .chain(database_cases())
}

/// Rules about a Platform as a whole.
fn platform_cases() -> Vec<Case> {
    let two = |first: Value, second: Value| json!({"services": [service(first)["services"][0], service(second)["services"][0]]});
    vec![
        (
            service(json!({"dependsOn": ["stock"]})),
            "dependsOn may only name services of the same Platform's services list",
            two(json!({"dependsOn": ["stock"]}), json!({"name": "stock"})),
        ),
        (
            two(
                json!({"route": {"pathPrefix": "/a"}}),
                json!({"name": "b", "route": {"pathPrefix": "/a"}}),
            ),
            "each route.pathPrefix may be used by one service only",
            two(
                json!({"route": {"pathPrefix": "/a"}}),
                json!({"name": "b", "route": {"pathPrefix": "/b"}}),
            ),
        ),
        (
            json!({"services": [{"name": "auth", "replicas": 2}]}),
            "replicas must be 0 or 1, and autoscaling left out, for a service with an Embedded database",
            json!({"services": [{"name": "auth", "replicas": 2, "database": "Disabled"}]}),
        ),
        (
            jaeger(&json!({"type": "External"})),
            "external is required when type is External, and allowed only then",
            jaeger(&json!({"type": "External", "external": {"endpoint": "http://jaeger.example:4318"}})),
        ),
        (
            direct("https://jaeger.example:4318"),
            "an https endpoint needs collector.mode Sidecar or Gateway",
            direct("http://jaeger.example:4318"),
        ),
        (
            errors(&json!({"environment": "None"})),
            "environment must not be None",
            errors(&json!({"environment": "Nonesuch", "dsnSecretRef": {"name": "sentry", "key": "dsn"}})),
        ),
        (
            prometheus(&json!({"type": "External"})),
            "prometheus.external is required when type is External, and allowed only then",
            prometheus(&json!({"type": "External", "external": {"url": "http://prometheus.example:9090"}})),
        ),
        (
            prometheus(&json!({"managed": {}})),
            "prometheus.managed is allowed only when type is Managed",
            prometheus(&json!({"type": "Managed", "managed": {}})),
        ),
        (
            prometheus(&json!({"type": "Managed", "managed": {"storage": {"volume": {}}}})),
            "storage.volume is allowed only when type is Volume",
            stored("5Gi"),
        ),
        (
            metrics(&json!({"prometheus": {"type": "Managed"}, "discovery": "Annotations"})),
            "discovery must be Auto or None when prometheus.type is Managed",
            metrics(&json!({"discovery": "Annotations"})),
        ),
        (
            monitor(&json!({"type": "Disabled"})),
            "jaeger.managed.monitor Enabled needs metrics.prometheus of type Managed or External",
            monitor(&json!({"type": "Managed"})),
        ),
        (
            jaeger(&json!({"type": "Disabled", "managed": {}})),
            "managed is allowed only when type is Managed",
            jaeger(&json!({"type": "Managed", "managed": {}})),
        ),
        (
            json!({"exposure": {"nodePort": {}}}),
            "nodePort is allowed only when type is NodePort",
            json!({"exposure": {"type": "NodePort", "nodePort": {}}}),
        ),
        (
            json!({"exposure": {"type": "NodePort", "nodePort": {"gateway": 30001, "jaeger": 30001}}}),
            "gateway and jaeger must be different ports",
            json!({"exposure": {"type": "NodePort", "nodePort": {"gateway": 30001, "jaeger": 30002}}}),
        ),
    ]
}

/// Rules about databases.
fn database_cases() -> Vec<Case> {
    let database = |database: Value| json!({"services": [{"name": "auth"}], "database": database});
    let external = |services: Value, reference: Value| json!({"services": services, "database": {"type": "External", "external": {"urlSecretRef": reference}}});
    let both = json!([{"name": "auth"}, {"name": "chat"}]);
    let own = json!({"name": "chat", "databaseURLSecretRef": {"name": "n", "key": "k"}});
    vec![
        (
            database(json!({"type": "Postgres", "embedded": {}})),
            "database.embedded is allowed only when type is Embedded",
            database(json!({"type": "Embedded", "embedded": {"storage": {"size": "2Gi"}}})),
        ),
        (
            database(json!({"postgres": {}})),
            "database.postgres is allowed only when type is Postgres",
            database(json!({"type": "Postgres", "postgres": {"backup": {}}})),
        ),
        (
            database(json!({"type": "Postgres", "external": {"urlSecretRef": {"name": "n"}}})),
            "database.external is allowed only when type is External",
            database(json!({"type": "External", "external": {"urlSecretRef": {"name": "n"}}})),
        ),
        (
            database(json!({"type": "External"})),
            "database.external is required when type is External",
            json!({"services": [own], "database": {"type": "External"}}),
        ),
        (
            external(both.clone(), json!({"name": "n", "key": "k"})),
            "database.external.urlSecretRef.key is allowed only where one service uses it",
            external(json!([{"name": "auth"}, own]), json!({"name": "n", "key": "k"})),
        ),
        (
            json!({"services": [own], "database": {"type": "Postgres"}}),
            "databaseURLSecretRef is allowed only when database.type is External",
            external(json!([own]), json!({"name": "n"})),
        ),
        (
            database(json!({"type": "Postgres", "postgres": {"storage": {"size": "127Mi"}}})),
            "storage.size must be at least 128Mi",
            database(json!({"type": "Postgres", "postgres": {"storage": {"size": "128Mi"}}})),
        ),
        (
            json!({"services": [{"name": "auth", "migrations": {"deadlineSeconds": 60}}]}),
            "migrations needs command or args",
            json!({"services": [{"name": "auth", "migrations": {"args": ["migrate"]}}]}),
        ),
        (
            json!({"services": [{"name": "gateway", "migrations": {"args": ["migrate"]}}]}),
            "migrations is allowed only for a service with a database",
            json!({"services": [{"name": "gateway", "database": "Enabled", "migrations": {"args": ["migrate"]}}]}),
        ),
    ]
}

/// Rules that no single new spec can break.
const CASES_OF_THEIR_OWN: [&str; 5] = [
    // Below: the name is not part of a spec.
    "metadata.name must be at most 30 characters",
    // Below: what a spec was before is not part of it.
    "database.type cannot be changed",
    "storage of the database cannot be changed",
    "storage of backups cannot be changed",
    // Below: it compares with what was there before.
    "storage.volume.size cannot be made smaller",
];

#[tokio::test]
async fn where_data_is_cannot_be_changed() {
    let Some(world) = world("storage").await else {
        return;
    };
    let postgres = |postgres: Value| json!({"database": {"type": "Postgres", "postgres": postgres}});
    let embedded = |size: &str| json!({"database": {"embedded": {"storage": {"size": size}}}});
    let class = |class: &str| postgres(json!({"storage": {"storageClassName": class}}));
    let backup = |size: &str, count: i32| {
        postgres(json!({"backup": {"retainCount": count, "storage": {"size": size}}}))
    };
    // Before, after, and a part of the refusal; None where it is taken.
    let changes = [
        (
            json!({}),
            json!({"database": {"type": "Postgres"}}),
            Some(CASES_OF_THEIR_OWN[1]),
        ),
        (json!({}), embedded("2Gi"), Some(CASES_OF_THEIR_OWN[2])),
        (json!({}), embedded("1Gi"), None),
        (embedded("2Gi"), json!({}), Some(CASES_OF_THEIR_OWN[2])),
        (postgres(json!({})), class("fast"), Some(CASES_OF_THEIR_OWN[2])),
        (class("fast"), postgres(json!({})), Some(CASES_OF_THEIR_OWN[2])),
        (class("fast"), class("fast"), None),
        (backup("1Gi", 3), backup("2Gi", 3), Some(CASES_OF_THEIR_OWN[3])),
        (backup("1Gi", 3), backup("1Gi", 4), None),
        (postgres(json!({})), backup("2Gi", 3), None),
    ];
    for (number, (before, after, refusal)) in changes.into_iter().enumerate() {
        let name = format!("demo-{number}");
        world.apply(&name, before).await;
        let answer = world.try_apply(&name, after.clone()).await;
        match refusal {
            None => drop(answer.unwrap_or_else(|error| panic!("{after}: {error}"))),
            Some(sentence) => {
                let said = answer.expect_err(sentence).to_string();
                assert!(said.contains(sentence), "{said}\nshould say\n{sentence}");
            }
        }
    }
}

#[tokio::test]
async fn every_rule_refuses_with_its_sentence_and_accepts_the_good_twin() {
    let Some(world) = world("rules").await else { return };
    for (bad, message, good) in all_cases() {
        assert!(!lint(&bad).is_empty(), "`lint` finds nothing wrong: {message}");
        assert_eq!(
            lint(&good),
            Vec::<String>::new(),
            "`lint` refuses the twin of {message}"
        );
        let refusal = world.try_apply("bad", bad).await.expect_err(message).to_string();
        assert!(refusal.contains(message), "{refusal}\nshould say\n{message}");
        world
            .try_apply("good", good)
            .await
            .unwrap_or_else(|error| panic!("twin of {message}: {error}"));
        world
            .platforms()
            .delete("good", &DeleteParams::default())
            .await
            .unwrap();
    }
    for name in ["a".repeat(31), "9lives".to_owned(), "with.dot".to_owned()] {
        let refusal = world.try_apply(&name, json!({})).await.unwrap_err().to_string();
        assert!(refusal.contains(CASES_OF_THEIR_OWN[0]), "{refusal}");
    }
    world.apply(&"a".repeat(30), json!({})).await;

    world.apply("volume", stored("2Gi")).await;
    world.apply("volume", stored("2048Mi")).await;
    let refusal = world
        .try_apply("volume", stored("2047Mi"))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refusal.contains("storage.volume.size cannot be made smaller"),
        "{refusal}"
    );
    world.apply("volume", stored("3Gi")).await;
}

/// What the local validator finds wrong.
fn lint(spec: &Value) -> Vec<String> {
    let platform = serde_json::from_value(crate::fixture::manifest("rules", "demo", spec)).unwrap();
    let resolved = resolve(&platform, &Facts::default(), &settings());
    let violations = resolved.err().unwrap_or_default();
    violations.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn what_must_not_change_is_refused_and_what_may_is_taken() {
    let Some(world) = world("changes").await else {
        return;
    };
    for (number, (before, bad, message, good)) in changes().into_iter().enumerate() {
        let name = format!("demo-{number}");
        world.apply(&name, before).await;
        let refusal = world.try_apply(&name, bad).await.expect_err(message).to_string();
        assert!(refusal.contains(message), "{refusal}\nshould say\n{message}");
        world.apply(&name, good).await;
    }
}

#[test]
fn every_rule_of_the_crd_has_a_case() {
    let mut messages = BTreeSet::new();
    collect_messages(&json!(Platform::crd()), &mut messages);
    let of_changes = changes().into_iter().map(|case| case.2);
    let cases: Vec<_> = all_cases().map(|case| case.1).chain(of_changes).collect();
    for message in &messages {
        let covered = cases
            .iter()
            .chain(&CASES_OF_THEIR_OWN)
            .any(|case| message.starts_with(case));
        assert!(covered, "no case for: {message}");
    }
    assert!(messages.len() > 10, "the rules were not found: {messages:?}");
}

fn collect_messages(value: &Value, messages: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for rule in fields
                .get("x-kubernetes-validations")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                messages.insert(rule["message"].as_str().expect("a rule has a message").to_owned());
            }
            fields
                .values()
                .for_each(|field| collect_messages(field, messages));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_messages(item, messages)),
        _ => {}
    }
}

#[tokio::test]
async fn bounds_and_enums_are_refused_with_what_is_allowed() {
    let Some(world) = world("bounds").await else {
        return;
    };
    let cases = [
        (
            json!({"telemetry": {"tracing": {"samplingPercent": 101}}}),
            "less than or equal to 100",
        ),
        (
            json!({"telemetry": {"collector": {"mode": "Sideway"}}}),
            "\"Sidecar\", \"Gateway\", \"None\"",
        ),
        (
            errors(&json!({"tracesSamplePercent": 101})),
            "less than or equal to 100",
        ),
        (
            errors(&json!({"profilesSamplePercent": -1})),
            "greater than or equal to 0",
        ),
        (
            errors(&json!({"environment": "a,b"})),
            "should match '^[A-Za-z0-9]",
        ),
        (
            errors(&json!({"debugEndpoints": "Yes"})),
            "\"Disabled\", \"Enabled\"",
        ),
        (
            errors(&json!({"dsnSecretRef": {"name": "sentry"}})),
            "dsnSecretRef.key: Required value",
        ),
        (
            prometheus(&json!({"type": "Managed", "managed": {"retentionHours": 0}})),
            "greater than or equal to 1",
        ),
        (stored("0Gi"), "should match '^[1-9]"),
        (
            metrics(&json!({"discovery": "ServiceMonitor"})),
            "\"Auto\", \"PodMonitor\", \"Annotations\", \"None\"",
        ),
        (
            metrics(&json!({"dashboards": "Yes"})),
            "\"ConfigMap\", \"Disabled\"",
        ),
        (
            prometheus(&json!({"type": "External", "external": {"url": "prometheus:9090"}})),
            "should match '^https?://",
        ),
        (json!({"services": []}), "at least 1 items"),
        (
            json!({"services": [{"name": "auth"}, {"name": "auth"}]}),
            "duplicate entries for key",
        ),
        (
            json!({"exposure": {"type": "NodePort", "nodePort": {"gateway": 80}}}),
            "greater than or equal to 30000",
        ),
        (
            json!({"database": {"type": "Oracle"}}),
            "\"Embedded\", \"Postgres\", \"External\"",
        ),
        (json!({"deletionPolicy": "Keep"}), "\"Delete\", \"RetainStorage\""),
        (
            json!({"database": {"type": "Postgres", "postgres": {"storage": {"size": "big"}}}}),
            "should match '^[0-9]+",
        ),
        (
            json!({"database": {"type": "Postgres", "postgres": {"backup": {"schedule": "at night"}}}}),
            "should match",
        ),
        (
            json!({"database": {"type": "Postgres", "postgres": {"backup": {"retainCount": 0}}}}),
            "greater than or equal to 1",
        ),
        (
            json!({"services": [{"name": "auth", "migrations": {"args": ["x"], "deadlineSeconds": 9}}]}),
            "greater than or equal to 10",
        ),
        (json!({"colour": "red"}), "field not declared in schema"),
    ];
    for (spec, allowed) in cases {
        let refusal = world.try_apply("bad", spec).await.expect_err(allowed).to_string();
        assert!(refusal.contains(allowed), "{refusal}\nshould say\n{allowed}");
    }
}

#[tokio::test]
async fn the_smallest_manifest_is_completed_and_can_be_narrowed() {
    let Some(world) = world("defaults").await else {
        return;
    };
    let spec = world.apply("demo", json!({})).await.spec;
    let services: Vec<_> = spec
        .services
        .iter()
        .map(|service| service.name.as_str())
        .collect();
    assert_eq!(services, ["gateway", "auth", "chat", "billing"]);
    assert_eq!(spec.telemetry.tracing.sampling_percent, 100);
    let locally: Platform =
        serde_json::from_value(crate::fixture::manifest("defaults", "demo", &json!({}))).unwrap();
    assert_eq!(
        spec, locally.spec,
        "the API server and the types fill in the same"
    );
    let narrowed = world
        .apply("demo", json!({"services": [{"name": "auth"}]}))
        .await
        .spec;
    assert_eq!(narrowed.services.len(), 1, "{:?}", narrowed.services);
}
