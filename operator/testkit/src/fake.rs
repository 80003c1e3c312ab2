//! A cluster in memory: versions, uids, generations, server-side apply, garbage collection, and faults on demand.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{iter, mem};

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use kube::core::DynamicObject;
use kube::runtime::watcher::Event;
use platform_core::api::{Platform, PlatformSpec, PlatformStatus};
use platform_core::claims::Claim;
use platform_core::diff::Prune;
use platform_core::kinds::{Kind, ObjectKey};
use platform_core::labels;
use platform_core::passwords::Content;
use platform_core::references::Reference;
use platform_core::step::{EventNote, FailureCategory};
use platform_operator::cluster::{Cluster, ClusterError, Contested, Found, PlatformKey};
use serde_json::Value;

use crate::merge;
use crate::rollout::{self, Fate};

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// After so many further writes nothing answers any more, as if the operator had been killed.
    CrashAfter(usize),
    /// After so many further writes the next one is refused.
    RefuseWrite(usize, FailureCategory),
    /// Lists show the objects as they are at this moment, whatever is written later.
    StaleLists,
}

/// A write that changed something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// An object was made or changed.
    Apply(ObjectKey),
    /// An object was deleted.
    Delete(ObjectKey),
    /// A status was written.
    Status(PlatformKey),
}

/// What a watch would tell of.
#[derive(Clone, Debug)]
pub enum Told {
    /// A Platform changed.
    Platform(Box<Platform>),
    /// An object, or a pod, changed or went.
    Object(Kind, Box<Event<DynamicObject>>),
}

/// A cluster in memory.
#[derive(Debug, Default)]
pub struct FakeCluster {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    revision: i64,
    platforms: BTreeMap<PlatformKey, Platform>,
    objects: BTreeMap<ObjectKey, DynamicObject>,
    /// What the operator applied last: the fields that it owns.
    applied: BTreeMap<ObjectKey, Value>,
    pods: Vec<Pod>,
    /// Versions of what Platforms refer to.
    referred: BTreeMap<(String, Reference), i64>,
    writes: Vec<Write>,
    told: Vec<Told>,
    lists: Vec<Kind>,
    events: Vec<EventNote>,
    fault: Option<Fault>,
    stale: Option<BTreeMap<ObjectKey, DynamicObject>>,
}

/// An object as JSON. Every Kubernetes type has one.
#[expect(clippy::expect_used, reason = "a broken test double has to end the test")]
pub(crate) fn to_value(object: &impl serde::Serialize) -> Value {
    serde_json::to_value(object).expect("an object serialises")
}

#[expect(clippy::expect_used, reason = "a broken test double has to end the test")]
pub(crate) fn from_value<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("an object deserialises")
}

impl FakeCluster {
    /// A cluster without objects.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates a Platform, as `kubectl apply` would.
    pub fn create_platform(&self, mut platform: Platform) -> PlatformKey {
        let mut state = self.lock();
        let key = PlatformKey::new(
            platform.namespace().unwrap_or_else(|| "default".to_owned()),
            platform.name_any(),
        );
        let revision = state.next();
        platform.metadata.namespace = Some(key.namespace.clone());
        platform.metadata.uid = Some(format!("uid-{revision}"));
        platform.metadata.generation = Some(1);
        platform.metadata.resource_version = Some(revision.to_string());
        state.told.push(Told::Platform(Box::new(platform.clone())));
        state.platforms.insert(key.clone(), platform);
        key
    }

    /// Edits a Platform's spec; its generation moves if that changed something.
    pub fn edit_platform(&self, key: &PlatformKey, edit: impl FnOnce(&mut PlatformSpec)) {
        let mut state = self.lock();
        let revision = state.next();
        let State { platforms, told, .. } = &mut *state;
        if let Some(platform) = platforms.get_mut(key) {
            let before = platform.spec.clone();
            edit(&mut platform.spec);
            if platform.spec != before {
                platform.metadata.generation = platform.metadata.generation.map(|generation| generation + 1);
                platform.metadata.resource_version = Some(revision.to_string());
                told.push(Told::Platform(Box::new(platform.clone())));
            }
        }
    }

