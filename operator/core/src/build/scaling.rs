//! How many pods a workload has, and how many of them may be away.

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, MetricSpec,
    MetricTarget, ResourceMetricSource,
};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::network::selector;
use super::{Body, Part};
use crate::labels::Component;
use crate::resolve::{Resolved, Scale, Service};

/// What belongs to the number of a service's pods.
pub(super) fn build_scaling(resolved: &Resolved, service: &Service) -> Vec<Part> {
    let part = |body: Body| Part {
        name: resolved.name.workload(&service.name),
        app: service.name.to_string(),
        component: Component::Service,
        body,
    };
    [
        build_autoscaler(resolved, service).map(part),
        (service.scale.max() > 1).then(|| part(build_disruption_budget(resolved, service.name.as_str()))),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn build_autoscaler(resolved: &Resolved, service: &Service) -> Option<Body> {
    let Scale::Automatic(autoscaling) = &service.scale else {
        return None;
    };
    let cpu = MetricSpec {
        type_: "Resource".to_owned(),
        resource: Some(ResourceMetricSource {
            name: "cpu".to_owned(),
            target: MetricTarget {
                type_: "Utilization".to_owned(),
                average_utilization: Some(autoscaling.target_cpu_percent),
                ..MetricTarget::default()
            },
        }),
        ..MetricSpec::default()
    };
    Some(Body::of(&HorizontalPodAutoscaler {
        spec: Some(HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some("apps/v1".to_owned()),
                kind: "Deployment".to_owned(),
                name: resolved.name.workload(&service.name),
            },
            min_replicas: Some(autoscaling.min_replicas),
            max_replicas: autoscaling.max_replicas,
            metrics: Some(vec![cpu]),
            behavior: None,
        }),
        ..HorizontalPodAutoscaler::default()
    }))
}

/// One pod at a time may be taken away, and one that does not serve anyway does not stand in the way of a drain.
pub(super) fn build_disruption_budget(resolved: &Resolved, app: &str) -> Body {
    Body::of(&PodDisruptionBudget {
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(LabelSelector {
                match_labels: Some(selector(resolved, app)),
                match_expressions: None,
            }),
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    })
}
