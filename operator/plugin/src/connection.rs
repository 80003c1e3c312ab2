//! The way to the API server, and what is asked of it by most commands.

use anyhow::{Context as _, Result, bail};
use k8s_openapi::{NamespaceResourceScope, api::core::v1::Pod};
use kube::{
    Api, Client, Config, Resource, ResourceExt as _,
    api::ListParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use platform_core::{
    api::Platform,
    resolve::{Resolved, resolve},
    step::{Facts, Live},
};
use platform_operator::{
    cluster::{Cluster as _, ClusterError, KubeCluster, PlatformKey, connect, connect_to, within_deadline},
    settings::SettingsArgs,
};

use crate::cli::{ClusterArgs, ReportArgs};

/// A connection, and the namespace that commands are about.
pub struct Connection {
    /// The client.
    pub client: Client,
    /// The namespace.
    pub namespace: String,
}

/// What a Platform means in this cluster, and the pods that it has.
pub struct Meaning {
    /// What it means.
    pub resolved: Resolved,
    /// Its pods; no other object.
    pub live: Live,
}

impl Connection {
    /// Connects to where the arguments say, else to where kubectl would.
    pub async fn open(arguments: &ClusterArgs) -> Result<Self> {
        let (client, namespace) = match (&arguments.kubeconfig, &arguments.context) {
            (None, None) => connect().await?,
            (file, context) => {
                let kubeconfig = file
                    .as_ref()
                    .map_or_else(Kubeconfig::read, Kubeconfig::read_from)
                    .context("the kubeconfig cannot be read")?;
                connect_to(configuration(kubeconfig, context.clone()).await?)?
            }
        };
        Ok(Self {
            client,
            namespace: arguments.namespace.clone().unwrap_or(namespace),
        })
    }

    /// Objects of a kind in a namespace.
    pub fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// The requests of the operator.
    pub fn cluster(&self) -> KubeCluster {
        KubeCluster::new(self.client.clone(), None)
    }

    /// The Platforms that the arguments mean, by namespace and name; never none.
    pub async fn platforms(&self, arguments: &ReportArgs) -> Result<Vec<Platform>> {
        if let Some(name) = &arguments.name {
            return Ok(vec![self.named(name).await?]);
        }
        let (api, place) = if arguments.all_namespaces {
            (Api::all(self.client.clone()), "any namespace".to_owned())
        } else {
            (self.api(&self.namespace), format!("namespace {}", self.namespace))
        };
        let platforms = list(api).await?;
        if platforms.is_empty() {
            bail!("there is no Platform in {place}; -n names another namespace, -A means all");
        }
        Ok(platforms)
    }

    /// The Platform of this name, else the only one of the namespace.
    pub async fn platform(&self, name: Option<&str>) -> Result<Platform> {
        if let Some(name) = name {
            return self.named(name).await;
        }
        let namespace = &self.namespace;
        let mut platforms = list(self.api(namespace)).await?;
        match (platforms.pop(), platforms.as_slice()) {
            (Some(only), []) => Ok(only),
            (None, _) => bail!("there is no Platform in namespace {namespace}; -n names another namespace"),
            (Some(last), others) => {
                let names: Vec<_> = others.iter().chain([&last]).map(Platform::name_any).collect();
                bail!(
                    "namespace {namespace} has several Platforms, name one: {}",
                    names.join(", ")
                )
            }
        }
    }

    async fn named(&self, name: &str) -> Result<Platform> {
        let key = PlatformKey::new(self.namespace.clone(), name);
        let found = self.cluster().get(&key).await?.with_context(|| {
            format!(
                "there is no Platform {name} in namespace {}; kubectl platform status -A shows all",
                self.namespace
            )
        })?;
        match found.unreadable {
            None => Ok(found.platform),
            Some(problem) => bail!(
                "Platform {name} has a value that this version of the plugin does not know: {problem}; use the plugin of the \
                 operator's version"
            ),
        }
    }

    /// The pods of a Platform.
    pub async fn pods(&self, platform: &Platform) -> Result<Vec<Pod>> {
        Ok(self.cluster().pods(platform).await?)
    }

    /// What a Platform means in this cluster; its images may be others, on which nothing here depends.
    pub async fn meaning(&self, platform: &Platform) -> Result<Meaning> {
        // Not what the Platform refers to: that would take a permission to read Secrets, and changes no name and no port.
        let facts = Facts {
            kinds: self.cluster().known_kinds().await?,
            ..Facts::default()
        };
        let resolved = resolve(platform, &facts, &SettingsArgs::from_flags([])?.to_settings()).map_err(
            |violations| {
                let texts: Vec<_> = violations.iter().map(ToString::to_string).collect();
                anyhow::anyhow!("the spec breaks rules: {}", texts.join("; "))
            },
        )?;
        let live = Live {
            pods: self.pods(platform).await?,
            ..Live::default()
        };
        Ok(Meaning { resolved, live })
    }
}

async fn configuration(kubeconfig: Kubeconfig, context: Option<String>) -> Result<Config> {
    let known: Vec<_> = kubeconfig
        .contexts
        .iter()
        .map(|context| context.name.clone())
        .collect();
    if let Some(context) = context.as_ref().filter(|context| !known.contains(context)) {
        bail!(
            "the kubeconfig has no context {context}; it has {}",
            known.join(", ")
        );
    }
    let options = KubeConfigOptions {
        context,
        ..KubeConfigOptions::default()
    };
    Ok(Config::from_custom_kubeconfig(kubeconfig, &options).await?)
}

async fn list(api: Api<Platform>) -> Result<Vec<Platform>> {
    match within_deadline(api.list(&ListParams::default())).await {
        Ok(found) => Ok(found.items),
        Err(ClusterError::NotFound(_)) => {
            bail!(
                "the cluster knows no Platforms: Tracewell is not installed there, its chart brings the CRD"
            )
        }
        Err(error) => Err(error.into()),
    }
}
