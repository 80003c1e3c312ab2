//! The manifests in `examples/`: what the documentation shows is what the tests run.

use std::path::{Path, PathBuf};

use platform_core::api::Platform;
use platform_core::settings::{SecretsGrant, Settings};
use platform_operator::manifest::Manifest;

/// Settings with values that no default has, so that a test notices where one is not used.
pub fn settings() -> Settings {
    Settings {
        operator_version: "1.2.3".to_owned(),
        image_repository: "registry.test/tracewell".to_owned(),
        image_tag: "4.5.6".to_owned(),
        jaeger_image: "registry.test/jaeger:2.0.0".to_owned(),
        postgres_image: "registry.test/postgres:4.0.0".to_owned(),
        prometheus_image: "registry.test/prometheus:3.0.0".to_owned(),
        collector_image: "registry.test/collector:3.0.0".to_owned(),
        secrets_grant: SecretsGrant {
            cluster_role: "tracewell-secrets".to_owned(),
            service_account: "tracewell-system:tracewell".to_owned(),
        },
    }
}

/// The directory `examples/` of this repository.
pub fn examples_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

/// Names of all examples, sorted.
///
/// # Panics
/// If the directory cannot be read.
#[expect(clippy::expect_used, reason = "a test without its examples has to end")]
pub fn examples() -> Vec<String> {
    let files = std::fs::read_dir(examples_directory()).expect("examples/ is there");
    let paths = files.map(|file| file.expect("examples/ can be listed").path());
    let is_yaml = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "yaml");
    let mut names: Vec<String> = paths
        .filter(is_yaml)
        .filter_map(|path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    names
}

/// The Platform of `examples/{name}.yaml`, with every default.
///
/// # Panics
/// If there is no such example, or it holds no Platform.
#[expect(clippy::expect_used, reason = "a test without its example has to end")]
pub fn example(name: &str) -> Platform {
    let file = examples_directory().join(format!("{name}.yaml"));
    Manifest::read(&file).expect("an example is a Platform").platform
}
