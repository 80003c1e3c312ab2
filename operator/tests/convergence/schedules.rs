//! Random schedules of everything that can happen to a cluster.

use platform_core::api::{
    EnvVar, ExposureSpec, ExposureType, JaegerSpec, JaegerType, PlatformSpec, ServiceSpec,
};
use platform_core::kinds::Kind;
use platform_core::step::FailureCategory;
use platform_testkit::{Fault, platforms};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::world::World;

/// A service that is added and taken away.
const EXTRA: &str = "extra";

/// Something that happens to a cluster.
#[derive(Clone, Debug)]
enum Happening {
    Edit(Edit),
    Fault(Fault),
    Restart,
    ByHand(Index, ByHand),
    /// What the Platform refers to is made or changed, or goes.
    Referred {
        stays: bool,
    },
    Settle,
    /// The watch of a kind tells of what has happened. Where this is missing, it is late.
    Hear(Kind),
    /// The watch of a kind begins anew, and tells of what is there instead.
    WatchAnew(Kind),
    /// The operator looks at the Platform, whatever it has heard.
    Look,
    /// It has heard everything, and looks.
    Reconcile,
}

/// An edit of the spec.
#[derive(Clone, Debug)]
enum Edit {
    Sampling(i32),
    Jaeger(JaegerType),
    Exposure(ExposureType),
    AddService(i32),
    RemoveService,
    /// One that breaks a rule.
    Spoil,
    Repair,
}

/// An edit of an object by somebody else.
#[derive(Clone, Debug)]
enum ByHand {
    Delete,
    Scale,
    DropLabels,
    AddLabel,
}

fn apply_edit(spec: &mut PlatformSpec, edit: &Edit) {
    match edit {
        Edit::Sampling(percent) => spec.telemetry.tracing.sampling_percent = *percent,
        Edit::Jaeger(type_) => {
            spec.telemetry.tracing.jaeger = JaegerSpec {
                type_: *type_,
                managed: None,
                external: None,
            };
            if *type_ == JaegerType::Disabled {
                spec.telemetry.tracing.exporters.clear();
            }
        }
        Edit::Exposure(type_) => {
            spec.exposure = ExposureSpec {
                type_: *type_,
                ..ExposureSpec::default()
            };
        }
        Edit::AddService(replicas) => {
            spec.services.retain(|service| service.name != EXTRA);
            spec.services.push(ServiceSpec {
                image: Some("registry.test/extra:1".to_owned()),
                port: Some(8080),
                replicas: Some(*replicas),
                env: vec![EnvVar {
                    name: "N".to_owned(),
                    value: Some(replicas.to_string()),
                    value_from: None,
                }],
                ..ServiceSpec::named(EXTRA)
            });
        }
        Edit::RemoveService => spec.services.retain(|service| service.name != EXTRA),
        Edit::Spoil => spec.services.push(ServiceSpec::named("without-image")),
        Edit::Repair => spec.services.retain(|service| service.name != "without-image"),
    }
}

fn edit_by_hand(world: &World, index: Index, by_hand: &ByHand) {
    let objects = world.cluster.objects();
    if objects.is_empty() {
        return;
    }
    let key = index.get(&objects.keys().cloned().collect::<Vec<_>>()).clone();
    match by_hand {
        ByHand::Delete => world.cluster.delete_object(&key),
        ByHand::Scale => world.cluster.edit_object(&key, |object| {
            if let Some(replicas) = object.pointer_mut("/spec/replicas") {
                *replicas = 9.into();
            }
        }),
        ByHand::DropLabels => world.cluster.edit_object(&key, |object| {
            object["metadata"]["labels"] = serde_json::json!({});
        }),
        ByHand::AddLabel => world.cluster.edit_object(&key, |object| {
            object["metadata"]["labels"]["example.com/theirs"] = "stays".into();
        }),
    }
}

fn happen(world: &World, happening: &Happening) {
    match happening {
        Happening::Edit(edit) => world
            .cluster
            .edit_platform(&world.key, |spec| apply_edit(spec, edit)),
        Happening::Fault(fault) => world.cluster.inject(*fault),
        Happening::Restart => world.restart(),
        Happening::ByHand(index, by_hand) => edit_by_hand(world, *index, by_hand),
        Happening::Referred { stays } => world.keep_referred(*stays),
        Happening::Settle => world.settle(),
        Happening::Hear(kind) => world.hear(|of| of == *kind),
        Happening::WatchAnew(kind) => world.watch_anew(*kind),
        Happening::Look => drop(world.look()),
        // Failures are what this is about: the next reconcile has to cope.
        Happening::Reconcile => drop(world.reconcile()),
    }
}

fn happenings() -> impl Strategy<Value = Happening> {
    let edit = prop_oneof![
        (0..=100_i32).prop_map(Edit::Sampling),
        select(vec![JaegerType::Managed, JaegerType::Disabled]).prop_map(Edit::Jaeger),
        select(vec![ExposureType::None, ExposureType::NodePort]).prop_map(Edit::Exposure),
        (0..3_i32).prop_map(Edit::AddService),
        Just(Edit::RemoveService),
        Just(Edit::Spoil),
        Just(Edit::Repair),
    ];
    let refusals = select(vec![
        FailureCategory::Conflict,
        FailureCategory::Contested,
        FailureCategory::Forbidden,
        FailureCategory::Throttled,
        FailureCategory::Unavailable,
    ]);
    let fault = prop_oneof![
        (0..12_usize).prop_map(Fault::CrashAfter),
        (0..12_usize, refusals).prop_map(|(after, category)| Fault::RefuseWrite(after, category)),
        Just(Fault::StaleLists),
    ];
    let by_hand = select(vec![
        ByHand::Delete,
        ByHand::Scale,
        ByHand::DropLabels,
        ByHand::AddLabel,
    ]);
    let watched = || {
        select(vec![
            Kind::Deployment,
            Kind::Pod,
            Kind::Service,
            Kind::ConfigMap,
            Kind::NetworkPolicy,
            Kind::PersistentVolumeClaim,
        ])
    };
    prop_oneof![
        3 => edit.prop_map(Happening::Edit),
        3 => fault.prop_map(Happening::Fault),
        2 => Just(Happening::Restart),
        3 => (any::<Index>(), by_hand).prop_map(|(index, by_hand)| Happening::ByHand(index, by_hand)),
        2 => any::<bool>().prop_map(|stays| Happening::Referred { stays }),
        2 => Just(Happening::Settle),
        2 => watched().prop_map(Happening::Hear),
        1 => watched().prop_map(Happening::WatchAnew),
        3 => Just(Happening::Look),
        5 => Just(Happening::Reconcile),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_platform_gets_ready_and_then_rests(
        platform in platforms(),
        schedule in prop::collection::vec(happenings(), 0..24),
    ) {
        let world = World::new(platform);
        for happening in &schedule {
            happen(&world, happening);
        }
        world.cluster.edit_platform(&world.key, |spec| apply_edit(spec, &Edit::Repair));
        world.quiet();
        world.assert_converged();
    }
}
