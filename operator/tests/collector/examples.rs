//! Every example, and what no example has.

use std::collections::BTreeMap;

use futures::{StreamExt as _, stream};
use platform_core::labels::Component;
use platform_testkit::{example, examples};
use serde_json::json;

use crate::{
    rendered::Configs,
    running::{Running, jaeger},
};

/// Processes at a time.
const AT_A_TIME: usize = 4;

#[tokio::test]
async fn every_configuration_is_loaded_and_its_collector_is_well() {
    let Some(jaeger) = jaeger() else { return };
    let folder = tempfile::tempdir().unwrap();
    let more = json!({"telemetry": {
        "collector": {"mode": "Gateway", "redaction": "Off"},
        "tracing": {"jaeger": {"managed": {"storage": {"type": "Badger"}}}},
    }});
    // By one name, many have the same configurations; each is loaded once.
    let platforms = examples().into_iter().map(|name| {
        let mut platform = example(&name);
        platform.metadata.name = Some("demo".to_owned());
        platform.metadata.namespace = Some("shop".to_owned());
        Configs::of(platform)
    });
    let mut configs = BTreeMap::new();
    for rendered in platforms.chain([Configs::of_spec(&more)]) {
        for component in [
            Component::CollectorConfig,
            Component::SamplerConfig,
            Component::JaegerConfig,
        ] {
            if let Some(config) = rendered.find(component) {
                configs.insert(config.to_string(), config);
            }
        }
    }
    let text: String = configs.keys().map(String::as_str).collect();
    for feature in [
        "tail_sampling",
        "spanmetrics",
        "badger",
        "memory",
        "ca_file",
        "EXPORTER_0_HEADER_0",
    ] {
        assert!(text.contains(feature), "no example has {feature}");
    }
    let authority = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let started: Vec<_> = stream::iter(configs.values().enumerate())
        .map(async |(number, config)| {
            let name = number.to_string();
            for exporter in config["exporters"].as_object().into_iter().flatten() {
                if let Some(file) = exporter.1["tls"]["ca_file"].as_str() {
                    let file = folder.path().join(&name).join(file.trim_start_matches('/'));
                    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                    std::fs::write(file, authority.cert.pem()).unwrap();
                }
            }
            Running::start(&jaeger, &folder, &name, config, &["EXPORTER_0_HEADER_0=key"]).await;
        })
        .buffer_unordered(AT_A_TIME)
        .collect()
        .await;
    assert!(started.len() > 6, "{} configurations are too few", started.len());
}
