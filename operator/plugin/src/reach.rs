//! URLs of the inside of the cluster, reached from outside of it.

use std::net::SocketAddr;

use anyhow::{Context as _, Error, Result, anyhow};
use k8s_openapi::api::core::v1::Pod;
use kube::{Client, ResourceExt as _};
use platform_operator::evidence::{Clients, JaegerClient};
use reqwest::Url;

use crate::forward::{Forward, Target};

/// Ways into the cluster, each opened when it is first needed.
pub struct Reach {
    client: Client,
    /// The clients for every URL that this gives.
    pub clients: Clients,
    forwards: Vec<(Target, Forward)>,
}

impl Reach {
    /// None is open yet.
    pub fn new(client: Client) -> Result<Self> {
        // Loopback is no proxy's affair.
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self {
            client,
            clients: Clients {
                http,
                jaeger: JaegerClient::default(),
            },
            forwards: Vec::new(),
        })
    }

    /// The same place as seen from this machine: names of Services and addresses of these pods lead through the API
    /// server, every other URL stays as it is.
    pub async fn url(&mut self, url: &str, pods: &[Pod]) -> Result<String> {
        let url: Url = url.parse().with_context(|| format!("{url} is no URL"))?;
        let Some(target) = target(&url, pods) else {
            return Ok(url.into());
        };
        let forward = self.forward(target).await?;
        Ok(redirect(url, forward.address)?.into())
    }

    /// Why a request to this URL failed.
    pub fn explain(&self, url: &str, error: reqwest::Error) -> Error {
        if error.is_timeout() {
            return anyhow!("no answer in time");
        }
        self.blame(url, Error::from(error).root_cause().to_string())
    }

    /// What the way to this URL says about a request that failed, else this cause.
    pub fn blame(&self, url: &str, cause: String) -> Error {
        let port = url.parse().ok().and_then(|url: Url| url.port());
        let way = self
            .forwards
            .iter()
            .find(|(_, forward)| port == Some(forward.address.port()));
        let complaint = way.and_then(|(_, forward)| forward.complaint());
        Error::msg(complaint.unwrap_or(cause))
    }

    async fn forward(&mut self, target: Target) -> Result<&Forward> {
        let known = self.forwards.iter().position(|(known, _)| *known == target);
        let position = known.unwrap_or(self.forwards.len());
        if known.is_none() {
            let forward = Forward::open(self.client.clone(), target.clone(), 0).await?;
            self.forwards.push((target, forward));
        }
        let (_, forward) = self.forwards.get(position).context("the way was just opened")?;
        Ok(forward)
    }
}

/// The URL with another host and port.
pub fn redirect(mut url: Url, address: SocketAddr) -> Result<Url> {
    let changed = url
        .set_ip_host(address.ip())
        .and_then(|()| url.set_port(Some(address.port())));
    changed.ok().with_context(|| format!("{url} takes no address"))?;
    Ok(url)
}

/// What a URL of the inside of the cluster leads to; None for every other.
pub fn target(url: &Url, pods: &[Pod]) -> Option<Target> {
    let host = url.host_str()?.trim_matches(['[', ']']);
    let port = url.port_or_known_default()?;
    let of_address = pods.iter().find(|pod| {
        let address = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref());
        address == Some(host)
    });
    if let Some(pod) = of_address {
        return Some(Target::Pod {
            namespace: pod.namespace()?,
            name: pod.name_any(),
            port,
        });
    }
    // NAME.NAMESPACE.svc, with or without the cluster's domain.
    let mut labels = host.split('.');
    let (name, namespace, svc) = (labels.next()?, labels.next()?, labels.next()?);
    (svc == "svc").then(|| Target::Service {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        port,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_names_and_addresses_of_the_cluster_lead_through_the_api_server() {
        let pod =
            json!({"metadata": {"name": "demo-auth-1", "namespace": "shop"}, "status": {"podIP": "fd00::7"}});
        let pods = [serde_json::from_value::<Pod>(pod).unwrap()];
        let target = |url: &str| target(&url.parse().unwrap(), &pods);
        let service = |namespace: &str, name: &str, port| {
            Some(Target::Service {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                port,
            })
        };
        assert_eq!(
            target("http://demo-jaeger.shop.svc:16686/a?b=c"),
            service("shop", "demo-jaeger", 16686)
        );
        assert_eq!(
            target("http://p.monitoring.svc.cluster.local"),
            service("monitoring", "p", 80)
        );
        assert_eq!(
            target("http://[fd00::7]:8888/metrics"),
            Some(Target::Pod {
                namespace: "shop".to_owned(),
                name: "demo-auth-1".to_owned(),
                port: 8888,
            })
        );
        assert_eq!(target("http://localhost:30686"), None);
        assert_eq!(target("https://jaeger.example.com/ui"), None);
    }
}
