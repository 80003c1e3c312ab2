//! The real cluster: each request under a deadline.

use std::{collections::BTreeSet, fmt::Debug, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, GetParams, ListParams, Patch, PatchParams, PostParams, Preconditions, VersionMatch},
    core::{ApiResource, DynamicObject, DynamicResourceScope, PartialObjectMeta, TypeMeta},
};
use platform_core::{
    api::{Platform, PlatformSpec, PlatformStatus},
    claims::Claim,
    diff::Prune,
    kinds::{Kind, ObjectKey},
    labels,
    ownership::belongs,
    passwords::Content,
    references::Reference,
    step::{EventNote, FailureCategory},
};
use serde::{Deserialize as _, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    Cluster, ClusterError, Contested, Found, PLATFORM, PlatformKey, Reach, Read, Revisions,
    discovery::known_kinds,
    events::Publisher,
    lists::{list_all, metadata_only, own, page_by_page, without_bulk},
};
use crate::schema::refusals;

/// kube's client has no deadline of its own for an answer (kube-rs/kube#1945), and a request that hangs would hold one
/// of the few places for reconciles for ever.
const DEADLINE: Duration = Duration::from_secs(10);

/// A cluster behind a [`Client`].
pub struct KubeCluster {
    client: Client,
    reach: Reach,
    publisher: Publisher,
    /// What is told of meanwhile; `None` where nobody tells.
    revisions: Option<Arc<Revisions>>,
}

impl KubeCluster {
    /// Events name `instance`, the operator's pod, as their reporter.
    pub fn new(client: Client, instance: Option<String>) -> Self {
        let instance = instance.unwrap_or_else(|| labels::OPERATOR.to_owned());
        Self {
            publisher: Publisher::new(client.clone(), instance),
            reach: Reach::default(),
            revisions: None,
            client,
        }
    }

    /// Looks no further than this.
    #[must_use]
    pub fn within(self, reach: Reach) -> Self {
        Self { reach, ..self }
    }

    /// Reads what is at least as new as a watch has told of, instead of the newest. For who looks again at what the watch
    /// tells of next.
    #[must_use]
    pub fn informed_by(self, revisions: Arc<Revisions>) -> Self {
        Self {
            revisions: Some(revisions),
            ..self
        }
    }

    fn saw(&self, kind: &'static str, revision: Option<&str>) {
        if let Some(revisions) = &self.revisions {
            revisions.saw(kind, revision);
        }
    }

    /// An answer that is at least as new as the revision of this kind that is known, which `ask` is given.
    async fn as_known<F, T>(
        &self,
        kind: &'static str,
        ask: impl Fn(Option<String>) -> F,
    ) -> Result<T, ClusterError>
    where
        F: Future<Output = Result<T, ClusterError>>,
    {
        let known = self
            .revisions
            .as_ref()
            .and_then(|revisions| Some((revisions, revisions.of(kind)?)));
        let Some((revisions, revision)) = known else {
            return ask(None).await;
        };
        match ask(Some(revision)).await {
            Err(ClusterError::Behind(_)) => {
                revisions.forget(kind);
                ask(None).await
            }
            answer => answer,
        }
    }

    /// All of a list that `keep` makes something of, at least as new as what is known.
    async fn list_known<K, T>(
        &self,
        kind: &'static str,
        api: Api<Read<K>>,
        params: ListParams,
        keep: impl Fn(K) -> Option<T>,
    ) -> Result<Vec<T>, ClusterError>
    where
        Read<K>: Clone + DeserializeOwned + Debug,
    {
        let listed = self
            .as_known(kind, |revision| {
                let params = params.clone();
                let params = match revision {
                    Some(revision) => params.matching(VersionMatch::NotOlderThan).at(&revision),
                    None => params,
                };
                list_all(&api, params, &keep)
            })
            .await?;
        self.saw(kind, listed.revision.as_deref());
        Ok(listed.items)
    }

