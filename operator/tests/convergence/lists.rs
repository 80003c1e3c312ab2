//! How much is listed, which is most of what a look costs the API server.

use std::collections::BTreeSet;

use kube::ResourceExt as _;
use platform_core::{kinds::Kind, labels};
use platform_testkit::{Fate, Fault, Write, example};

use crate::world::World;

/// What changes while a Platform gets ready.
const MOVING: [Kind; 2] = [Kind::Deployment, Kind::Pod];

/// What a demo has.
const OWN: [Kind; 6] = [
    Kind::ConfigMap,
    Kind::PersistentVolumeClaim,
    Kind::Service,
    Kind::NetworkPolicy,
    Kind::Deployment,
    Kind::Pod,
];

/// The kinds that the next look lists.
fn lists(world: &World) -> BTreeSet<Kind> {
    world.cluster.take_lists();
    world.reconcile().expect("nothing goes wrong");
    let lists = world.cluster.take_lists();
    let kinds: BTreeSet<_> = lists.iter().copied().collect();
    assert_eq!(kinds.len(), lists.len(), "each once: {lists:?}");
    kinds
}

/// Until it is ready, with another step of the cluster's own controllers before each look.
fn assert_only_what_moves_is_listed(world: &World) {
    for looks in 1.. {
        world.settle();
        assert_eq!(lists(world), MOVING.into());
        if world.condition("Ready").0 == "True" {
            return;
        }
        assert!(looks < 5, "it does not get ready");
    }
}

#[test]
fn of_a_new_platform_that_is_listed_which_no_watch_would_tell_of_and_then_what_moves() {
    let world = World::new(example("demo"));
    assert_eq!(lists(&world), [Kind::Secret].into());
    assert_only_what_moves_is_listed(&world);
}

#[test]
fn an_edit_is_one_look_at_what_the_platform_has_and_then_at_what_moves() {
    let world = World::new(example("demo"));
    world.quiet();
    world
        .cluster
        .edit_platform(&world.key, |spec| spec.telemetry.tracing.sampling_percent = 3);
    let edited: BTreeSet<_> = OWN.into_iter().chain([Kind::Secret]).collect();
    assert_eq!(lists(&world), edited);
    assert_only_what_moves_is_listed(&world);
}

/// Seen by what is listed in vain, since it is gone when it is read.
#[test]
fn what_an_edited_platform_has_is_read_while_it_is_read_itself() {
    let world = World::new(example("demo"));
    world.quiet();
    world
        .cluster
        .edit_platform(&world.key, |spec| spec.telemetry.tracing.sampling_percent = 3);
    world.hear(|_| true);
    world.cluster.delete_platform(&world.key);
    world.cluster.take_lists();
    world.look().expect("there is nothing to do");
    let edited: BTreeSet<_> = OWN.into_iter().chain([Kind::Secret]).collect();
    assert_eq!(BTreeSet::from_iter(world.cluster.take_lists()), edited);
}

#[test]
fn where_the_watch_told_of_an_earlier_platform_of_the_name_what_this_one_has_is_read_after_it() {
    let world = World::new(example("demo"));
    world.quiet();
    world.told_last_of("an earlier one");
    world.look().expect("nothing goes wrong");
    assert_eq!(
        world.cluster.take_writes(),
        Vec::<Write>::new(),
        "all of it is there"
    );
}

#[test]
fn a_platform_at_rest_is_looked_at_as_a_whole() {
    let world = World::new(example("demo"));
    world.quiet();
    assert_eq!(lists(&world), OWN.into());
}

#[test]
fn what_somebody_else_does_meanwhile_is_listed_and_undone() {
    let world = World::new(example("demo"));
    world.reconcile().expect("nothing goes wrong");
    let service = world.key_of(Kind::Service, "demo-auth");
    world.cluster.delete_object(&service);
    assert_eq!(lists(&world), [Kind::Service].into());
    assert!(world.cluster.objects().contains_key(&service));
}

#[test]
fn after_a_write_that_failed_all_is_listed() {
    let world = World::new(example("demo"));
    world.reconcile().expect("nothing goes wrong");
    world.cluster.settle(|_| Fate::ImageMissing);
    world.cluster.inject(Fault::CrashAfter(0));
    assert!(world.reconcile().is_err());
    world.cluster.heal();
    world.settle();
    assert_eq!(lists(&world), OWN.into());
}

#[test]
fn a_watch_that_begins_anew_leaves_nothing_to_rely_on() {
    let world = World::new(example("demo"));
    world.reconcile().expect("nothing goes wrong");
    let service = world.key_of(Kind::Service, "demo-auth");
    world.cluster.delete_object(&service);
    world.watch_anew(Kind::Service);
    world.settle();
    assert_eq!(lists(&world), OWN.into());
    assert!(world.cluster.objects().contains_key(&service));
}

#[test]
fn an_operator_that_begins_anew_lists_what_is_there() {
    let world = World::new(example("demo"));
    world.quiet();
    world.restart();
    let there: BTreeSet<_> = OWN.into_iter().chain([Kind::Secret]).collect();
    assert_eq!(lists(&world), there);
}

/// No watch tells of it then, and it is the Platform's all the same.
#[test]
fn what_lost_the_operators_name_while_nobody_looked_is_found_when_its_apply_is_refused() {
    let world = World::new(example("demo"));
    world.quiet();
    let objects = world.cluster.objects();
    for (key, object) in objects.iter().filter(|(key, _)| key.kind == Kind::ConfigMap) {
        let mut object = object.clone();
        object
            .labels_mut()
            .insert(labels::MANAGED_BY.to_owned(), "somebody".to_owned());
        world.cluster.delete_object(key);
        world.cluster.create_object(key, object);
    }
    world.restart();
    assert!(world.reconcile().is_err(), "it may be anybody's");
    assert!(lists(&world).contains(&Kind::ConfigMap));
    world.quiet();
    world.assert_converged();
}
