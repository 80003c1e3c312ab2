//! An operator on a cluster in memory.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::ResourceExt;
use platform_core::api::Platform;
use platform_core::desired::Desired;
use platform_core::diff::diff;
use platform_core::holds::Holds;
use platform_core::kinds::{KINDS, Kind, ObjectKey};
use platform_core::labels;
use platform_core::references::references;
use platform_core::resolve::resolve;
use platform_core::step::{Facts, Live};
use platform_operator::cluster::PlatformKey;
use platform_operator::controller::{
    Knowledge, Look, News, Outcome, ReconcileError, Reconciled, Referrers, read_facts, reconcile,
};
use platform_testkit::{FakeCluster, Fate, Told, Write, settings};

/// Reconciles, each followed by the cluster's own controllers, in which a Platform has to be ready.
const STEPS: usize = 16;

/// The pause after a failure.
const PAUSE: Duration = Duration::from_secs(5);

/// An operator on a cluster in memory, with a clock that moves by a minute with each reconcile. Its agenda has a clock of its
/// own, which moves as far as it takes for a look to be due.
pub(crate) struct World {
    pub(crate) cluster: FakeCluster,
    pub(crate) key: PlatformKey,
    /// How long a status of progress alone is to wait.
    pub(crate) fresh_for: Cell<Duration>,
    minutes: Cell<i64>,
    now: Cell<Instant>,
    referrers: Referrers,
    news: RefCell<News>,
    /// The uid that the watch of Platforms told of last.
    uid: RefCell<Option<String>>,
    /// What the watches did not tell of yet.
    untold: RefCell<Vec<Told>>,
    runtime: tokio::runtime::Runtime,
}

impl World {
    pub(crate) fn new(platform: Platform) -> Self {
        let cluster = FakeCluster::new();
        let key = cluster.create_platform(platform);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        let world = Self {
            cluster,
            key,
            fresh_for: Cell::default(),
            minutes: Cell::new(0),
            now: Cell::new(Instant::now()),
            referrers: Referrers::default(),
            news: RefCell::default(),
            uid: RefCell::default(),
            untold: RefCell::default(),
            runtime,
        };
        world.restart();
        world
    }

    /// The operator begins anew, and its watches with it.
    pub(crate) fn restart(&self) {
        self.cluster.heal();
        self.news.take();
        self.uid.replace(
            self.cluster
                .platform(&self.key)
                .and_then(|platform| platform.uid()),
        );
        // As the operator does, which watches Secrets elsewhere, and does without what comes with a CRD.
        let is_watched = |kind: &Kind| kind.info().is_everywhere() && *kind != Kind::Secret;
        for kind in KINDS.iter().map(|info| info.kind).filter(is_watched) {
            self.watch_anew(kind);
        }
    }

    fn news(&self) -> News {
        self.news.borrow().clone()
    }

    /// The watch of a kind begins, and tells what there is: whatever went meanwhile it tells nothing of.
    pub(crate) fn watch_anew(&self, kind: Kind) {
        self.collect_told();
        let is_of_kind = |told: &Told| matches!(told, Told::Object(of, _) if *of == kind);
        self.untold.borrow_mut().retain(|told| !is_of_kind(told));
        for event in self.cluster.initial(kind) {
            self.news().of_kind(kind, &event);
        }
    }

    /// The watches tell of what has happened to objects of these kinds, and to Platforms.
    pub(crate) fn hear(&self, is_heard: impl Fn(Kind) -> bool) {
        self.collect_told();
        let is_heard = |told: &Told| match told {
            Told::Platform(_) => true,
            Told::Object(kind, _) => is_heard(*kind),
        };
        let (heard, untold) = self.untold.take().into_iter().partition(is_heard);
        self.untold.replace(untold);
        let heard: Vec<Told> = heard;
        for told in heard {
            match told {
                Told::Platform(platform) => {
                    self.news().of_platform(&self.key, &*platform);
                    self.uid.replace(platform.uid());
                }
                // No watch of the operator's tells of a Secret as an object of a Platform.
                Told::Object(Kind::Secret, _) => {}
                Told::Object(kind, event) => self.news().of_kind(kind, &event),
            }
        }
    }

    /// The watch of Platforms is behind: it told last of one with this uid.
    pub(crate) fn told_last_of(&self, uid: &str) {
        self.uid.replace(Some(uid.to_owned()));
    }

    fn collect_told(&self) {
        self.untold.borrow_mut().extend(self.cluster.take_told());
    }

    /// A look after all that there is to hear.
    pub(crate) fn reconcile(&self) -> Result<(), Box<ReconcileError>> {
        self.hear(|_| true);
        self.look()
    }

    /// The next look, when its time has come.
    pub(crate) fn look(&self) -> Result<(), Box<ReconcileError>> {
        let news = self.news();
        let known = news.snapshots.take(&self.key, &self.begin());
        self.minutes.set(self.minutes.get() + 1);
        let now = Timestamp::from_second(1_000_000 + self.minutes.get() * 60).expect("a valid instant");
        let settings = settings();
        let uid = self.uid.borrow().clone();
        let knowledge = Knowledge {
            settings: &settings,
            kinds: &BTreeSet::new(),
            evidence: None,
            referrers: &self.referrers,
            holdings: &news.holdings,
            fresh_for: self.fresh_for.get(),
            uid: uid.as_deref(),
            is_edited: news.agenda.has_edit(&self.key),
        };
        let result = self
            .runtime
            .block_on(reconcile(&self.cluster, &knowledge, &self.key, known, || now));
        if self.cluster.platform(&self.key).is_none() {
            news.agenda.forget(&self.key);
            news.holdings.forget(&self.key);
            news.snapshots.forget(&self.key);
        }
        match result {
            Ok(reconciled) => {
                self.end(reconciled);
                Ok(())
            }
            Err(error) => {
                let now = self.now.get();
                news.agenda.end(&self.key, Outcome::default(), now, now + PAUSE);
                Err(Box::new(error))
            }
        }
    }

    fn begin(&self) -> Look {
        loop {
            match self.news().agenda.begin(&self.key, self.now.get()) {
                Ok(look) => return look,
                Err(rest) => self.now.set(self.now.get() + rest),
            }
        }
    }

    fn end(&self, reconciled: Reconciled) {
        if let Some(snapshot) = reconciled.snapshot {
            self.news().snapshots.keep(&self.key, snapshot);
        }
        let outcome = Outcome {
            written: reconciled.written,
            generation: reconciled.generation,
            is_edit: reconciled.is_edit,
            is_told: reconciled.is_told,
            is_to_tell: reconciled.is_to_tell,
        };
        let now = self.now.get();
        let due = now + reconciled.requeue.pause();
        self.news().agenda.end(&self.key, outcome, now, due);
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
