//! Each rule of the CRD, with a spec that breaks it and one that keeps it.

use serde_json::{Value, json};

use super::specs::{
    badger, collector, direct, errors, exporters, jaeger, metrics, monitor, prometheus, resources, service,
    stored, variable,
};

/// A spec that breaks a rule, the beginning of the rule's message, and a twin that keeps the rule.
pub(super) type Case = (Value, &'static str, Value);

/// Every one.
pub(super) fn all_cases() -> impl Iterator<Item = Case> {
    service_cases()
        .into_iter()
        .chain(scale_cases())
        .chain(collector_cases())
        .chain(exposure_cases())
        .chain(platform_cases())
        .chain(database_cases())
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
            "port must not be 4317, 4318, 8888 or 9464",
            service(json!({"port": 9465})),
        ),
        (
            json!({"services": [{"name": "gateway", "route": {"pathPrefix": "/shop"}}]}),
            "route is not allowed for gateway",
            service(json!({"route": {"pathPrefix": "/shop"}})),
        ),
        (
            service(json!({"metrics": {"port": 8080}})),
            "port and metrics.port must be different",
            service(json!({"metrics": {"port": 8081, "path": "/stats"}})),
        ),
        (
            service(json!({"metrics": {"port": 4318}})),
            "metrics.port must not be 4317, 4318 or 8888",
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
    const INGRESS: &str = "ingress is required when type is Ingress, and allowed only then";
    const GATEWAY: &str = "gateway is required when type is Gateway, and allowed only then";
    let exposed =
        |type_: &str, field: &str, value: &Value| json!({"exposure": {"type": type_, field: value}});
    let ingress = json!({"host": "shop.example.com"});
    let gateway = json!({"host": "shop.example.com", "parentRef": {"name": "public"}});
    vec![
        (
            json!({"exposure": {"type": "Ingress"}}),
            INGRESS,
            exposed("Ingress", "ingress", &ingress),
        ),
        (
            exposed("None", "ingress", &ingress),
            INGRESS,
            json!({"exposure": {"type": "None"}}),
        ),
        (
            json!({"exposure": {"type": "Gateway"}}),
            GATEWAY,
            exposed("Gateway", "gateway", &gateway),
        ),
        (
            exposed("NodePort", "gateway", &gateway),
            GATEWAY,
            json!({"exposure": {"type": "NodePort"}}),
        ),
    ]
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
            jaeger(&json!({"type": "Managed", "external": {"endpoint": "http://jaeger.example:4318"}})),
            "external is required when type is External, and allowed only then",
            jaeger(&json!({"type": "Managed"})),
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
            prometheus(&json!({"type": "Managed", "external": {"url": "http://prometheus.example:9090"}})),
            "prometheus.external is required when type is External, and allowed only then",
            prometheus(&json!({"type": "Managed"})),
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

/// The smallest volume, and one that is too small.
fn sized(spec: impl Fn(Value) -> Value) -> Case {
    let [small, least] = ["127Mi", "128Mi"].map(|size| spec(json!({"size": size})));
    (small, "storage.size must be at least 128Mi", least)
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
            "database.embedded is allowed only when database.type is Embedded",
            database(json!({"type": "Embedded", "embedded": {"storage": {"size": "2Gi"}}})),
        ),
        (
            database(json!({"postgres": {}})),
            "database.postgres is allowed only when database.type is Postgres",
            database(json!({"type": "Postgres", "postgres": {"backup": {}}})),
        ),
        (
            json!({"profile": "Production", "database": {"embedded": {}}}),
            "as it is with profile Local when left out",
            json!({"profile": "Production", "database": {"type": "Embedded", "embedded": {}}}),
        ),
        (
            json!({"services": [{"name": "auth", "replicas": 2}]}),
            "for a service with an Embedded database",
            json!({"profile": "Production", "services": [{"name": "auth", "replicas": 2}]}),
        ),
        (
            database(json!({"type": "Postgres", "external": {"urlSecretRef": {"name": "n"}}})),
            "database.external is allowed only when database.type is External",
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
        sized(|storage| database(json!({"type": "Postgres", "postgres": {"storage": storage}}))),
        sized(|storage| database(json!({"type": "Postgres", "postgres": {"backup": {"storage": storage}}}))),
        sized(|storage| database(json!({"embedded": {"storage": storage}}))),
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
