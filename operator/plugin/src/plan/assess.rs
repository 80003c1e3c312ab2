//! What changes mean to those who use the Platform: a pure function of the comparison.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;
use kube::{ResourceExt, core::DynamicObject};
use platform_core::{
    api::Platform,
    diff::{Apply, Cause, FieldChange, Prune},
    hash::short_hash_of,
    kinds::{Kind, ObjectKey},
    labels::{self, Component},
    step::Live,
};
use platform_operator::diff::Comparison;
use serde::Serialize;
use serde_json::Value;

/// What applying a file would change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// The changes, in the order in which they come.
    pub changes: Vec<Change>,
    /// Number of objects that stay as they are.
    pub unchanged: usize,
}

/// What happens to an object.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// What.
    pub action: Action,
    /// Kind of the object.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Why.
    pub why: String,
    /// Its fields that differ; values of variables are withheld.
    pub fields: Vec<FieldChange>,
    /// What it waits for before it happens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits: Option<String>,
    /// What becomes of pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pods: Option<Pods>,
    /// What becomes of data.
    pub data: Vec<String>,
}

/// What is done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is made.
    Create,
    /// It is changed.
    Update,
    /// It is taken away.
    Delete,
}

/// What becomes of pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pods {
    /// What.
    pub effect: Effect,
    /// Which: those that are there now.
    pub names: Vec<String>,
}

/// What becomes of the pods of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// They start.
    Start,
    /// Each is replaced once its successor serves.
    Roll,
    /// They end before their successors start: the service is away meanwhile.
    Restart,
    /// Some start or some end.
    Scale,
    /// They end.
    End,
}

/// Says what every change means.
pub fn assess(compared: &Comparison) -> Plan {
    let Comparison {
        platform,
        live,
        changes,
    } = compared;
    let now = changes.waves.iter().flat_map(|wave| &wave.applies);
    let now = now.map(|apply| assess_apply(platform, live, apply, None));
    let later = changes
        .held
        .iter()
        .map(|held| assess_apply(platform, live, &held.apply, Some(held.cause.message.clone())));
    let prunes = changes.prunes.iter().map(|prune| assess_prune(live, prune));
    Plan {
        changes: now.chain(later).chain(prunes).collect(),
        unchanged: changes.kept,
    }
}

fn assess_apply(platform: &Platform, live: &Live, apply: &Apply, waits: Option<String>) -> Change {
    let is_creation = apply.cause.is_creation();
    let pods = effect_of(platform, apply).map(|effect| Pods {
        effect,
        names: pods_of(live, &apply.object),
    });
    let mut data = volume_changes(apply);
    if let Some(before) = live.objects.get(&apply.key) {
        data.extend(abandoned_claims(before, Some(&apply.object)));
        if pods.as_ref().is_some_and(|pods| pods.effect != Effect::Scale) {
            data.extend(lost_memory(before));
        }
    }
    Change {
        action: if is_creation {
            Action::Create
        } else {
            Action::Update
        },
        why: apply.reason(),
        fields: apply.fields.clone(),
        waits,
        pods,
        data,
        ..Change::of(&apply.key)
    }
}

fn assess_prune(live: &Live, prune: &Prune) -> Change {
    let before = live.objects.get(&prune.key);
    let pods = before.filter(|_| is_workload(prune.key.kind)).map(|object| Pods {
        effect: Effect::End,
        names: pods_of(live, object),
    });
    let mut data = Vec::new();
    if let Some(object) = before {
        data.extend(abandoned_claims(object, None));
        data.extend(lost_memory(object));
    }
    if matches!(prune.key.kind, Kind::PersistentVolumeClaim | Kind::Secret) {
        data.push("what it holds is lost".to_owned());
    }
    Change {
        action: Action::Delete,
        why: prune.reason.clone(),
        pods,
        data,
        ..Change::of(&prune.key)
    }
}

