//! The configurations of a Platform.

use platform_core::{api::Platform, labels::Component};
use platform_operator::render::render;
use platform_testkit::settings;
use serde_json::{Value, json};

/// The configurations that a Platform is rendered to.
pub(crate) struct Configs(Vec<Value>);

impl Configs {
    /// Of a Platform with this spec.
    pub(crate) fn of_spec(spec: &Value) -> Self {
        let platform = json!({
            "apiVersion": "tracewell.dev/v1alpha1", "kind": "Platform",
            "metadata": {"namespace": "shop", "name": "demo"}, "spec": spec,
        });
        Self::of(serde_json::from_value(platform).unwrap())
    }

    /// Of a Platform.
    pub(crate) fn of(platform: Platform) -> Self {
        let stream = render(platform, &settings()).unwrap();
        Self(serde_saphyr::from_multiple(&stream).unwrap())
    }

    /// That of a part, if the Platform has the part.
    pub(crate) fn find(&self, component: Component) -> Option<Value> {
        let is_config = |object: &&Value| {
            object["kind"] == "ConfigMap"
                && object["metadata"]["labels"]["app.kubernetes.io/component"] == component.as_str()
        };
        let text = self.0.iter().find(is_config)?["data"]["config.yaml"].as_str()?;
        Some(serde_saphyr::from_str(text).unwrap())
    }

    /// That of the collectors which send to the backends.
    pub(crate) fn collector(&self) -> Value {
        self.find(Component::CollectorConfig).unwrap()
    }

    /// That of the managed Jaeger.
    pub(crate) fn jaeger(&self) -> Value {
        self.find(Component::JaegerConfig).unwrap()
    }
}
