//! Specs that have one part of interest.

use serde_json::{Value, json};

/// A Platform with one service of somebody else's.
pub(super) fn service(mut service: Value) -> Value {
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

pub(super) fn jaeger(jaeger: &Value) -> Value {
    json!({"telemetry": {"tracing": {"jaeger": jaeger}}})
}

pub(super) fn direct(endpoint: &str) -> Value {
    json!({"telemetry": {
        "collector": {"mode": "None"},
        "tracing": {"jaeger": {"type": "External", "external": {"endpoint": endpoint}}},
    }})
}

pub(super) fn metrics(metrics: &Value) -> Value {
    json!({"telemetry": {"metrics": metrics}})
}

pub(super) fn prometheus(prometheus: &Value) -> Value {
    metrics(&json!({"prometheus": prometheus}))
}

/// A managed Prometheus with a volume of this size.
pub(super) fn stored(size: &str) -> Value {
    prometheus(
        &json!({"type": "Managed", "managed": {"storage": {"type": "Volume", "volume": {"size": size}}}}),
    )
}

pub(super) fn monitor(prometheus: &Value) -> Value {
    json!({"telemetry": {
        "tracing": {"jaeger": {"managed": {"monitor": "Enabled"}}},
        "metrics": {"prometheus": prometheus},
    }})
}

pub(super) fn errors(errors: &Value) -> Value {
    json!({"telemetry": {"errors": errors}})
}

pub(super) fn variable(variable: &Value) -> Value {
    service(json!({"env": [variable]}))
}

pub(super) fn resources(requests: &Value, limits: &Value) -> Value {
    service(json!({"resources": {"requests": requests, "limits": limits}}))
}

pub(super) fn collector(collector: &Value) -> Value {
    json!({"telemetry": {"collector": collector}})
}

pub(super) fn exporters(mode: &str, jaeger: &Value) -> Value {
    let exporters = json!([{"name": "vendor", "endpoint": "https://otlp.example:4318"}]);
    json!({"telemetry": {
        "collector": {"mode": mode}, "tracing": {"jaeger": {"type": jaeger}, "exporters": exporters},
    }})
}

pub(super) fn badger(badger: &Value) -> Value {
    jaeger(&json!({"managed": {"storage": {"type": "Badger", "badger": badger}}}))
}