    /// Deletes a Platform, and by their owner references all its objects.
    pub fn delete_platform(&self, key: &PlatformKey) {
        let mut state = self.lock();
        let Some(uid) = state.platforms.remove(key).and_then(|platform| platform.uid()) else {
            return;
        };
        let is_owned =
            |object: &DynamicObject| object.owner_references().iter().any(|owner| owner.uid == uid);
        let gone = state.objects.iter().filter(|(_, object)| is_owned(object));
        for key in gone.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            state.remove(&key);
        }
    }

    /// The Platform as it is.
    pub fn platform(&self, key: &PlatformKey) -> Option<Platform> {
        self.lock().platforms.get(key).cloned()
    }

    /// Every object as it is.
    pub fn objects(&self) -> BTreeMap<ObjectKey, DynamicObject> {
        self.lock().objects.clone()
    }

    /// Edits an object by hand, as somebody else.
    pub fn edit_object(&self, key: &ObjectKey, edit: impl FnOnce(&mut Value)) {
        let mut state = self.lock();
        if let Some(object) = state.objects.get(key) {
            let mut value = to_value(object);
            edit(&mut value);
            state.store(key, from_value(value));
        }
    }

    /// Creates or changes, by hand, a Secret or a `ConfigMap` that Platforms refer to.
    pub fn put_referred(&self, namespace: &str, reference: Reference) {
        let mut state = self.lock();
        let revision = state.next();
        state.referred.insert((namespace.to_owned(), reference), revision);
    }

    /// Deletes, by hand, what Platforms refer to.
    pub fn delete_referred(&self, namespace: &str, reference: &Reference) {
        self.lock()
            .referred
            .remove(&(namespace.to_owned(), reference.clone()));
    }

    /// Creates an object by hand, as somebody else.
    pub fn create_object(&self, key: &ObjectKey, object: DynamicObject) {
        self.lock().store(key, object);
    }

    /// Deletes an object by hand, as somebody else.
    pub fn delete_object(&self, key: &ObjectKey) {
        self.lock().remove(key);
    }

    /// Lets the cluster's own controllers run until nothing moves: each workload gets the pods of its fate.
    pub fn settle(&self, fate: impl Fn(&str) -> Fate) {
        let mut state = self.lock();
        let mut objects = state.objects.clone();
        let pods = rollout::settle(&mut objects, fate);
        for (key, object) in objects {
            if state.objects.get(&key) != Some(&object) {
                state.put(&key, object);
            }
        }
        if pods != state.pods {
            let old = mem::replace(&mut state.pods, pods);
            let changed: Vec<_> = state.pods.iter().chain(&old).map(to_object).collect();
            for pod in changed {
                state.tell(Kind::Pod, Event::Apply(pod));
            }
        }
    }

    /// From now on, this goes wrong.
    pub fn inject(&self, fault: Fault) {
        let mut state = self.lock();
        state.stale = (fault == Fault::StaleLists).then(|| state.objects.clone());
        state.fault = Some(fault);
    }

    /// From now on nothing goes wrong; an operator that had crashed is started again.
    pub fn heal(&self) {
        let mut state = self.lock();
        state.fault = None;
        state.stale = None;
    }

    /// What the watches would have told since this was asked last.
    pub fn take_told(&self) -> Vec<Told> {
        mem::take(&mut self.lock().told)
    }

    /// What a watch of this kind that begins now would tell.
    pub fn initial(&self, kind: Kind) -> Vec<Event<DynamicObject>> {
        let state = self.lock();
        let objects = state.objects.iter().filter(|(key, _)| key.kind == kind);
        let objects = objects.map(|(_, object)| object.clone()).filter(is_watched);
        let pods = state.pods.iter().filter(|_| kind == Kind::Pod).map(to_object);
        let all = objects.chain(pods).map(Event::InitApply);
        iter::once(Event::Init)
            .chain(all)
            .chain([Event::InitDone])
            .collect()
    }

    /// The lists since this was asked last, by the kind of what was listed.
    pub fn take_lists(&self) -> Vec<Kind> {
        mem::take(&mut self.lock().lists)
    }

    /// The writes since this was asked last.
    pub fn take_writes(&self) -> Vec<Write> {
        mem::take(&mut self.lock().writes)
    }

    /// The events since this was asked last.
    pub fn take_events(&self) -> Vec<EventNote> {
        mem::take(&mut self.lock().events)
    }
}

impl State {
    fn next(&mut self) -> i64 {
        self.revision += 1;
        self.revision
    }

    /// An error if the operator is dead, or this write is to fail.
    fn admit_write(&mut self) -> Result<(), ClusterError> {
        match self.fault {
            Some(Fault::CrashAfter(0)) => Err(dead()),
            Some(Fault::CrashAfter(left)) => {
                self.fault = Some(Fault::CrashAfter(left - 1));
                Ok(())
            }
            Some(Fault::RefuseWrite(0, category)) => {
                self.fault = None;
                Err(refusal(category, "refused by the test"))
            }
            Some(Fault::RefuseWrite(left, category)) => {
                self.fault = Some(Fault::RefuseWrite(left - 1, category));
                Ok(())
            }
            Some(Fault::StaleLists) | None => Ok(()),
        }
    }

    fn admit_read(&self) -> Result<(), ClusterError> {
        if self.fault == Some(Fault::CrashAfter(0)) {
            Err(dead())
        } else {
            Ok(())
        }
    }

