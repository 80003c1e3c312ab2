//! What only a Secret holds.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, EnvVar};
use platform_core::api::{EnvVarSource, KeyRef};
use platform_core::kinds::Kind;
use platform_testkit::platforms;
use proptest::prelude::*;

use crate::{all, config, containers, desired, env, pod_spec, pods};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn values_of_the_author_stand_in_the_environment_only(mut platform in platforms()) {
        for service in &mut platform.spec.services {
            service.env.iter_mut().for_each(|entry| entry.value = Some("hunter2".to_owned()));
        }
        let desired = desired(&platform);
        for config in all::<ConfigMap>(&desired, Kind::ConfigMap) {
            prop_assert!(!config.data.unwrap_or_default().values().any(|text| text.contains("hunter2")));
        }
        for pods in pods(&desired) {
            for container in containers(&pods.spec) {
                let mut words = container.command.iter().chain(&container.args).flatten();
                prop_assert!(!words.any(|word| word.contains("hunter2")));
            }
        }
    }

    #[test]
    fn passwords_are_in_secrets_alone_and_reach_programs_by_reference(platform in platforms()) {
        let desired = desired(&platform);
        for (key, object) in desired.iter().filter(|(key, _)| key.kind == Kind::Secret) {
            prop_assert_eq!(&object.data, &serde_json::json!({}), "{} has content", key);
        }
        for pods in pods(&desired) {
            let from_secret = |entry: &EnvVar| {
                entry.value_from.as_ref().is_some_and(|from| from.secret_key_ref.is_some())
            };
            for entry in containers(&pods.spec).flat_map(env).filter(|entry| entry.name.contains("PASSWORD")) {
                prop_assert!(from_secret(entry), "{} of {}", entry.name, pods.name);
            }
            for entry in containers(&pods.spec).flat_map(env).filter(|entry| entry.name == "DATABASE_URL") {
                let url = entry.value.as_deref().unwrap_or_default();
                let refers = url.starts_with("postgres://") && url.contains(":$(DATABASE_PASSWORD)@");
                prop_assert!(refers || url.starts_with("sqlite:///data/") || from_secret(entry), "{}", url);
            }
        }
    }

    #[test]
    fn a_secret_is_referred_to_and_never_read(mut platform in platforms()) {
        let reference = KeyRef { name: "smtp".to_owned(), key: "password".to_owned() };
        for service in &mut platform.spec.services {
            service.env = vec![platform_core::api::EnvVar {
                name: "SMTP_PASSWORD".to_owned(),
                value: None,
                value_from: Some(EnvVarSource { secret_key_ref: Some(reference.clone()), config_map_key_ref: None }),
            }];
        }
        for deployment in all::<Deployment>(&desired(&platform), Kind::Deployment) {
            let container = &pod_spec(&deployment).containers[0];
            for entry in env(container).iter().filter(|entry| entry.name == "SMTP_PASSWORD") {
                let source = entry.value_from.as_ref().and_then(|from| from.secret_key_ref.as_ref());
                prop_assert_eq!(source.map(|secret| secret.name.as_str()), Some("smtp"));
                prop_assert_eq!(entry.value.as_deref(), None);
            }
        }
    }
}