    fn objects<K>(&self, kind: Kind, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = DynamicResourceScope, DynamicType = ApiResource>,
    {
        Api::namespaced_with(self.client.clone(), namespace, &kind.info().api_resource())
    }

    fn platforms(&self, namespace: &str) -> Api<Platform> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Untyped: a spec that does not parse is to be told in the status.
    fn untyped_platforms(&self, namespace: &str) -> Api<Read<DynamicObject>> {
        let resource = ApiResource::erase::<Platform>(&());
        Api::namespaced_with(self.client.clone(), namespace, &resource)
    }

    /// The kinds of others' CRDs that the cluster knows.
    pub async fn known_kinds(&self) -> Result<BTreeSet<Kind>, ClusterError> {
        known_kinds(&self.client).await
    }

    /// Whether the object that is there was written by the operator for this Platform: the API server keeps who wrote what.
    async fn is_own(&self, key: &ObjectKey, wanted: &DynamicObject) -> Result<bool, ClusterError> {
        // With its managed fields.
        let api = self.objects::<PartialObjectMeta<DynamicObject>>(key.kind, &key.namespace);
        let Some(found) = within_deadline(api.get_opt(&key.name)).await? else {
            return Ok(false);
        };
        let mut writers = found
            .managed_fields()
            .iter()
            .filter_map(|entry| entry.manager.as_deref());
        let manager = manager_of(wanted);
        Ok(writers.any(|writer| writer == manager))
    }

    /// What the API server would make of a Platform whose spec is this manifest's: defaults filled in, every rule of
    /// the schema checked, the uid and status of the Platform of that name if there is one. Nothing is written.
    pub async fn dry_run(&self, key: &PlatformKey, manifest: &Value) -> Result<Platform, ClusterError> {
        let api = self.platforms(&key.namespace);
        let params = PatchParams::apply("kubectl").dry_run().validation_strict();
        // The whole spec is replaced. A server-side apply would keep the fields that another manager owns, and after a
        // plain `kubectl apply` these are all of them: what the file no longer has would seem to stay.
        let replace = json!([{"op": "replace", "path": "/spec", "value": manifest["spec"]}]);
        let replace = serde_json::from_value(replace).map_err(kube::Error::SerdeError)?;
        match within_deadline(api.patch(&key.name, &params, &Patch::Json::<()>(replace))).await {
            Err(ClusterError::NotFound(_)) => {
                within_deadline(api.patch(&key.name, &params, &Patch::Apply(manifest))).await
            }
            answer => answer,
        }
    }
}

impl Cluster for KubeCluster {
    async fn get(&self, key: &PlatformKey) -> Result<Option<Found>, ClusterError> {
        let api = &self.untyped_platforms(&key.namespace);
        let get = |resource_version| async move {
            let params = GetParams { resource_version };
            within_deadline(api.get_with(&key.name, &params)).await
        };
        match self.as_known(PLATFORM, get).await {
            Ok(Read(found)) => Ok(Some(understand(found))),
            Err(ClusterError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn list(&self, platform: &Platform, kind: Kind) -> Result<Vec<DynamicObject>, ClusterError> {
        let resource = kind.info().api_resource();
        let (namespace, params) = (namespace_of(platform), own(platform, kind));
        // Page by page, so that what is not the Platform's, or not the operator's making, is not held.
        let keep = |object: DynamicObject| {
            belongs(platform, kind, &object).then(|| DynamicObject {
                // The items of a list come without their type.
                types: Some(TypeMeta {
                    api_version: resource.api_version.clone(),
                    kind: resource.kind.clone(),
                }),
                ..without_bulk(kind, object)
            })
        };
        if kind == Kind::Secret {
            let api = self.objects(kind, &namespace);
            self.list_known(kind.info().name, api, params, |partial| {
                keep(metadata_only(partial))
            })
            .await
        } else {
            let api = self.objects(kind, &namespace);
            self.list_known(kind.info().name, api, params, keep).await
        }
    }

    async fn pods(&self, platform: &Platform) -> Result<Vec<Pod>, ClusterError> {
        let api = Api::namespaced(self.client.clone(), &namespace_of(platform));
        let selector = labels::platform_selector(&platform.uid().unwrap_or_default());
        let params = page_by_page().labels(&selector);
        self.list_known(Kind::Pod.info().name, api, params, Some).await
    }

    async fn version(&self, namespace: &str, reference: &Reference) -> Result<Option<String>, ClusterError> {
        let api = self.objects::<Read<PartialObjectMeta<DynamicObject>>>(reference.kind, namespace);
        let found = within_deadline(api.get_opt(&reference.name)).await?;
        Ok(found.and_then(|object| object.resource_version()))
    }

    async fn claims(&self) -> Result<Vec<Claim>, ClusterError> {
        // Untyped: a Platform that does not parse must not stop the others.
        let resource = ApiResource::erase::<Platform>(&());
        let platforms = self.reach.objects(&self.client, &resource);
        self.list_known(PLATFORM, platforms, page_by_page(), claim_of)
            .await
    }

    async fn apply(
        &self,
        key: &ObjectKey,
        object: &DynamicObject,
        contested: Contested,
    ) -> Result<DynamicObject, ClusterError> {
        let api = self.objects(key.kind, &key.namespace);
        let mut params = apply_as(&manager_of(object));
        params.force = contested == Contested::Taken;
        let Read::<DynamicObject>(applied) =
            within_deadline(api.patch(&key.name, &params, &Patch::Apply(object))).await?;
        self.saw(key.kind.info().name, applied.metadata.resource_version.as_deref());
        Ok(without_content(key.kind, applied))
    }

    async fn create(
        &self,
        key: &ObjectKey,
        object: &DynamicObject,
        content: &Content,
    ) -> Result<DynamicObject, ClusterError> {
        let api = self.objects(key.kind, &key.namespace);
        let params = PostParams {
            field_manager: Some(manager_of(object)),
            ..PostParams::default()
        };
        // Its metadata is applied, so that what is not wanted any more can be taken away: what was created with an
        // object stays (the API server keeps it as written by an update).
        let mut bare = DynamicObject::new(&key.name, &key.kind.info().api_resource());
        bare.data = Value::Object(content.reveal());
        match within_deadline(api.create(&params, &bare)).await {
            Err(ClusterError::Refused {
                category: FailureCategory::Contested,
                ..
            }) if self.is_own(key, object).await? => {}
            created => drop(created?),
        }
        self.apply(key, object, Contested::Taken).await
    }

    async fn delete(&self, prune: &Prune) -> Result<(), ClusterError> {
        let api = self.objects::<Read<DynamicObject>>(prune.key.kind, &prune.key.namespace);
        let params = DeleteParams::background().preconditions(Preconditions {
            uid: Some(prune.uid.clone()),
            resource_version: Some(prune.resource_version.clone()),
        });
        match within_deadline(api.delete(&prune.key.name, &params)).await {
            Ok(_) | Err(ClusterError::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn put_status(&self, platform: &Platform, status: &PlatformStatus) -> Result<String, ClusterError> {
        // Of the answer the version alone is read.
        let api = Api::<Read<PartialObjectMeta<Platform>>>::namespaced(
            self.client.clone(),
            &namespace_of(platform),
        );
        // The uid makes the API server refuse to write onto a Platform of the same name that came later.
        let body = json!({
            "apiVersion": Platform::api_version(&()),
            "kind": Platform::kind(&()),
            "metadata": {"name": platform.name_any(), "uid": platform.uid()},
            "status": status,
        });
        let params = apply_as(labels::STATUS_FIELD_MANAGER).force();
        let written =
            within_deadline(api.patch_status(&platform.name_any(), &params, &Patch::Apply(&body))).await?;
        self.saw(PLATFORM, written.meta().resource_version.as_deref());
        Ok(written.resource_version().unwrap_or_default())
    }

    async fn publish(&self, platform: &Platform, note: &EventNote) -> Result<(), ClusterError> {
        within_deadline(self.publisher.publish(platform, note)).await
    }
}

/// A Platform as far as it is understood. A status that is not is left out, and written anew.
fn understand(mut object: DynamicObject) -> Found {
    let mut part = |name: &str| object.data.get_mut(name).map(Value::take).unwrap_or_default();
    let (spec, status) = (part("spec"), part("status"));
    let mut platform = Platform::new("", PlatformSpec::default());
    platform.metadata = object.metadata;
    platform.status = serde_json::from_value(status).ok();
    let unreadable = match PlatformSpec::deserialize(&spec) {
        Ok(understood) => {
            platform.spec = understood;
            None
        }
        Err(error) => Some(name_field(&spec, &error)),
    };
    Found { platform, unreadable }
}

/// Which field it is that does not parse: the schema says where, and what is allowed; the parser only what.
fn name_field(spec: &Value, error: &serde_json::Error) -> String {
    match refusals(&json!({"spec": spec})).first() {
        // What stands in variables may be confidential, and this is for the status.
        Some(refusal) if refusal.path.contains(".env[") => format!("{}: the value", refusal.path),
        Some(refusal) => refusal.to_string(),
        None => format!("spec: {error}"),
    }
}

/// Server-side apply of what a serializer wrote. It refuses unknown fields in any case; the API server's validation of
/// fields would parse the body a second time, as YAML, to find keys that are there twice.
fn apply_as(manager: &str) -> PatchParams {
    PatchParams::apply(manager).validation_ignore()
}

/// The field manager of an object of a Platform.
fn manager_of(object: &DynamicObject) -> String {
    let platform = object.labels().get(labels::PLATFORM);
    labels::field_manager(platform.map_or("", String::as_str))
}

/// The answer to one request, unless it takes too long.
pub async fn within_deadline<T>(
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, ClusterError> {
    within(DEADLINE, call).await
}

/// A request with a deadline of its own.
pub(super) async fn within<T>(
    deadline: Duration,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, ClusterError> {
    match tokio::time::timeout(deadline, call).await {
        Ok(answer) => answer.map_err(ClusterError::from),
        Err(_) => Err(ClusterError::Timeout(deadline)),
    }
}

/// What a Platform claims; None if nothing. Of a spec that is not understood, its way in alone says so.
fn claim_of(object: DynamicObject) -> Option<Claim> {
    let exposure = json!({"exposure": object.data.pointer("/spec/exposure")?});
    let Found {
        mut platform,
        unreadable,
    } = understand(object);
    if unreadable.is_some() {
        platform.spec = serde_json::from_value(exposure).ok()?;
    }
    Some(Claim::of(&platform)).filter(|claim| !claim.wanted.is_empty())
}

/// Answers to writes have the whole object; of a Secret only the metadata is passed on.
fn without_content(kind: Kind, mut object: DynamicObject) -> DynamicObject {
    if kind == Kind::Secret {
        object.data = json!({});
    }
    object
}

fn namespace_of(platform: &Platform) -> String {
    platform.namespace().unwrap_or_default()
}
