//! What the operator of the tests was told.

use platform_core::settings::{SecretsGrant, Settings};

pub(crate) fn settings() -> Settings {
    Settings {
        operator_version: "1.2.3".to_owned(),
        image_repository: "registry.test/tracewell".to_owned(),
        image_tag: "4.5.6".to_owned(),
        jaeger_image: "registry.test/jaeger:2".to_owned(),
        postgres_image: "registry.test/postgres:4".to_owned(),
        prometheus_image: "registry.test/prometheus:3".to_owned(),
        collector_image: "registry.test/collector:3".to_owned(),
        secrets_grant: SecretsGrant {
            cluster_role: "tracewell-secrets".to_owned(),
            service_account: "tracewell-system:tracewell".to_owned(),
        },
    }
}
