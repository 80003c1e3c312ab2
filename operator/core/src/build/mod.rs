//! From what a Platform means to the objects that make it so. Builders are total: nothing here can fail.
//!
//! They write what is particular to an object; owner, labels and hash are stamped on all of them in one place,
//! [`desired`](crate::desired).

mod collector;
mod config;
mod environment;
mod jaeger;
mod network;
mod pod;
mod storage;
mod workload;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Service};

pub use self::environment::ignored_variables;
pub(crate) use self::jaeger::trace_ui_url;
use crate::kinds::Kind;
use crate::labels::Component;
use crate::resolve::{Backend, Resolved};

/// An object before its owner, labels and hash are stamped on it.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Value of its label `app.kubernetes.io/name`: the service or component that it belongs to.
    pub app: String,
    /// Its role.
    pub component: Component,
    /// What is particular to it.
    pub body: Body,
}

/// What is particular to an object, by kind.
#[derive(Clone, Debug)]
pub enum Body {
    /// Configuration.
    ConfigMap(ConfigMap),
    /// Data.
    PersistentVolumeClaim(PersistentVolumeClaim),
    /// Name and ports.
    Service(Service),
    /// Pods.
    Deployment(Box<Deployment>),
}

impl Body {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::ConfigMap(_) => Kind::ConfigMap,
            Self::PersistentVolumeClaim(_) => Kind::PersistentVolumeClaim,
            Self::Service(_) => Kind::Service,
            Self::Deployment(_) => Kind::Deployment,
        }
    }
}

/// Every object of a Platform.
pub fn build(resolved: &Resolved) -> Vec<Part> {
    let mut parts = Vec::new();
    let collector = resolved
        .tracing
        .as_ref()
        .and_then(|tracing| collector::build_collector(resolved, tracing));
    if let Some(collector) = &collector {
        parts.push(collector.config.clone());
    }
    if let Some(tracing) = &resolved.tracing
        && let Backend::Managed { image, max_traces } = &tracing.backend
    {
        parts.extend(jaeger::build_jaeger(resolved, image, *max_traces));
    }
    for service in &resolved.services {
        parts.extend(storage::build_claim(resolved, service));
        parts.push(network::build_service(resolved, service));
        parts.push(workload::build_workload(resolved, service, collector.as_ref()));
    }
    parts
}
