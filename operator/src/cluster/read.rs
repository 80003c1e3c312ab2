//! Objects as they are read: of what the API server sends, the managed fields are often half of the bytes and most of the
//! parts, and what is read this way is nobody's reason to look at them. They are skipped, not parsed and thrown away.

use std::{borrow::Cow, collections::BTreeMap, fmt, marker::PhantomData};

use k8s_openapi::{
    api::core::v1::{Pod, PodSpec, PodStatus},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time},
};
use kube::{
    Resource,
    core::{DynamicObject, PartialObjectMeta, TypeMeta},
};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Map, Value};

/// An object without its managed fields.
#[derive(Debug, Clone, Default)]
pub struct Read<K>(pub K);

impl<K: Resource> Resource for Read<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(of: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(of)
    }

    fn group(of: &Self::DynamicType) -> Cow<'_, str> {
        K::group(of)
    }

    fn version(of: &Self::DynamicType) -> Cow<'_, str> {
        K::version(of)
    }

    fn plural(of: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(of)
    }

    fn metadata_api() -> bool {
        K::metadata_api()
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.meta()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.meta_mut()
    }
}

/// Metadata but for the managed fields.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    annotations: Option<BTreeMap<String, String>>,
    creation_timestamp: Option<Time>,
    deletion_grace_period_seconds: Option<i64>,
    deletion_timestamp: Option<Time>,
    finalizers: Option<Vec<String>>,
    generate_name: Option<String>,
    generation: Option<i64>,
    labels: Option<BTreeMap<String, String>>,
    name: Option<String>,
    namespace: Option<String>,
    owner_references: Option<Vec<OwnerReference>>,
    resource_version: Option<String>,
    self_link: Option<String>,
    uid: Option<String>,
}

impl From<Metadata> for ObjectMeta {
    fn from(read: Metadata) -> Self {
        Self {
            annotations: read.annotations,
            creation_timestamp: read.creation_timestamp,
            deletion_grace_period_seconds: read.deletion_grace_period_seconds,
            deletion_timestamp: read.deletion_timestamp,
            finalizers: read.finalizers,
            generate_name: read.generate_name,
            generation: read.generation,
            labels: read.labels,
            managed_fields: None,
            name: read.name,
            namespace: read.namespace,
            owner_references: read.owner_references,
            resource_version: read.resource_version,
            self_link: read.self_link,
            uid: read.uid,
        }
    }
}

impl<'de, K> Deserialize<'de> for Read<PartialObjectMeta<K>> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Parts {
            #[serde(default)]
            metadata: Metadata,
        }
        let parts = Parts::deserialize(deserializer)?;
        Ok(Self(PartialObjectMeta {
            // It would be the type of a partial object, and not of this one.
            types: None,
            metadata: parts.metadata.into(),
            _phantom: PhantomData,
        }))
    }
}

impl<'de> Deserialize<'de> for Read<Pod> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Parts {
            #[serde(default)]
            metadata: Metadata,
            spec: Option<PodSpec>,
            status: Option<PodStatus>,
        }
        let parts = Parts::deserialize(deserializer)?;
        Ok(Self(Pod {
            metadata: parts.metadata.into(),
            spec: parts.spec,
            status: parts.status,
        }))
    }
}

impl<'de> Deserialize<'de> for Read<DynamicObject> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Parts).map(Self)
    }
}

/// Straight into its parts. kube's own way keeps everything that is no metadata aside before it becomes a value.
struct Parts;

impl<'de> Visitor<'de> for Parts {
    type Value = DynamicObject;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of the Kubernetes API")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<DynamicObject, A::Error> {
        let (mut metadata, mut api_version, mut kind) = (Metadata::default(), None, None);
        let mut data = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "metadata" => metadata = map.next_value()?,
                "apiVersion" => api_version = map.next_value()?,
                "kind" => kind = map.next_value()?,
                _ => {
                    data.insert(key, map.next_value()?);
                }
            }
        }
        Ok(DynamicObject {
            types: api_version
                .zip(kind)
                .map(|(api_version, kind)| TypeMeta { api_version, kind }),
            metadata: metadata.into(),
            data: Value::Object(data),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sent() -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "annotations": {"note": "x"},
                "creationTimestamp": "2026-01-02T03:04:05Z",
                "deletionGracePeriodSeconds": 30,
                "deletionTimestamp": "2026-01-02T03:04:06Z",
                "finalizers": ["shop.example/kept"],
                "generateName": "demo-auth-",
                "generation": 7,
                "labels": {"app": "auth"},
                "managedFields": [{"manager": "kubelet", "fieldsV1": {"f:status": {}}}],
                "name": "demo-auth-1",
                "namespace": "shop",
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "demo-auth", "uid": "1"}],
                "resourceVersion": "42",
                "selfLink": "/api/v1/namespaces/shop/pods/demo-auth-1",
                "uid": "2",
            },
            "spec": {"containers": [{"name": "auth", "image": "auth:1"}]},
            "status": {"phase": "Running"},
        })
    }

    /// The same, as kube reads it.
    fn whole<K: serde::de::DeserializeOwned + Resource>() -> K {
        let mut object: K = serde_json::from_value(sent()).unwrap();
        object.meta_mut().managed_fields = None;
        object
    }

    #[test]
    fn an_object_is_read_as_kube_reads_it_but_for_its_managed_fields() {
        let text = sent().to_string();
        let object: Read<DynamicObject> = serde_json::from_str(&text).unwrap();
        assert_eq!(object.0, whole());
        let pod: Read<Pod> = serde_json::from_str(&text).unwrap();
        assert_eq!(pod.0, whole());
        let metadata: Read<PartialObjectMeta<Pod>> = serde_json::from_str(&text).unwrap();
        assert_eq!(metadata.0.metadata, pod.0.metadata);
    }

    #[test]
    fn of_metadata_alone_nothing_else_is_sent() {
        assert!(Read::<PartialObjectMeta<DynamicObject>>::metadata_api());
        assert!(!Read::<DynamicObject>::metadata_api());
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in ["7", "{\"metadata\": 7}", "{\"metadata\": {\"name\": 7}}"] {
            assert!(
                serde_json::from_str::<Read<DynamicObject>>(text).is_err(),
                "{text}"
            );
            assert!(serde_json::from_str::<Read<Pod>>(text).is_err(), "{text}");
            assert!(
                serde_json::from_str::<Read<PartialObjectMeta<Pod>>>(text).is_err(),
                "{text}"
            );
        }
    }
}