    /// Stores an object: a new version, and a new generation if more than its metadata and status changed.
    fn store(&mut self, key: &ObjectKey, mut object: DynamicObject) -> DynamicObject {
        let revision = self.next();
        let old = self.objects.get(key);
        let content = |object: &DynamicObject| {
            let mut data = object.data.clone();
            if let Value::Object(fields) = &mut data {
                fields.remove("status");
            }
            data
        };
        let generation = old.map_or(1, |old| {
            old.metadata.generation.unwrap_or(1) + i64::from(content(old) != content(&object))
        });
        let metadata = &mut object.metadata;
        metadata.uid = Some(
            old.and_then(ResourceExt::uid)
                .unwrap_or_else(|| format!("uid-{revision}")),
        );
        metadata.creation_timestamp = old
            .and_then(ResourceExt::creation_timestamp)
            .or_else(|| jiff::Timestamp::from_second(revision).ok().map(Time));
        metadata.generation = Some(generation);
        self.put(key, object)
    }

    /// The object in a new version.
    fn put(&mut self, key: &ObjectKey, mut object: DynamicObject) -> DynamicObject {
        object.metadata.resource_version = Some(self.next().to_string());
        let old = self.objects.insert(key.clone(), object.clone());
        if is_watched(&object) {
            self.tell(key.kind, Event::Apply(object.clone()));
        } else if let Some(old) = old {
            self.tell(key.kind, Event::Delete(old));
        }
        object
    }

    fn remove(&mut self, key: &ObjectKey) {
        self.applied.remove(key);
        if let Some(object) = self.objects.remove(key) {
            self.tell(key.kind, Event::Delete(object));
        }
    }

    /// Watches tell of what has the operator's label, or had it until now.
    fn tell(&mut self, kind: Kind, mut event: Event<DynamicObject>) {
        if let Event::Delete(object) = &mut event {
            object.metadata.resource_version = Some(self.next().to_string());
        }
        if matches!(&event, Event::Apply(object) | Event::Delete(object) if is_watched(object)) {
            self.told.push(Told::Object(kind, Box::new(event)));
        }
    }
}

fn is_watched(object: &DynamicObject) -> bool {
    object.labels().get(labels::MANAGED_BY).map(String::as_str) == Some(labels::OPERATOR)
}

fn to_object(pod: &Pod) -> DynamicObject {
    from_value(to_value(pod))
}

fn dead() -> ClusterError {
    ClusterError::Unreachable("the operator was killed by the test".to_owned())
}

fn refusal(category: FailureCategory, message: &str) -> ClusterError {
    ClusterError::Refused {
        category,
        message: message.to_owned(),
        retry_after: None,
    }
}

/// An object as a client gets it: of a Secret the metadata alone.
fn shown(kind: Kind, object: &DynamicObject) -> DynamicObject {
    let mut object = object.clone();
    if kind == Kind::Secret {
        object.data = Value::Object(serde_json::Map::new());
    }
    object
}

/// What the API server adds to every object of a kind, and the operator never asked for.
fn add_defaults(kind: Kind, value: &mut Value) {
    let (pointer, field, default) = match kind {
        Kind::Deployment => ("/spec/template/spec", "dnsPolicy", "ClusterFirst"),
        Kind::Service => ("/spec", "sessionAffinity", "None"),
        Kind::PersistentVolumeClaim => ("/spec", "volumeMode", "Filesystem"),
        _ => return,
    };
    if let Some(Value::Object(fields)) = value.pointer_mut(pointer) {
        fields.insert(field.to_owned(), default.into());
    }
}

impl Cluster for FakeCluster {
    async fn get(&self, key: &PlatformKey) -> Result<Option<Found>, ClusterError> {
        let state = self.lock();
        state.admit_read()?;
        let found = state.platforms.get(key).cloned();
        Ok(found.map(|platform| Found {
            platform,
            unreadable: None,
        }))
    }

    async fn list(&self, platform: &Platform, kind: Kind) -> Result<Vec<DynamicObject>, ClusterError> {
        let mut state = self.lock();
        state.admit_read()?;
        state.lists.push(kind);
        let objects = state.stale.as_ref().unwrap_or(&state.objects);
        let listed = objects.iter().filter(|(key, object)| {
            key.kind == kind && object.labels().get(labels::PLATFORM) == Some(&platform.name_any())
        });
        Ok(listed.map(|(_, object)| shown(kind, object)).collect())
    }

    async fn pods(&self, platform: &Platform) -> Result<Vec<Pod>, ClusterError> {
        let mut state = self.lock();
        state.admit_read()?;
        state.lists.push(Kind::Pod);
        let is_own = |pod: &&Pod| pod.labels().get(labels::PLATFORM_UID) == platform.uid().as_ref();
        Ok(state.pods.iter().filter(is_own).cloned().collect())
    }

