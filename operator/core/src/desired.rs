//! The objects of a Platform as they should be: in waves, with unique keys; owner, labels and hash are stamped here
//! and nowhere else.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::core::DynamicObject;
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde_json::{Value, json};

use crate::api::Platform;
use crate::build::{Body, Part, build};
use crate::hash::{hash_of_parts, short_hash_of};
use crate::kinds::{Kind, ObjectKey};
use crate::labels::{self, Component};
use crate::names::job;
use crate::references::{pod_template_mut, version_of_inputs};
use crate::resolve::{Database, Resolved};

/// Every object of a Platform, in the order of applying.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    objects: Vec<(ObjectKey, DynamicObject)>,
}

impl Desired {
    /// The objects of this Platform.
    pub fn new(resolved: &Resolved) -> Self {
        let mut objects: Vec<_> = build(resolved)
            .into_iter()
            .map(|part| stamp(resolved, part))
            .collect();
        // Stable: inside a wave the builders' order stays, which is the services' start order.
        objects.sort_by_key(|(key, _)| key.kind.info().wave());
        Self { objects }
    }

    /// The objects, in the order of applying.
    pub fn iter(&self) -> impl Iterator<Item = (&ObjectKey, &DynamicObject)> {
        self.objects.iter().map(|(key, object)| (key, object))
    }

    /// The object at this address.
    pub fn get(&self, key: &ObjectKey) -> Option<&DynamicObject> {
        self.iter()
            .find(|(candidate, _)| *candidate == key)
            .map(|(_, object)| object)
    }

    /// The Job with this value of the label `app.kubernetes.io/name`.
    pub fn job(&self, app: &str) -> Option<&ObjectKey> {
        self.iter()
            .find(|(key, object)| {
                key.kind == Kind::Job && object.labels().get(labels::NAME).is_some_and(|name| name == app)
            })
            .map(|(key, _)| key)
    }

    /// Number of objects.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether there are no objects.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }
}

/// Gives a part its identity: names, labels, owner, and the hash of all that.
fn stamp(resolved: &Resolved, part: Part) -> (ObjectKey, DynamicObject) {
    let labels = labels_of(resolved, &part);
    let Body { kind, mut content } = part.body;
    let inputs = version_of_inputs(&content, |reference| resolved.version(reference));
    describe_pods(&mut content, &labels, inputs);
    if kind == Kind::CronJob {
        // Its Jobs have to be found again.
        content["spec"]["jobTemplate"]["metadata"]["labels"] = json!(labels);
    }
    let name = match kind {
        Kind::Job => job(&part.name, &short_hash_of(&content)),
        _ => part.name,
    };
    let key = ObjectKey {
        kind,
        namespace: resolved.namespace.clone(),
        name,
    };
    // The garbage collector passes over what has no owner.
    let outlives = outlives(resolved, kind, part.component, &part.app);
    let mut object = DynamicObject::new("", &kind.info().api_resource()).data(json!({}));
    object.metadata = ObjectMeta {
        name: Some(key.name.clone()),
        namespace: Some(key.namespace.clone()),
        labels: Some(labels),
        owner_references: (!outlives).then(|| vec![owner(resolved)]),
        ..ObjectMeta::default()
    };
    let hash = hash_of_parts([&to_value(&object), &content]);
    object.data = content;
    object.metadata.annotations = Some(BTreeMap::from([(labels::APPLIED_HASH.to_owned(), hash)]));
    (key, object)
}

/// Whether the object stays when its Platform is deleted: as data that is to be retained, or because data that is not the
/// Platform's to delete cannot be read without it.
fn outlives(resolved: &Resolved, kind: Kind, component: Component, app: &str) -> bool {
    let opens_foreign_data = || {
        component == Component::EncryptionKey
            && resolved
                .service(app)
                .is_some_and(|service| matches!(service.database, Some(Database::External(_))))
    };
    kind.info().is_kept() && (resolved.retains_storage || opens_foreign_data())
}

fn labels_of(resolved: &Resolved, part: &Part) -> BTreeMap<String, String> {
    [
        (labels::NAME, part.app.as_str()),
        (labels::INSTANCE, resolved.name.as_str()),
        (labels::COMPONENT, part.component.as_str()),
        (labels::PART_OF, labels::PART_OF_VALUE),
        (labels::MANAGED_BY, labels::OPERATOR),
        (labels::PLATFORM, resolved.name.as_str()),
        (labels::PLATFORM_UID, resolved.uid.as_str()),
    ]
    .into_iter()
    .chain((part.component == Component::Dashboard).then_some((labels::GRAFANA_DASHBOARD, "1")))
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect()
}

/// The Platform as controller: the cluster deletes what it owns when it is deleted. `blockOwnerDeletion` is left out,
/// since setting it asks for one more permission and gains nothing here.
fn owner(resolved: &Resolved) -> OwnerReference {
    OwnerReference {
        api_version: Platform::api_version(&()).into_owned(),
        kind: Platform::kind(&()).into_owned(),
        name: resolved.name.to_string(),
        uid: resolved.uid.clone(),
        controller: Some(true),
        block_owner_deletion: None,
    }
}

/// Gives the pods of a workload the labels of the workload, and the version of what they read.
fn describe_pods(content: &mut Value, labels: &BTreeMap<String, String>, inputs: Option<String>) {
    if let Some(Value::Object(template)) = pod_template_mut(content) {
        let metadata = template.entry("metadata").or_insert_with(|| json!({}));
        metadata["labels"] = json!(labels);
        if let Some(inputs) = inputs {
            metadata["annotations"][labels::INPUTS_HASH] = json!(inputs);
        }
    }
}

/// An object as JSON.
#[expect(
    clippy::expect_used,
    reason = "Kubernetes types have string keys only, and always serialise"
)]
pub(crate) fn to_value<T: Serialize>(object: &T) -> Value {
    serde_json::to_value(object).expect("Kubernetes types serialise")
}
