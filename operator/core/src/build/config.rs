//! Configuration files: immutable, and named by the hash of their content, so that a change reaches every pod by a
//! rollout, and a pod of the version before still finds what it was started with.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, ConfigMapVolumeSource, Volume};
use serde_json::{Value, json};

use super::{Body, Part};
use crate::hash::{short_hash_of, short_hash_of_text};
use crate::labels::Component;

/// Key of the file in the `ConfigMap`, and its name below the mount.
pub(super) const FILE: &str = "config.yaml";

/// A `ConfigMap` with this content; `name` gives its name from the content's hash.
pub(super) fn build_config(component: Component, content: &Value, name: impl FnOnce(&str) -> String) -> Part {
    let text = yaml(content);
    let hash = short_hash_of_text(&text);
    build_config_map(component, name(&hash), BTreeMap::from([(FILE.to_owned(), text)]))
}

/// A `ConfigMap` with these files; `name` gives its name from their hash.
pub(super) fn build_files(
    component: Component,
    files: &[(&str, String)],
    name: impl FnOnce(&str) -> String,
) -> Part {
    let files: BTreeMap<String, String> = files
        .iter()
        .map(|(file, text)| ((*file).to_owned(), text.clone()))
        .collect();
    let hash = short_hash_of(&json!(files));
    build_config_map(component, name(&hash), files)
}

fn build_config_map(component: Component, name: String, files: BTreeMap<String, String>) -> Part {
    Part {
        name,
        app: component.as_str().to_owned(),
        component,
        body: Body::of(&ConfigMap {
            data: Some(files),
            immutable: Some(true),
            ..ConfigMap::default()
        }),
    }
}

/// A volume with every file of a `ConfigMap`.
pub(super) fn files_volume(volume: &str, config_map: &str) -> Volume {
    Volume {
        name: volume.to_owned(),
        config_map: Some(ConfigMapVolumeSource {
            name: config_map.to_owned(),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    }
}

#[expect(
    clippy::expect_used,
    reason = "a JSON value has string keys only, so every one of them is a YAML document"
)]
/// JSON as YAML.
pub(super) fn yaml(content: &Value) -> String {
    serde_saphyr::to_string(content).expect("a JSON value is a YAML document")
}
