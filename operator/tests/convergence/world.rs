//! An operator on a cluster in memory.

use std::cell::Cell;
use std::collections::BTreeSet;

use jiff::Timestamp;
use kube::ResourceExt;
use platform_core::api::Platform;
use platform_core::desired::Desired;
use platform_core::diff::diff;
use platform_core::holds::Holds;
use platform_core::kinds::{Kind, ObjectKey};
use platform_core::labels;
use platform_core::references::references;
use platform_core::resolve::resolve;
use platform_core::step::{Facts, Live};
use platform_operator::cluster::PlatformKey;
use platform_operator::controller::{Holdings, Knowledge, ReconcileError, Referrers, read_facts, reconcile};
use platform_testkit::{FakeCluster, Fate, Write, settings};

/// Reconciles, each followed by the cluster's own controllers, in which a Platform has to be ready.
const STEPS: usize = 16;

/// An operator on a cluster in memory, with a clock that moves by a minute with each reconcile.
pub(crate) struct World {
    pub(crate) cluster: FakeCluster,
    pub(crate) key: PlatformKey,
    /// Whether its status was written a moment ago.
    pub(crate) was_told_lately: Cell<bool>,
    minutes: Cell<i64>,
    referrers: Referrers,
    holdings: Holdings,
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
            was_told_lately: Cell::new(false),
            minutes: Cell::new(0),
            referrers: Referrers::default(),
            holdings: Holdings::default(),
            runtime,
        }
    }

    pub(crate) fn reconcile(&self) -> Result<(), Box<ReconcileError>> {
        self.minutes.set(self.minutes.get() + 1);
        let now = Timestamp::from_second(1_000_000 + self.minutes.get() * 60).expect("a valid instant");
        let settings = settings();
        let knowledge = Knowledge {
            settings: &settings,
            kinds: &BTreeSet::new(),
            evidence: None,
            referrers: &self.referrers,
            holdings: &self.holdings,
            was_told_lately: self.was_told_lately.get(),
        };
        self.runtime
            .block_on(reconcile(&self.cluster, &knowledge, &self.key, || now))
            .map(drop)
            .map_err(Box::new)
    }

    pub(crate) fn settle(&self) {
        self.cluster.settle(|_| Fate::Serve);
    }

    /// Somebody makes or changes everything that the Platform refers to, or deletes it.
    pub(crate) fn keep_referred(&self, stays: bool) {
        for reference in references(&self.platform()) {
            if stays {
                self.cluster.put_referred(&self.key.namespace, reference);
            } else {
                self.cluster.delete_referred(&self.key.namespace, &reference);
            }
        }
    }

    /// Nothing goes wrong any more: reconciles until nothing is written.
    pub(crate) fn quiet(&self) {
        self.cluster.heal();
        self.cluster.take_writes();
        self.keep_referred(true);
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

    fn facts(&self) -> Facts {
        self.runtime
            .block_on(read_facts(&self.cluster, &self.platform(), &BTreeSet::new()))
            .expect("nothing goes wrong")
    }

    /// The cluster has what the Platform asks for, says so, and stays as it is.
    pub(crate) fn assert_converged(&self) {
        assert_eq!(self.condition("Ready").0, "True", "{:?}", self.condition("Ready"));
        let platform = self.platform();
        let mut resolved =
            resolve(&platform, &self.facts(), &settings()).expect("the Platform keeps every rule");
        // An object that lost its label and is not wanted any more is nobody's until its owner goes, with which the
        // cluster deletes it: only what is listed counts here.
        let mut objects = self.cluster.objects();
        objects.retain(|_, object| object.labels().get(labels::PLATFORM_UID) == Some(&resolved.uid));
        let live = Live {
            objects,
            ..Live::default()
        };
        resolved.uids = live.uids();
        let changes = diff(
            &Desired::new(&resolved),
            &live,
            &resolved.uid,
            true,
            &Holds::new(),
        );
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
