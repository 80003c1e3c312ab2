//! When a status is written, and what events tell.

use std::time::Duration;

use platform_testkit::{Fate, Write, example};

use crate::world::World;

/// Any time that is not over yet.
const MOMENT: Duration = Duration::from_secs(1);

#[test]
fn a_missing_image_is_told_and_recovered_from() {
    let world = World::new(example("demo"));
    world.quiet();
    world.cluster.take_events();

    world.cluster.edit_platform(&world.key, |spec| {
        spec.services[2].image = Some("registry.test/chat:typo".to_owned());
    });
    world
        .reconcile()
        .expect("the image is not the operator's to judge");
    world.cluster.settle(|app| {
        if app == "chat" {
            Fate::ImageMissing
        } else {
            Fate::Serve
        }
    });
    world.reconcile().expect("nothing goes wrong with writing");
    let message = "chat: container chat image registry.test/chat:typo cannot be pulled: not found";
    assert_eq!(
        world.condition("Ready"),
        ("False".into(), "ImagePullFailed".into(), message.into())
    );
    assert_eq!(world.condition("Stalled").0, "True");
    assert_eq!(
        world
            .platform()
            .status
            .and_then(|status| status.ready_services)
            .as_deref(),
        Some("3/4")
    );

    world
        .cluster
        .edit_platform(&world.key, |spec| spec.services[2].image = None);
    world.quiet();
    world.assert_converged();
    let reasons: Vec<_> = world
        .cluster
        .take_events()
        .into_iter()
        .map(|event| event.reason)
        .collect();
    assert_eq!(reasons, ["ImagePullFailed", "AllComponentsReady"]);
}

#[test]
fn progress_alone_is_told_a_little_later_and_anything_else_at_once() {
    let world = World::new(example("demo"));
    let tells = || {
        let writes = world.cluster.take_writes();
        writes.iter().any(|write| matches!(write, Write::Status(_)))
    };
    world.reconcile().expect("nothing goes wrong");
    assert!(tells(), "the first status");

    world.fresh_for.set(MOMENT);
    world.settle();
    world.reconcile().expect("nothing goes wrong");
    assert!(!tells(), "more is there");
    world.fresh_for.set(Duration::ZERO);
    world.reconcile().expect("nothing goes wrong");
    assert!(tells());
    assert_eq!(world.condition("Ready").1, "Progressing");

    world.fresh_for.set(MOMENT);
    world.cluster.settle(|_| Fate::ImageMissing);
    world.reconcile().expect("nothing goes wrong");
    assert!(tells(), "something is in the way");
}
