//! The live cluster, and what stands in it.

use std::fmt::Write;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::DynamicObject;
use kube::{Api, Client, Config, ResourceExt};
use platform_core::api::Platform;
use platform_core::kinds::{KINDS, KindInfo};
use platform_core::labels;

use crate::endpoint::Endpoint;

/// Context that kind gives the cluster of `make up`.
const CONTEXT: &str = "kind-tracewell";
/// Namespace of the operator's chart.
pub const OPERATOR_NAMESPACE: &str = "tracewell-system";
/// Selects the operator's pods, whatever the release of the chart is called.
const OPERATOR_SELECTOR: &str = "app.kubernetes.io/component=operator";
/// Events shown when something fails.
const EVENTS_SHOWN: usize = 15;

/// A connection to the cluster in which the chart is installed.
#[derive(Clone)]
pub struct Cluster {
    /// The client.
    pub client: Client,
}

impl Cluster {
    /// Connects to the context kind-tracewell of the kubeconfig (or, where it has no such context, to its current
    /// one) and makes sure that the operator runs there.
    pub async fn connect() -> Result<Self> {
        let kubeconfig = Kubeconfig::read().context("no kubeconfig; run `make up` first")?;
        let named = kubeconfig.contexts.iter().any(|context| context.name == CONTEXT);
        let options = KubeConfigOptions {
            context: named.then(|| CONTEXT.to_owned()),
            ..KubeConfigOptions::default()
        };
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
        let url = config.cluster_url.clone();
        let client = Client::try_from(config)?;
        let cluster = Self { client };
        let version = tokio::time::timeout(Duration::from_secs(10), cluster.client.apiserver_version()).await;
        match version {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => bail!("the cluster at {url} does not answer ({error}); run `make up` first"),
            Err(_) => bail!("the cluster at {url} does not answer within 10 s; run `make up` first"),
        }
        if cluster.operator_pods().await?.is_empty() {
            bail!("no operator runs in the namespace {OPERATOR_NAMESPACE} of {url}; run `make up` first");
        }
        Ok(cluster)
    }

    /// Objects of a kind in a namespace.
    pub fn namespaced<K>(&self, namespace: &str) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Objects of a kind that the operator touches.
    pub fn of_kind(&self, kind: &KindInfo, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &kind.api_resource())
    }

    /// Everything that carries the Platform's uid: what the operator made, and the pods.
    pub async fn owned_objects(
        &self,
        namespace: &str,
        platform_uid: &str,
    ) -> Result<Vec<(String, DynamicObject)>> {
        let selector = ListParams::default().labels(&labels::platform_selector(platform_uid));
        let mut found = Vec::new();
        // No CRD of others is in the local cluster.
        for kind in KINDS.iter().filter(|kind| kind.is_everywhere()) {
            let objects = self.of_kind(kind, namespace).list(&selector).await?;
            let named = |object: DynamicObject| (format!("{} {}", kind.name, object.name_any()), object);
            found.extend(objects.items.into_iter().map(named));
        }
        Ok(found)
    }

    /// The pods of a service of a Platform, without those that are being deleted.
    pub async fn pods(&self, namespace: &str, platform: &str, service: &str) -> Result<Vec<Pod>> {
        let selector = format!("{}={platform},{}={service}", labels::INSTANCE, labels::NAME);
        let pods = self
            .namespaced::<Pod>(namespace)
            .list(&ListParams::default().labels(&selector))
            .await?;
        Ok(pods.items.into_iter().filter(is_living).collect())
    }

    /// The operator's pods, without those that are being deleted.
    pub async fn operator_pods(&self) -> Result<Vec<Pod>> {
        let selector = ListParams::default().labels(OPERATOR_SELECTOR);
        let pods = self.namespaced::<Pod>(OPERATOR_NAMESPACE).list(&selector).await?;
        Ok(pods.items.into_iter().filter(is_living).collect())
    }

    /// The operator's health and metrics, through the API server.
    pub async fn operator_http(&self) -> Result<Endpoint> {
        let pods = self.operator_pods().await?;
        let pod = pods.first().context("the operator has no pod")?;
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        let port = containers
            .flat_map(|container| container.ports.iter().flatten())
            .find(|port| port.name.as_deref() == Some("metrics"))
            .context("the operator's pod has no port named metrics")?;
        let target = format!("pods/{}:{}", pod.name_any(), port.container_port);
        Ok(Endpoint::proxied(
            self.client.clone(),
            OPERATOR_NAMESPACE,
            &target,
        ))
    }

    /// Conditions, workloads, pods and events of a Platform, for the message of a failure.
    pub async fn describe(&self, namespace: &str, platform: &str) -> String {
        let mut text = format!("\n--- {namespace}/{platform}\n");
        if let Err(error) = self.write_description(namespace, platform, &mut text).await {
            let _ = writeln!(text, "(no more to be seen: {error:#})");
        }
        text
    }

    async fn write_description(&self, namespace: &str, platform: &str, text: &mut String) -> Result<()> {
        match self.namespaced::<Platform>(namespace).get_opt(platform).await? {
            None => writeln!(text, "no such Platform")?,
            Some(found) => {
                writeln!(text, "generation {:?}", found.metadata.generation)?;
                let status = found.status.unwrap_or_default();
                writeln!(
                    text,
                    "observed {:?}, services {:?}",
                    status.observed_generation, status.ready_services
                )?;
                for c in status.conditions {
                    writeln!(
                        text,
                        "  {:<18} {:<7} {:<24} {}",
                        c.type_, c.status, c.reason, c.message
                    )?;
                }
            }
        }
        let selector = ListParams::default().labels(&format!("{}={platform}", labels::INSTANCE));
        for pod in self.namespaced::<Pod>(namespace).list(&selector).await? {
            let phase = pod
                .status
                .as_ref()
                .and_then(|status| status.phase.clone())
                .unwrap_or_default();
            writeln!(text, "pod {} {phase}", pod.name_any())?;
            let status = pod.status.unwrap_or_default();
            let containers = status
                .init_container_statuses
                .into_iter()
                .chain(status.container_statuses)
                .flatten();
            for container in containers {
                writeln!(text, "  {}", container_line(&container))?;
            }
        }
        let mut events = self
            .namespaced::<Event>(namespace)
            .list(&ListParams::default())
            .await?
            .items;
        events.sort_by_key(|event| event.metadata.creation_timestamp.clone());
        for event in events.iter().rev().take(EVENTS_SHOWN).rev() {
            let about = event.regarding.clone().unwrap_or_default();
            let (kind, name) = (about.kind.unwrap_or_default(), about.name.unwrap_or_default());
            let (reason, note) = (
                event.reason.as_deref().unwrap_or(""),
                event.note.as_deref().unwrap_or(""),
            );
            writeln!(text, "event {kind} {name}: {reason}: {note}")?;
        }
        Ok(())
    }
}

fn is_living(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none()
}

fn container_line(container: &ContainerStatus) -> String {
    let state = container.state.clone().unwrap_or_default();
    let state = match (state.waiting, state.terminated, state.running) {
        (Some(waiting), ..) => {
            format!(
                "waiting: {} {}",
                waiting.reason.unwrap_or_default(),
                waiting.message.unwrap_or_default()
            )
        }
        (_, Some(ended), _) => format!(
            "ended with {}: {}",
            ended.exit_code,
            ended.message.unwrap_or_default()
        ),
        (.., Some(_)) => format!("running, ready {}", container.ready),
        _ => "unknown".to_owned(),
    };
    format!(
        "{} (restarts {}) {state}",
        container.name, container.restart_count
    )
}
