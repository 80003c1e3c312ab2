//! What a change of a Platform changes.

use std::collections::BTreeSet;

use kube::ResourceExt;
use kube::core::DynamicObject;
use platform_core::diff::{Cause, diff};
use platform_core::holds::Holds;
use platform_core::kinds::{Kind, ObjectKey};
use platform_core::labels;
use platform_testkit::platforms;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::{config, desired, live_of, resolved, uid};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_was_just_applied_needs_nothing(platform in platforms()) {
        let desired = desired(&platform);
        let changes = diff(&desired, &live_of(&desired), &uid(&platform), true, &Holds::new());
        prop_assert!(changes.is_empty(), "{:?}", changes);
        prop_assert_eq!(changes.kept, desired.len());
    }

    #[test]
    fn the_order_of_the_services_means_nothing(platform in platforms()) {
        let mut turned = platform.clone();
        turned.spec.services.reverse();
        let (one, other) = (desired(&platform), desired(&turned));
        let changes = diff(&one, &live_of(&other), &uid(&platform), true, &Holds::new());
        prop_assert!(changes.is_empty(), "{:?}", changes);
    }

    #[test]
    fn a_service_starts_after_those_it_calls(platform in platforms()) {
        let services = resolved(&platform).services;
        for (position, service) in services.iter().enumerate() {
            let before: BTreeSet<_> = services[..position].iter().map(|s| &s.name).collect();
            prop_assert!(service.depends_on.iter().all(|name| before.contains(name)), "{}", service.name);
        }
    }

    #[test]
    fn removing_a_service_prunes_exactly_its_objects(platform in platforms(), index in any::<Index>()) {
        prop_assume!(platform.spec.services.len() > 1);
        let before = desired(&platform);
        let mut smaller = platform.clone();
        let removed = smaller.spec.services.remove(index.index(smaller.spec.services.len())).name;
        for service in &mut smaller.spec.services {
            if let Some(names) = &mut service.depends_on {
                names.retain(|name| *name != removed);
            }
        }
        let changes = diff(&desired(&smaller), &live_of(&before), &uid(&platform), true, &Holds::new());
        let is_of_removed = |object: &DynamicObject| {
            object.labels().get(labels::NAME) == Some(&removed)
                && object.labels().get(labels::COMPONENT).is_some_and(|c| c == "service" || c == "monitoring")
        };
        let expected: BTreeSet<_> = before
            .iter()
            .filter(|(key, object)| is_of_removed(object) && key.kind != Kind::PersistentVolumeClaim)
            .map(|(key, _)| key.clone())
            .collect();
        // Its role and its schema are done with, and what is done once for all roles is another Job then.
        let is_done_once = |key: &&ObjectKey| {
            let component = before.get(key).and_then(|object| object.labels().get(labels::COMPONENT));
            component.is_some_and(|component| component == "migration" || component.starts_with("database-roles"))
        };
        let pruned = changes.prunes.iter().map(|prune| &prune.key);
        prop_assert_eq!(pruned.filter(|key| !is_done_once(key)).cloned().collect::<BTreeSet<_>>(), expected);
        for apply in changes.waves.iter().flat_map(|wave| &wave.applies) {
            let is_new = before.get(&apply.key).is_none();
            prop_assert_eq!(apply.cause == Cause::Changed, !is_new, "{}", apply.key);
        }
    }
}
