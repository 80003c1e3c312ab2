//! Rules about what a spec may become, once it is something.

use serde_json::{Value, json};

use super::specs::{badger, jaeger, prometheus, stored};

/// A spec, a change of it that is refused, a part of the refusal, and a change that is taken.
pub(super) fn changes() -> Vec<(Value, Value, &'static str, Value)> {
    traces().into_iter().chain(databases()).chain(metrics()).collect()
}

fn traces() -> Vec<(Value, Value, &'static str, Value)> {
    let memory = jaeger(&json!({"managed": {"storage": {"type": "Memory"}}}));
    vec![
        (
            json!({}),
            badger(&json!({})),
            "managed.storage.type cannot be changed",
            memory,
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
            "storageClassName cannot be changed: data",
            badger(&json!({"storageClassName": "fast", "retentionHours": 1})),
        ),
    ]
}

fn databases() -> Vec<(Value, Value, &'static str, Value)> {
    let postgres = |postgres: Value| json!({"database": {"type": "Postgres", "postgres": postgres}});
    let embedded = |size: &str| json!({"database": {"embedded": {"storage": {"size": size}}}});
    let class = |class: &str| postgres(json!({"storage": {"storageClassName": class}}));
    let backup =
        |storage: Value, count: i32| postgres(json!({"backup": {"retainCount": count, "storage": storage}}));
    let production = |database: Value| json!({"profile": "Production", "database": database});
    let other_type = "database.type cannot be changed";
    let smaller = "storage of the database cannot be made smaller";
    let other_class = "storageClassName of the database cannot be changed";
    vec![
        (
            json!({}),
            json!({"database": {"type": "Postgres"}}),
            other_type,
            json!({"database": {"type": "Embedded"}}),
        ),
        // What stands for a type that is left out changes with the profile.
        (
            json!({}),
            production(json!({})),
            other_type,
            production(json!({"type": "Embedded"})),
        ),
        (
            production(json!({})),
            json!({}),
            other_type,
            json!({"database": {"type": "Postgres"}}),
        ),
        // A block that is left out counts as its default.
        (json!({}), embedded("512Mi"), smaller, embedded("1Gi")),
        (embedded("2Gi"), json!({}), smaller, embedded("2048Mi")),
        (embedded("2Gi"), embedded("1Gi"), smaller, embedded("3Gi")),
        (
            postgres(json!({})),
            class("fast"),
            other_class,
            postgres(json!({"storage": {"size": "2Gi"}})),
        ),
        (class("fast"), postgres(json!({})), other_class, class("fast")),
        (
            backup(json!({"size": "2Gi"}), 3),
            backup(json!({"size": "1Gi"}), 3),
            "storage of backups cannot be made smaller",
            backup(json!({"size": "3Gi"}), 4),
        ),
        (
            backup(json!({}), 3),
            backup(json!({"storageClassName": "fast"}), 3),
            "storageClassName of backups cannot be changed",
            postgres(json!({})),
        ),
    ]
}

fn metrics() -> Vec<(Value, Value, &'static str, Value)> {
    let storage = |storage: Value| prometheus(&json!({"type": "Managed", "managed": {"storage": storage}}));
    vec![
        (
            stored("2Gi"),
            stored("2047Mi"),
            "storage.volume.size cannot be made smaller",
            stored("2048Mi"),
        ),
        (
            stored("2Gi"),
            storage(json!({"type": "Memory"})),
            "managed.storage.type cannot be changed from Volume to Memory",
            stored("3Gi"),
        ),
        (
            stored("4Gi"),
            prometheus(&json!({"type": "Managed"})),
            "managed.storage.type cannot be changed from Volume to Memory",
            prometheus(&json!({"type": "Disabled"})),
        ),
        (
            storage(json!({"type": "Memory"})),
            storage(json!({"type": "Memory", "volume": {}})),
            "storage.volume is allowed only when type is Volume",
            stored("1Gi"),
        ),
        (
            storage(json!({"type": "Volume"})),
            stored("1Gi"),
            "storage.volume.size cannot be made smaller",
            storage(json!({"type": "Volume", "volume": {}})),
        ),
    ]
}