    async fn version(&self, namespace: &str, reference: &Reference) -> Result<Option<String>, ClusterError> {
        let state = self.lock();
        state.admit_read()?;
        let key = (namespace.to_owned(), reference.clone());
        Ok(state.referred.get(&key).map(ToString::to_string))
    }

    async fn claims(&self) -> Result<Vec<Claim>, ClusterError> {
        let state = self.lock();
        state.admit_read()?;
        Ok(state.platforms.values().map(Claim::of).collect())
    }

    async fn apply(
        &self,
        key: &ObjectKey,
        object: &DynamicObject,
        contested: Contested,
    ) -> Result<DynamicObject, ClusterError> {
        let mut state = self.lock();
        state.admit_write()?;
        let platform = |object: &DynamicObject| object.labels().get(labels::PLATFORM).cloned();
        let is_foreign = state.objects.get(key).is_some_and(|stored| {
            // Nobody takes the label away by an apply of another Platform's name.
            let of_other = platform(stored).is_some() && platform(stored) != platform(object);
            of_other || !state.applied.contains_key(key)
        });
        if is_foreign && contested == Contested::Respected {
            return Err(refusal(
                FailureCategory::Contested,
                "Apply failed with 1 conflict: conflict with \"somebody\": .spec",
            ));
        }
        let now = to_value(object);
        let before = state.applied.get(key).cloned().unwrap_or(Value::Null);
        let old = state.objects.get(key).map(to_value);
        let mut target = old
            .clone()
            .unwrap_or_else(|| Value::Object(serde_json::Map::new()));
        merge::apply(&mut target, &before, &now);
        add_defaults(key.kind, &mut target);
        if let Some(old) = &old {
            let is_frozen = old.get("immutable") == Some(&Value::Bool(true));
            if is_frozen && old.get("data") != target.get("data") {
                return Err(refusal(
                    FailureCategory::Invalid,
                    "data: Forbidden: field is immutable",
                ));
            }
        }
        state.applied.insert(key.clone(), now);
        match (old, state.objects.get(key)) {
            (Some(old), Some(stored)) if old == target => Ok(shown(key.kind, stored)),
            _ => {
                state.writes.push(Write::Apply(key.clone()));
                Ok(shown(key.kind, &state.store(key, from_value(target))))
            }
        }
    }

    async fn create(
        &self,
        key: &ObjectKey,
        object: &DynamicObject,
        content: &Content,
    ) -> Result<DynamicObject, ClusterError> {
        {
            let mut state = self.lock();
            if !state.objects.contains_key(key) {
                state.admit_write()?;
                let mut whole = object.clone();
                whole.data = Value::Object(content.reveal());
                state.applied.insert(key.clone(), to_value(object));
                state.writes.push(Write::Apply(key.clone()));
                let stored = state.store(key, whole);
                return Ok(shown(key.kind, &stored));
            }
            if !state.applied.contains_key(key) {
                return Err(refusal(FailureCategory::Contested, "it already exists"));
            }
        }
        self.apply(key, object, Contested::Taken).await
    }

    async fn delete(&self, prune: &Prune) -> Result<(), ClusterError> {
        let mut state = self.lock();
        state.admit_write()?;
        let Some(object) = state.objects.get(&prune.key) else {
            return Ok(());
        };
        let is_same = object.uid().as_ref() == Some(&prune.uid)
            && object.resource_version().as_ref() == Some(&prune.resource_version);
        if !is_same {
            return Err(refusal(
                FailureCategory::Conflict,
                "the object is not the one that was seen",
            ));
        }
        state.remove(&prune.key);
        state.writes.push(Write::Delete(prune.key.clone()));
        Ok(())
    }

    async fn put_status(&self, platform: &Platform, status: &PlatformStatus) -> Result<String, ClusterError> {
        let mut state = self.lock();
        state.admit_write()?;
        let revision = state.next();
        let key = PlatformKey::of(platform);
        let stored = state
            .platforms
            .get_mut(&key)
            .filter(|stored| stored.uid() == platform.uid());
        let Some(stored) = stored else {
            return Err(ClusterError::NotFound(format!("platforms {key}")));
        };
        stored.status = Some(status.clone());
        stored.metadata.resource_version = Some(revision.to_string());
        let told = Told::Platform(Box::new(stored.clone()));
        state.told.push(told);
        state.writes.push(Write::Status(key));
        Ok(revision.to_string())
    }

    async fn publish(&self, _: &Platform, note: &EventNote) -> Result<(), ClusterError> {
        let mut state = self.lock();
        state.admit_read()?;
        state.events.push(note.clone());
        Ok(())
    }
}
