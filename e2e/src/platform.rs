//! Platforms: the one of `examples/demo.yaml`, and those that a test makes for itself.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use kube::{Api, ResourceExt};
use platform_core::api::{Condition, Platform};
use serde_json::{Value, json};

use crate::cluster::{Cluster, OPERATOR_NAMESPACE};
use crate::endpoint::Endpoint;
use crate::jaeger::Jaeger;
use crate::wait::{Look, until};

/// Who applies the Platforms of the tests.
const FIELD_MANAGER: &str = "tracewell-e2e";
/// A cold node starts a Platform within this time, many of them at once included.
pub const READY_LIMIT: Duration = Duration::from_mins(4);
/// Pods have 40 s to end.
const GONE_LIMIT: Duration = Duration::from_mins(3);

/// A Platform in the cluster.
#[derive(Clone)]
pub struct Handle {
    /// Where it is.
    pub cluster: Cluster,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Handle {
    /// The Platform of `examples/demo.yaml`, which has the node ports; tests use it and leave it as it is.
    pub async fn demo() -> Result<Self> {
        let cluster = Cluster::connect().await?;
        let demo = Self {
            cluster,
            namespace: "shop".to_owned(),
            name: "demo".to_owned(),
        };
        if demo.api().get_opt(&demo.name).await?.is_none() {
            anyhow::bail!("there is no Platform shop/demo; run `kubectl apply -f examples/demo.yaml`");
        }
        demo.until_ready().await?;
        Ok(demo)
    }

    /// A namespace named `e2e-{test}`, empty; what an earlier run left there is removed first. It is kept when the
    /// test fails, to be looked at.
    pub async fn fresh_namespace(test: &str) -> Result<Self> {
        let cluster = Cluster::connect().await?;
        let name = format!("e2e-{test}");
        let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
        if namespaces.get_opt(&name).await?.is_some() {
            namespaces.delete(&name, &DeleteParams::background()).await?;
            until(
                &format!("the old namespace {name} is gone"),
                GONE_LIMIT,
                async || {
                    let left = namespaces.get_opt(&name).await?;
                    Ok(left.map_or(Look::Done(()), |left| Look::NotYet(format!("{:?}", left.status))))
                },
            )
            .await?;
        }
        let restricted = json!({"pod-security.kubernetes.io/enforce": "restricted"});
        let namespace = serde_json::from_value(json!({"metadata": {"name": name, "labels": restricted}}))?;
        namespaces.create(&PostParams::default(), &namespace).await?;
        Ok(Self {
            cluster,
            namespace: name,
            name: test.to_owned(),
        })
    }

    /// A Platform of its own in a namespace of its own, not yet ready.
    pub async fn create(test: &str, spec: Value) -> Result<Self> {
        let handle = Self::fresh_namespace(test).await?;
        handle.apply(spec).await?;
        Ok(handle)
    }

    /// The same, where the operator may use Secrets.
    pub async fn create_with_secrets(test: &str, spec: Value) -> Result<Self> {
        let handle = Self::fresh_namespace(test).await?;
        handle.allow_secrets().await?;
        handle.apply(spec).await?;
        Ok(handle)
    }

    /// Lets the operator use the Secrets of the namespace, by the command that the status of a Platform names.
    pub async fn allow_secrets(&self) -> Result<()> {
        let binding = json!({
            "metadata": {"name": "tracewell-secrets"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "tracewell-secrets"},
            "subjects": [{"kind": "ServiceAccount", "name": "tracewell", "namespace": OPERATOR_NAMESPACE}],
        });
        let bindings: Api<RoleBinding> = self.cluster.namespaced(&self.namespace);
        bindings
            .create(&PostParams::default(), &serde_json::from_value(binding)?)
            .await?;
        Ok(())
    }

    /// Applies a spec, as `kubectl apply --server-side` would. The error is the API server's sentence.
    pub async fn apply(&self, spec: Value) -> Result<Platform> {
        let manifest = json!({
            "apiVersion": "tracewell.dev/v1alpha1",
            "kind": "Platform",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": spec,
        });
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        Ok(self
            .api()
            .patch(&self.name, &parameters, &Patch::Apply(manifest))
            .await?)
    }

    /// Platforms of the namespace.
    pub fn api(&self) -> Api<Platform> {
        self.cluster.namespaced(&self.namespace)
    }

    /// The Platform as it is now.
    pub async fn get(&self) -> Result<Platform> {
        Ok(self.api().get(&self.name).await?)
    }

    /// The Platform's uid, which its objects carry.
    pub async fn uid(&self) -> Result<String> {
        self.get()
            .await?
            .uid()
            .context("the API server gives every object a uid")
    }

    /// Waits until `holds`; a failure shows the Platform's conditions, pods and events.
    pub async fn until(
        &self,
        what: &str,
        limit: Duration,
        holds: impl Fn(&Platform) -> bool,
    ) -> Result<Platform> {
        let platform = until(what, limit, async || {
            let platform = self.get().await?;
            Ok(if holds(&platform) {
                Look::Done(platform)
            } else {
                Look::NotYet("see below".to_owned())
            })
        })
        .await;
        match platform {
            Ok(platform) => Ok(platform),
            Err(error) => Err(error.context(self.cluster.describe(&self.namespace, &self.name).await)),
        }
    }

    /// Waits until the Platform as it is written now is ready.
    pub async fn until_ready(&self) -> Result<Platform> {
        self.until("the Platform is ready", READY_LIMIT, |platform| {
            let observed = platform
                .status
                .as_ref()
                .and_then(|status| status.observed_generation);
            observed == platform.metadata.generation && is_true(platform, "Ready")
        })
        .await
    }

    /// The name of an object that belongs to one of the Platform's services.
    pub fn object_name(&self, service: &str) -> String {
        format!("{}-{service}", self.name)
    }

    /// The Platform's Jaeger, through the API server.
    pub fn jaeger(&self) -> Jaeger {
        let target = format!("services/{}:16686", self.object_name("jaeger"));
        Jaeger::at(Endpoint::proxied(
            self.cluster.client.clone(),
            &self.namespace,
            &target,
        ))
    }

    /// Removes the namespace with all that is in it, without waiting for its end.
    pub async fn remove(self) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.cluster.client.clone());
        namespaces
            .delete(&self.namespace, &DeleteParams::background())
            .await?;
        Ok(())
    }

    /// An object of a service, as it is now.
    pub async fn object(
        &self,
        kind: platform_core::kinds::Kind,
        name: &str,
    ) -> Result<Option<DynamicObject>> {
        Ok(self
            .cluster
            .of_kind(kind.info(), &self.namespace)
            .get_opt(name)
            .await?)
    }
}

/// A condition of the Platform's status.
pub fn condition<'a>(platform: &'a Platform, type_: &str) -> Option<&'a Condition> {
    platform
        .status
        .as_ref()?
        .conditions
        .iter()
        .find(|condition| condition.type_ == type_)
}

/// Whether a condition is True, and speaks of the Platform as it is written now.
pub fn is_true(platform: &Platform, type_: &str) -> bool {
    condition(platform, type_).is_some_and(|condition| condition.status == "True")
}

/// Whether a condition is False.
pub fn is_false(platform: &Platform, type_: &str) -> bool {
    condition(platform, type_).is_some_and(|condition| condition.status == "False")
}

/// The smallest Platform with one service: billing, which runs alone and answers `GET /v1/plans` to everybody.
pub fn billing_alone() -> Value {
    json!({"services": [{"name": "billing", "dependsOn": []}]})
}

/// The same without Jaeger and sidecars, for tests of workloads only.
pub fn billing_untraced() -> Value {
    let mut spec = billing_alone();
    spec["telemetry"] = json!({"tracing": {"jaeger": {"type": "Disabled"}}});
    spec
}
