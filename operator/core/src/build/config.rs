//! Configuration files: immutable, and named by the hash of their content, so that a change reaches every pod by a
//! rollout, and a pod of the version before still finds what it was started with.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::Value;

use super::{Body, Part};
use crate::hash::short_hash_of_text;
use crate::labels::Component;

/// Key of the file in the `ConfigMap`, and its name below the mount.
pub(super) const FILE: &str = "config.yaml";

/// A `ConfigMap` with this content; `name` gives its name from the content's hash.
pub(super) fn build_config(component: Component, content: &Value, name: impl FnOnce(&str) -> String) -> Part {
    let text = yaml(content);
    Part {
        name: name(&short_hash_of_text(&text)),
        app: component.as_str().to_owned(),
        component,
        body: Body::of(&ConfigMap {
            data: Some(BTreeMap::from([(FILE.to_owned(), text)])),
            immutable: Some(true),
            ..ConfigMap::default()
        }),
    }
}

#[expect(
    clippy::expect_used,
    reason = "a JSON value has string keys only, so every one of them is a YAML document"
)]
fn yaml(content: &Value) -> String {
    serde_saphyr::to_string(content).expect("a JSON value is a YAML document")
}
