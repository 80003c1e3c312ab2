//! Ways into the Platform.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::NameRef;

/// How the gateway and Jaeger are reached from outside the cluster.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.type == 'NodePort' || !has(self.nodePort)")
        .message("nodePort is allowed only when type is NodePort"),
    validation = Rule::new("(self.type == 'Ingress') == has(self.ingress)")
        .message("ingress is required when type is Ingress, and allowed only then"),
    validation = Rule::new("(self.type == 'Gateway') == has(self.gateway)")
        .message("gateway is required when type is Gateway, and allowed only then")
)]
pub struct ExposureSpec {
    /// Way in.
    #[serde(default, rename = "type")]
    pub type_: ExposureType,
    /// Settings of the way in by node ports. Left out, its defaults are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_port: Option<NodePortExposure>,
    /// Settings of the way in by an Ingress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<IngressExposure>,
    /// Settings of the way in by a Gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewayExposure>,
}

/// Way into the Platform.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ExposureType {
    /// Reached from inside the cluster only.
    #[default]
    None,
    /// Reached on a port of every node.
    NodePort,
    /// Reached by the cluster's ingress controller.
    Ingress,
    /// Reached by a Gateway of the Gateway API, which somebody else keeps.
    Gateway,
}

/// The way in by an Ingress. It leads to the gateway; Jaeger has no login of its own and stays inside.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IngressExposure {
    /// Host name under which users reach the gateway.
    #[schemars(length(min = 1, max = 253), regex(pattern = HOST))]
    pub host: String,
    /// Class of the Ingress. Default: the cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub class_name: Option<String>,
    /// Secret of type kubernetes.io/tls for the host. With it, the URL is https.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_secret_ref: Option<NameRef>,
}

/// The way in by a Gateway: an `HTTPRoute`. TLS is the Gateway's listener's.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayExposure {
    /// Host name under which users reach the gateway. The status has its URL with http, whatever the Gateway's listener speaks:
    /// the operator does not look at it.
    #[schemars(length(min = 1, max = 253), regex(pattern = HOST))]
    pub host: String,
    /// The Gateway.
    pub parent_ref: ParentRef,
}

/// A Gateway, and which of its listeners.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentRef {
    /// Name of the Gateway.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace. Default: the Platform's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// Its listener. Default: every listener that takes the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub section_name: Option<String>,
}

/// A host name in lower case.
const HOST: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// Ports of every node that lead into the Platform.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.gateway != self.jaeger").message("gateway and jaeger must be different ports"))]
pub struct NodePortExposure {
    /// Host name or address of a node as users reach it; it only shapes the URLs in the status.
    #[serde(default = "localhost")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[A-Za-z0-9]([-.A-Za-z0-9]*[A-Za-z0-9])?$")
    )]
    pub host: String,
    /// Port of the gateway. A port belongs to the Platform that has it; another one that wants it says whose it is.
    #[serde(default = "gateway_node_port")]
    #[schemars(range(min = 30000, max = 32767))]
    pub gateway: i32,
    /// Port of a managed Jaeger's user interface and query API.
    #[serde(default = "jaeger_node_port")]
    #[schemars(range(min = 30000, max = 32767))]
    pub jaeger: i32,
}

impl Default for NodePortExposure {
    fn default() -> Self {
        Self {
            host: localhost(),
            gateway: gateway_node_port(),
            jaeger: jaeger_node_port(),
        }
    }
}

fn localhost() -> String {
    "localhost".to_owned()
}

fn gateway_node_port() -> i32 {
    30080
}

fn jaeger_node_port() -> i32 {
    30686
}
