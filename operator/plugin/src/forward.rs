//! A port of this machine that leads to a pod, through the API server.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::{core::v1::Pod, core::v1::Service, discovery::v1::EndpointSlice};
use kube::{Api, Client, api::ListParams};
use platform_operator::cluster::within_deadline;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Where a port leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// To a pod.
    Pod {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// The port of its containers.
        port: u16,
    },
    /// To any ready pod of a Service.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// The port of the Service.
        port: u16,
    },
}

/// An open port. It is closed when this is dropped.
pub struct Forward {
    /// The port, on loopback.
    pub address: SocketAddr,
    /// Why the last connection came to nothing.
    complaint: Arc<Mutex<Option<String>>>,
    accepting: JoinHandle<()>,
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Forward {
    /// Opens the port, a free one where it is 0. The pod is looked for with each connection, so that a new one takes the
    /// place of one that went.
    pub async fn open(client: Client, target: Target, port: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.with_context(|| {
            format!("port {port} of this machine cannot be opened; --port names another one, without it a free one is taken")
        })?;
        let address = listener.local_addr()?;
        let complaint = Arc::new(Mutex::new(None));
        let accepting = tokio::spawn(accept(listener, client, target, complaint.clone()));
        Ok(Self {
            address,
            complaint,
            accepting,
        })
    }

    /// Why the last connection came to nothing, if it did.
    pub fn complaint(&self) -> Option<String> {
        self.complaint
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

async fn accept(
    listener: TcpListener,
    client: Client,
    target: Target,
    complaint: Arc<Mutex<Option<String>>>,
) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let (client, target, complaint) = (client.clone(), target.clone(), complaint.clone());
        tokio::spawn(async move {
            let ended = carry(&mut stream, client, &target).await;
            // Before the stream is closed: whoever sees its end looks here for the cause.
            *complaint.lock().unwrap_or_else(PoisonError::into_inner) =
                ended.err().map(|error| format!("{error:#}"));
        });
    }
}

/// Carries one connection to its end.
async fn carry(stream: &mut TcpStream, client: Client, target: &Target) -> Result<()> {
    let (namespace, name, port) = find_pod(&client, target).await?;
    let pods: Api<Pod> = Api::namespaced(client, &namespace);
    let mut forwarder = within_deadline(pods.portforward(&name, &[port])).await?;
    let (Some(mut pod), Some(refusal)) = (forwarder.take_stream(port), forwarder.take_error(port)) else {
        bail!("the API server opened no stream to port {port} of pod {name}");
    };
    tokio::select! {
        biased;
        Some(refusal) = refusal => bail!("port {port} of pod {name} refuses: {}", refusal.trim()),
        // Either side may break off: that is how HTTP clients end.
        _ = copy_bidirectional(stream, &mut pod) => {}
    }
    Ok(())
}

/// Namespace, name and container port of the pod to which the target leads now.
async fn find_pod(client: &Client, target: &Target) -> Result<(String, String, u16)> {
    let (namespace, service, port) = match target {
        Target::Pod {
            namespace,
            name,
            port,
        } => return Ok((namespace.clone(), name.clone(), *port)),
        Target::Service {
            namespace,
            name,
            port,
        } => (namespace, name, *port),
    };
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    let found = within_deadline(services.get(service)).await?;
    let port_name = port_name(&found, port)
        .with_context(|| format!("Service {namespace}/{service} has no port {port}"))?;
    let slices = endpoint_slices(client, namespace, service).await?;
    let (pod, port) = ready_pod(&slices, &port_name)
        .with_context(|| format!("no pod behind Service {namespace}/{service} is ready"))?;
    Ok((namespace.clone(), pod, port))
}

/// The endpoints of a Service, as the cluster's controller wrote them.
pub async fn endpoint_slices(client: &Client, namespace: &str, service: &str) -> Result<Vec<EndpointSlice>> {
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
    let of_service = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
    Ok(within_deadline(slices.list(&of_service)).await?.items)
}

/// The name of a Service's port; empty for the only one.
fn port_name(service: &Service, port: u16) -> Option<String> {
    let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    let found = ports
        .into_iter()
        .find(|candidate| candidate.port == i32::from(port))?;
    Some(found.name.clone().unwrap_or_default())
}

/// A ready pod, and the port of its containers that the Service's port of this name leads to.
fn ready_pod(slices: &[EndpointSlice], port_name: &str) -> Option<(String, u16)> {
    slices.iter().find_map(|slice| {
        let ports = slice.ports.iter().flatten();
        let port = ports
            .into_iter()
            .find(|port| port.name.as_deref().unwrap_or_default() == port_name)?
            .port?;
        let pod = ready_pods(slice).next()?;
        Some((pod.to_owned(), u16::try_from(port).ok()?))
    })
}

/// The names of the pods of a slice that are ready.
pub fn ready_pods(slice: &EndpointSlice) -> impl Iterator<Item = &str> {
    let ready = slice.endpoints.iter().filter(|endpoint| {
        let conditions = endpoint.conditions.as_ref();
        // Unknown counts as ready (EndpointSlice API).
        conditions.and_then(|conditions| conditions.ready) != Some(false)
    });
    ready.filter_map(|endpoint| endpoint.target_ref.as_ref()?.name.as_deref())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_service_leads_to_the_container_port_of_a_ready_pod() {
        let service: Service = serde_json::from_value(
            json!({"spec": {"ports": [{"name": "http", "port": 80, "targetPort": "web"}]}}),
        )
        .unwrap();
        let slice: EndpointSlice = serde_json::from_value(json!({
            "addressType": "IPv4",
            "ports": [{"name": "metrics", "port": 9464}, {"name": "http", "port": 8080}],
            "endpoints": [
                {"addresses": ["10.0.0.1"], "conditions": {"ready": false}, "targetRef": {"kind": "Pod", "name": "old"}},
                {"addresses": ["10.0.0.2"], "conditions": {"ready": true}, "targetRef": {"kind": "Pod", "name": "new"}},
            ],
        }))
        .unwrap();
        let name = port_name(&service, 80).unwrap();
        assert_eq!(
            ready_pod(std::slice::from_ref(&slice), &name),
            Some(("new".to_owned(), 8080))
        );
        assert_eq!(port_name(&service, 81), None);
        assert_eq!(ready_pod(&[slice], "grpc"), None);
    }
}