impl Change {
    fn of(key: &ObjectKey) -> Self {
        Self {
            action: Action::Update,
            kind: key.kind.to_string(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            why: String::new(),
            fields: Vec::new(),
            waits: None,
            pods: None,
            data: Vec::new(),
        }
    }
}

const fn is_workload(kind: Kind) -> bool {
    matches!(kind, Kind::Deployment | Kind::StatefulSet)
}

/// What an apply does to pods; None if nothing.
fn effect_of(platform: &Platform, apply: &Apply) -> Option<Effect> {
    let starts = apply.cause.is_creation();
    match apply.key.kind {
        Kind::Job if starts => return Some(Effect::Start),
        kind if !is_workload(kind) => return None,
        _ if starts => return Some(Effect::Start),
        _ => {}
    }
    let concerns = |prefix: &str| apply.fields.iter().any(|field| field.path.starts_with(prefix));
    if concerns("spec.template") || releases_template(platform, apply) {
        // The one pod of a StatefulSet ends before the next one starts, whatever its strategy is called.
        let is_alone = apply.key.kind == Kind::StatefulSet
            || apply.object.data.pointer("/spec/strategy/type") == Some(&Value::from("Recreate"));
        return Some(if is_alone { Effect::Restart } else { Effect::Roll });
    }
    concerns("spec.replicas").then_some(Effect::Scale)
}

/// Whether the pods of a service change by what is no longer wanted of them: a field that is released differs in nothing.
fn releases_template(platform: &Platform, apply: &Apply) -> bool {
    let status = platform.status.as_ref();
    let service = apply.object.labels().get(labels::NAME);
    let known = status
        .into_iter()
        .flat_map(|status| &status.services)
        .find(|known| Some(&known.name) == service);
    let template = apply
        .object
        .data
        .pointer("/spec/template")
        .unwrap_or(&Value::Null);
    known.is_some_and(|known| known.config_hash != short_hash_of(template))
}

/// The pods of a workload: those of its name and role.
fn pods_of(live: &Live, workload: &DynamicObject) -> Vec<String> {
    let has_same = |pod: &Pod, label: &str| pod.labels().get(label) == workload.labels().get(label);
    let own = live
        .pods
        .iter()
        .filter(|pod| has_same(pod, labels::NAME) && has_same(pod, labels::COMPONENT));
    let mut names: Vec<_> = own.map(ResourceExt::name_any).collect();
    names.sort();
    names
}

fn claims(workload: &DynamicObject) -> BTreeSet<&str> {
    let volumes = workload
        .data
        .pointer("/spec/template/spec/volumes")
        .and_then(Value::as_array);
    volumes
        .into_iter()
        .flatten()
        .filter_map(|volume| volume.pointer("/persistentVolumeClaim/claimName")?.as_str())
        .collect()
}

/// Claims that a workload has and will not have any more: they are kept, and nobody reads them.
fn abandoned_claims(before: &DynamicObject, after: Option<&DynamicObject>) -> Vec<String> {
    let after = after.map(claims).unwrap_or_default();
    let abandoned = claims(before).into_iter().filter(|claim| !after.contains(claim));
    abandoned
        .map(|claim| {
            format!("PersistentVolumeClaim {claim} stays with its data, and nothing reads it any more")
        })
        .collect()
}

/// What a workload holds in memory alone.
fn lost_memory(workload: &DynamicObject) -> Option<String> {
    let component = workload.labels().get(labels::COMPONENT)?;
    let what = if *component == Component::Jaeger.as_str() {
        "traces"
    } else if *component == Component::Prometheus.as_str() {
        "metrics"
    } else {
        return None;
    };
    let has_pods = workload.data.pointer("/spec/template").is_some();
    (has_pods && claims(workload).is_empty())
        .then(|| format!("the {what} until now are lost: they are kept in memory"))
}

/// What happens to a volume itself, or to what ends with the Platform.
fn volume_changes(apply: &Apply) -> Vec<String> {
    if !apply.key.kind.info().is_kept() || apply.cause.is_creation() {
        return Vec::new();
    }
    if apply.cause == Cause::Left {
        return vec!["it goes on with what an earlier Platform of this name left".to_owned()];
    }
    let sentence = |field: &FieldChange| match field.path.as_str() {
        "spec.resources.requests.storage" => Some("the volume grows, and cannot shrink again".to_owned()),
        path if path.starts_with("spec.") => Some(format!(
            "the API server refuses this: {path} of a claim cannot be changed"
        )),
        path if path.starts_with("metadata.ownerReferences") => {
            Some("it will be deleted with the Platform: deletionPolicy is no longer RetainStorage".to_owned())
        }
        _ => None,
    };
    apply.fields.iter().filter_map(sentence).collect()
}
