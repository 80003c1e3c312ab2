//! What must be there before the first watch: a watch that is refused only goes round in a slow, silent loop
//! (kube-rs/kube#1132).

use std::time::Duration;

use futures::future::try_join_all;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::{
    Api, Client,
    api::{ListParams, PostParams},
};

use crate::{
    cluster::{ClusterError, LeaseKey, Reach},
    controller::Watched,
    permissions::{Permission, lease_permissions, permissions},
};

/// For how long the CRD may be on its way: a chart brings it together with the operator.
const CRD_PATIENCE: Duration = Duration::from_secs(30);

/// The pause between two looks for the CRD.
const CRD_PAUSE: Duration = Duration::from_secs(1);

/// What is missing.
#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
    /// The API server does not know Platforms.
    #[error(
        "the CRD platforms.tracewell.dev is not in the cluster: install the chart with crds.install=true, or run \
         `tracewell-operator crd | kubectl apply --server-side -f -`"
    )]
    NoCrd,
    /// Permissions are missing.
    #[error("the operator's service account lacks permissions, which the chart's roles give: {0}")]
    Forbidden(String),
    /// The question could not be asked.
    #[error("{question} could not be checked")]
    Unchecked {
        /// What was asked.
        question: &'static str,
        /// Why there is no answer.
        source: ClusterError,
    },
}

/// Checks the CRD and every permission.
pub async fn preflight(
    client: &Client,
    reach: &Reach,
    lease: Option<&LeaseKey>,
) -> Result<(), PreflightError> {
    let missing = missing_permissions(client, reach, lease)
        .await
        .map_err(unchecked("the operator's permissions"))?;
    if !missing.is_empty() {
        return Err(PreflightError::Forbidden(missing.join(", ")));
    }
    tokio::time::timeout(CRD_PATIENCE, wait_for_crd(client, reach))
        .await
        .unwrap_or(Err(PreflightError::NoCrd))
}

async fn wait_for_crd(client: &Client, reach: &Reach) -> Result<(), PreflightError> {
    let platforms = reach.api::<Watched>(client);
    loop {
        match platforms.list(&ListParams::default().limit(1)).await {
            Ok(_) => return Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => tokio::time::sleep(CRD_PAUSE).await,
            Err(error) => return Err(unchecked("the CRD platforms.tracewell.dev")(error)),
        }
    }
}

fn unchecked(question: &'static str) -> impl FnOnce(kube::Error) -> PreflightError {
    move |error| PreflightError::Unchecked {
        question,
        source: error.into(),
    }
}

/// Where a permission is asked for: no namespace is all of them, no name every object.
#[derive(Clone, Copy)]
struct Place<'a> {
    namespace: Option<&'a str>,
    name: Option<&'a str>,
}

/// Each permission that the API server would refuse, as "verb resource.group".
async fn missing_permissions(
    client: &Client,
    reach: &Reach,
    lease: Option<&LeaseKey>,
) -> Result<Vec<String>, kube::Error> {
    let watched = Place {
        namespace: reach.namespace(),
        name: None,
    };
    let mut needed: Vec<_> = permissions()
        .into_iter()
        .map(|permission| (permission, watched))
        .collect();
    if let Some(lease) = lease {
        let [this_one, any] = lease_permissions();
        let namespace = Some(lease.namespace.as_str());
        let place = |name| Place { namespace, name };
        needed.extend([(this_one, place(Some(lease.name.as_str()))), (any, place(None))]);
    }
    let questions = needed.iter().flat_map(|(permission, place)| {
        let verbs = permission.verbs.iter();
        verbs.map(move |verb| missing_permission(client, permission, verb, *place))
    });
    Ok(try_join_all(questions).await?.into_iter().flatten().collect())
}

async fn missing_permission(
    client: &Client,
    permission: &Permission,
    verb: &str,
    place: Place<'_>,
) -> Result<Option<String>, kube::Error> {
    let (resource, subresource) = match permission.resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (permission.resource.as_str(), None),
    };
    let question = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: Some(permission.group.to_owned()),
                resource: Some(resource.to_owned()),
                subresource,
                verb: Some(verb.to_owned()),
                namespace: place.namespace.map(str::to_owned),
                name: place.name.map(str::to_owned),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let reviews = Api::<SelfSubjectAccessReview>::all(client.clone());
    let allowed = reviews
        .create(&PostParams::default(), &question)
        .await?
        .status
        .is_some_and(|status| status.allowed);
    let place = match (place.namespace, place.name) {
        (Some(namespace), Some(name)) => format!(" {name} in {namespace}"),
        (Some(namespace), None) => format!(" in {namespace}"),
        (None, _) => String::new(),
    };
    Ok((!allowed).then(|| format!("{verb} {}{place}", permission.name())))
}
