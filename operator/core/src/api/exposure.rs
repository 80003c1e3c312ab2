//! Storage of the services' data, and ways into the Platform.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where services with a database keep their data.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseSpec {
    /// Kind of database.
    #[serde(default, rename = "type")]
    #[x_kube(validation = Rule::new("self == oldSelf").message("database.type cannot be changed: data is not moved between databases"))]
    pub type_: DatabaseType,
}

/// Kind of database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DatabaseType {
    /// An SQLite file on a volume of its own for each service; such a service has one pod.
    #[default]
    Embedded,
}

/// How the gateway and Jaeger are reached from outside the cluster.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.type == 'NodePort' || !has(self.nodePort)").message("nodePort is allowed only when type is NodePort"))]
pub struct ExposureSpec {
    /// Way in.
    #[serde(default, rename = "type")]
    pub type_: ExposureType,
    /// Settings of the way in by node ports. Left out, its defaults are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_port: Option<NodePortExposure>,
}

/// Way into the Platform.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ExposureType {
    /// Reached from inside the cluster only.
    #[default]
    None,
    /// Reached on a port of every node.
    NodePort,
}

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
    /// Port of the gateway.
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
