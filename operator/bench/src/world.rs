//! A control plane with one node that is only pretended, and the operator in it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    Api, Client, CustomResourceExt as _, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    core::{ApiResource, DynamicObject, GroupVersionKind},
    runtime::{conditions::is_pod_running, wait::await_condition},
};
use platform_core::api::Platform;
use platform_envtest::{ControlPlane, Operator, Supervised, assets, install_crd, start_controllers};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::audit::Audit;

/// How pods get on.
const STAGES: &str = include_str!("stages.yaml");

/// Who has written nothing for so long has nothing to write: longer than the pause before the answer to a question.
const QUIET: Duration = Duration::from_secs(5);

/// A pod that is going to run does so within this time.
const FIRST_POD: Duration = Duration::from_secs(2);

/// The longest that the world may take to be as it is described.
const PATIENCE: Duration = Duration::from_mins(1);

const NODE: &str = "pretended";

/// Everything but the operator.
pub(crate) struct World {
    pub(crate) client: Client,
    /// What the operator asked for.
    pub(crate) audit: Audit,
    pub(crate) plane: ControlPlane,
    operator: PathBuf,
    folder: TempDir,
    _programs: [Supervised; 2],
}

impl World {
    pub(crate) async fn start(operator: &Path) -> Result<Self> {
        let assets = assets().context("there is nothing to measure with")?;
        let folder = tempfile::tempdir()?;
        let audit = Audit::prepare(folder.path())?;
        let plane = ControlPlane::start_with(&assets, &audit.arguments()).await?;
        let client = plane.client().await?;
        install_crd(&client, &Platform::crd()).await?;
        pretend_node(&client).await?;
        let programs = start_programs(&assets, &plane, folder.path())?;
        let running = timeout(PATIENCE, until_a_pod_runs(&client)).await;
        running.context("no pod runs: kwok or the policy in place of a scheduler does not work")??;
        Ok(Self {
            client,
            audit,
            plane,
            operator: operator.to_owned(),
            folder,
            _programs: programs,
        })
    }

    /// Starts the operator, and gives it once it is ready.
    pub(crate) async fn start_operator(&self) -> Result<Operator> {
        let kubeconfig = self.plane.operators_kubeconfig();
        let mut operator = Operator::start(&self.operator, &kubeconfig, self.folder.path(), &[])?;
        operator.answer("/readyz", "200").await?;
        Ok(operator)
    }

    /// Waits until the operator writes nothing any more.
    pub(crate) async fn settled(&self) -> Result<()> {
        loop {
            let mark = self.audit.mark();
            tokio::time::sleep(QUIET).await;
            if self.audit.since(mark)?.writes() == 0 {
                return Ok(());
            }
        }
    }
}

/// A node, and in place of a scheduler a policy that puts every pod on it.
async fn pretend_node(client: &Client) -> Result<()> {
    apply(
        client,
        &ApiResource::erase::<Node>(&()),
        json!({"metadata": {"name": NODE}}),
    )
    .await?;
    let rule = json!({
        "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"],
    });
    let expression = format!("Object{{spec: Object.spec{{nodeName: {NODE:?}}}}}");
    let policy = json!({
        "metadata": {"name": NODE},
        "spec": {
            "matchConstraints": {"resourceRules": [rule]},
            "reinvocationPolicy": "Never",
            "mutations": [{
                "patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression},
            }],
        },
    });
    apply(client, &of_admission("MutatingAdmissionPolicy"), policy).await?;
    let binding = json!({"metadata": {"name": NODE}, "spec": {"policyName": NODE}});
    apply(client, &of_admission("MutatingAdmissionPolicyBinding"), binding).await
}

fn of_admission(kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind))
}

async fn apply(client: &Client, resource: &ApiResource, mut object: Value) -> Result<()> {
    object["apiVersion"] = json!(resource.api_version);
    object["kind"] = json!(resource.kind);
    Api::<DynamicObject>::all_with(client.clone(), resource)
        .patch(NODE, &PatchParams::apply("bench"), &Patch::Apply(&object))
        .await
        .map(drop)
        .with_context(|| format!("the {} cannot be made", resource.kind))
}

/// Policy and kwok take hold a moment after they were started, and a pod from before never runs: so one is made after the
/// other until one does.
async fn until_a_pod_runs(client: &Client) -> Result<()> {
    let pods = Api::<Pod>::namespaced(client.clone(), "default");
    let pod = serde_json::from_value(json!({
        "metadata": {"generateName": "first-"},
        "spec": {"containers": [{"name": "main", "image": "none"}]},
    }))?;
    loop {
        let name = pods.create(&PostParams::default(), &pod).await?.name_any();
        let runs = await_condition(pods.clone(), &name, is_pod_running());
        let waited = timeout(FIRST_POD, runs).await;
        pods.delete(&name, &DeleteParams::default().grace_period(0))
            .await?;
        if let Ok(seen) = waited {
            seen?;
            return Ok(());
        }
    }
}

/// The controllers that make pods of Deployments and Jobs, and what makes the pods ready.
fn start_programs(assets: &Path, plane: &ControlPlane, folder: &Path) -> Result<[Supervised; 2]> {
    let controllers = start_controllers(
        assets,
        plane,
        folder,
        &["deployment-controller", "replicaset-controller", "job-controller"],
    )?;
    let (kubeconfig, stages) = (folder.join("admin"), folder.join("stages.yaml"));
    fs::write(&kubeconfig, serde_json::to_string(plane.kubeconfig())?)?;
    fs::write(&stages, STAGES)?;
    let kwok = Supervised::start(
        &folder.join("kwok.log"),
        &assets.join("kwok"),
        &[
            &format!("--kubeconfig={}", kubeconfig.display()),
            &format!("--config={}", stages.display()),
            "--manage-all-nodes",
            "--node-lease-duration-seconds=0",
        ],
    )?;
    Ok([controllers, kwok])
}
