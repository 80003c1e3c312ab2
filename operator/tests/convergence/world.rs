//! An operator on a cluster in memory.

use std::cell::Cell;

use jiff::Timestamp;
use kube::ResourceExt;
use platform_core::api::Platform;
use platform_core::desired::Desired;
use platform_core::diff::diff;
use platform_core::kinds::{Kind, ObjectKey};
use platform_core::labels;
use platform_core::resolve::resolve;
use platform_core::step::Live;
use platform_operator::cluster::PlatformKey;
use platform_operator::controller::{ReconcileError, reconcile};
use platform_testkit::{FakeCluster, Fate, Write, settings};

/// Reconciles, each followed by the cluster's own controllers, in which a Platform has to be ready.
const STEPS: usize = 6;

/// An operator on a cluster in memory, with a clock that moves by a minute with each reconcile.
pub(crate) struct World {
    pub(crate) cluster: FakeCluster,
    pub(crate) key: PlatformKey,
    minutes: Cell<i64>,
    runtime: tokio::runtime::Runtime,
}

impl World {
    pub(crate) fn new(platform: Platform) -> Self {
        let cluster = FakeCluster::new();
        let key = cluster.create_platform(platform);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        Self {
            cluster,
            key,
            minutes: Cell::new(0),
            runtime,
        }
    }

    pub(crate) fn reconcile(&self) -> Result<(), Box<ReconcileError>> {
        self.minutes.set(self.minutes.get() + 1);
        let now = Timestamp::from_second(1_000_000 + self.minutes.get() * 60).expect("a valid instant");
        self.runtime
            .block_on(reconcile(&self.cluster, &settings(), &self.key, || now))
            .map(drop)
            .map_err(Box::new)
    }

    pub(crate) fn settle(&self) {
        self.cluster.settle(|_| Fate::Serve);
    }

    /// Nothing goes wrong any more: reconciles until nothing is written.
    pub(crate) fn quiet(&self) {
        self.cluster.heal();
        self.cluster.take_writes();
        for _ in 0..STEPS {
            self.settle();
            self.reconcile().expect("nothing goes wrong");
            if self.cluster.take_writes().is_empty() {
                return;
            }
        }
        panic!("after {STEPS} reconciles there are still writes");
    }

    pub(crate) fn platform(&self) -> Platform {
        self.cluster.platform(&self.key).expect("the Platform is there")
    }

    pub(crate) fn condition(&self, type_: &str) -> (String, String, String) {
        let status = self.platform().status.unwrap_or_default();
        let condition = status
            .conditions
            .into_iter()
            .find(|condition| condition.type_ == type_);
        let condition = condition.expect("every condition is there");
        (condition.status, condition.reason, condition.message)
    }

    /// The cluster has what the Platform asks for, says so, and stays as it is.
    pub(crate) fn assert_converged(&self) {
        assert_eq!(self.condition("Ready").0, "True", "{:?}", self.condition("Ready"));
        let platform = self.platform();
        let resolved = resolve(&platform, &settings()).expect("the Platform keeps every rule");
        // An object that lost its label and is not wanted any more is nobody's until its owner goes, with which the
        // cluster deletes it: only what is listed counts here.
        let mut objects = self.cluster.objects();
        objects.retain(|_, object| object.labels().get(labels::PLATFORM_UID) == Some(&resolved.uid));
        let live = Live {
            objects,
            pods: Vec::new(),
        };
        let changes = diff(&Desired::new(&resolved), &live, &resolved.uid, true);
        assert!(changes.is_empty(), "{changes:?}");
        let before = self.cluster.objects();
        for _ in 0..3 {
            self.reconcile().expect("nothing goes wrong");
        }
        assert_eq!(
            self.cluster.take_writes(),
            Vec::<Write>::new(),
            "at rest nothing is written"
        );
        assert_eq!(self.cluster.objects(), before);
    }

    pub(crate) fn key_of(&self, kind: Kind, name: &str) -> ObjectKey {
        ObjectKey {
            kind,
            namespace: self.key.namespace.clone(),
            name: name.to_owned(),
        }
    }
}
