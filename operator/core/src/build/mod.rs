//! From what a Platform means to the objects that make it so. Builders are total: nothing here can fail.
//!
//! They write what is particular to an object; owner, labels and hash are stamped on all of them in one place,
//! [`desired`](crate::desired).

mod collector;
mod config;
mod credentials;
mod entrance;
mod environment;
mod exposure;
mod jaeger;
mod job;
mod migration;
mod monitoring;
mod network;
mod pipeline;
mod pod;
mod policies;
mod postgres;
mod prometheus;
mod scaling;
mod storage;
mod workload;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret, Service};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde::Serialize;
use serde_json::Value;

pub use self::environment::ignored_variables;
pub use self::jaeger::query_url;
pub(crate) use self::jaeger::{APP as JAEGER_APP, metrics_port as jaeger_metrics_port, trace_ui_url};
pub(crate) use self::pipeline::{
    METRICS_PATH as COLLECTOR_METRICS_PATH, METRICS_PORT as COLLECTOR_METRICS_PORT,
};
pub(crate) use self::postgres::{APP as POSTGRES_APP, BACKUP_APP, ROLES_APP};
pub use self::prometheus::prometheus_url;
use crate::desired::to_value;
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

/// What is particular to an object.
#[derive(Clone, Debug)]
pub struct Body {
    /// Its kind.
    pub kind: Kind,
    /// Its fields besides apiVersion, kind and metadata.
    pub content: Value,
}

impl Body {
    /// A body of a kind that Kubernetes itself has.
    pub(super) fn of<T: ManagedType>(typed: &T) -> Self {
        Self::new(T::KIND, to_value(typed))
    }

    /// A body of any kind.
    pub(super) fn new(kind: Kind, mut content: Value) -> Self {
        if let Value::Object(fields) = &mut content {
            for field in ["apiVersion", "kind", "metadata"] {
                fields.remove(field);
            }
        }
        Self { kind, content }
    }
}

/// A Kubernetes type whose objects the operator manages.
pub(super) trait ManagedType: Serialize {
    /// Its kind.
    const KIND: Kind;
}

macro_rules! managed_types {
    ($($name:ident),+) => {
        $(impl ManagedType for $name {
            const KIND: Kind = Kind::$name;
        })+
    };
}

managed_types!(
    ConfigMap,
    CronJob,
    Deployment,
    HorizontalPodAutoscaler,
    Ingress,
    Job,
    NetworkPolicy,
    PersistentVolumeClaim,
    PodDisruptionBudget,
    Secret,
    Service,
    StatefulSet
);

/// Every object of a Platform.
pub fn build(resolved: &Resolved) -> Vec<Part> {
    let mut parts = policies::build_policies(resolved);
    let mut sidecar = None;
    if let Some(tracing) = &resolved.tracing {
        if let Some(collector) = &tracing.collector {
            let collectors = collector::build_collectors(resolved, tracing, collector);
            parts.extend(collectors.parts);
            sidecar = collectors.sidecar;
        }
        if let Backend::Managed { image, storage } = &tracing.backend {
            parts.extend(jaeger::build_jaeger(resolved, image, storage));
        }
    }
    if let Some(postgres) = &resolved.postgres {
        parts.extend(postgres::build_postgres(resolved, postgres));
    }
    parts.extend(prometheus::build_prometheus(resolved));
    parts.extend(monitoring::build_monitoring(resolved));
    for service in &resolved.services {
        parts.extend(storage::build_claim(resolved, service));
        parts.extend(credentials::build_encryption_key(resolved, service));
        parts.extend(migration::build_migration(resolved, service));
        parts.push(network::build_service(resolved, service));
        parts.push(workload::build_workload(resolved, service, sidecar.as_ref()));
        parts.extend(scaling::build_scaling(resolved, service));
    }
    parts.extend(exposure::build_entrance(resolved));
    parts
}
