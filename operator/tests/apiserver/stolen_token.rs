//! Somebody has the token of the operator's account: what they try beyond what the operator is for is refused, by RBAC or
//! by the chart's admission policies.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use kube::Client;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{fixture::manifest, privileges::Installed};

/// How long the API server may take to read the policies and to know the Platform.
const PATIENCE: Duration = Duration::from_mins(1);

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/shop/deployments";

/// `stolen_token.yaml`.
#[derive(Deserialize)]
struct Attempts {
    requests: Vec<Request>,
    pods: Vec<PodChange>,
}

/// A request that must be refused.
#[derive(Deserialize)]
struct Request {
    what: String,
    method: String,
    path: String,
    #[serde(default)]
    body: Value,
    /// In place of the body: changes of [`deployment`], by JSON pointer.
    deployment: Option<BTreeMap<String, Value>>,
}

/// What the pods of a Deployment must not have.
#[derive(Deserialize)]
struct PodChange {
    what: String,
    at: String,
    value: Value,
}

impl Attempts {
    fn read() -> Vec<Request> {
        let Self { mut requests, pods } = serde_saphyr::from_str(include_str!("stolen_token.yaml")).unwrap();
        requests.extend(pods.into_iter().map(|PodChange { what, at, value }| Request {
            what,
            method: "POST".to_owned(),
            path: DEPLOYMENTS.to_owned(),
            body: Value::Null,
            deployment: Some([(format!("/spec/template/spec{at}"), value)].into()),
        }));
        requests
    }
}

impl Request {
    fn body(&self) -> Value {
        let Some(changes) = &self.deployment else {
            return self.body.clone();
        };
        let mut deployment = deployment("wicked");
        for (pointer, value) in changes {
            let (parent, field) = pointer.rsplit_once('/').unwrap();
            deployment.pointer_mut(parent).unwrap()[field] = value.clone();
        }
        deployment
    }
}

/// A Deployment like those of the operator.
fn deployment(name: &str) -> Value {
    let labels =
        json!({"app.kubernetes.io/managed-by": "tracewell-operator", "tracewell.dev/platform": "demo"});
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "automountServiceAccountToken": false,
                    "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
                    "volumes": [{"name": "tmp", "emptyDir": {}}],
                    "containers": [{
                        "name": "main",
                        "image": "registry.example/main:1",
                        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                    }],
                },
            },
        },
    })
}

async fn send(client: &Client, method: &str, path: &str, body: &Value) -> Result<Value, kube::Error> {
    let content_type = if method == "PATCH" {
        "application/merge-patch+json"
    } else {
        "application/json"
    };
    let body = if body.is_null() {
        Vec::new()
    } else {
        serde_json::to_vec(body).unwrap()
    };
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("Content-Type", content_type)
        .body(body)
        .unwrap();
    client.request(request).await
}

/// A Platform, and what is not the operator's.
async fn furnish(admin: &Client) {
    let post = async |path: &str, body: Value| drop(send(admin, "POST", path, &body).await.unwrap());
    let theirs =
        |api: &str, kind: &str| json!({"apiVersion": api, "kind": kind, "metadata": {"name": "theirs"}});
    let platforms = "/apis/tracewell.dev/v1alpha1/namespaces/shop/platforms";
    post(platforms, manifest("shop", "demo", &json!({}))).await;
    post("/api/v1/namespaces/shop/secrets", theirs("v1", "Secret")).await;
    post("/api/v1/namespaces/elsewhere/secrets", theirs("v1", "Secret")).await;
    post("/api/v1/namespaces/shop/configmaps", theirs("v1", "ConfigMap")).await;
    post(DEPLOYMENTS, deployment("theirs")).await;
    let leases = "/apis/coordination.k8s.io/v1/namespaces/tracewell-system/leases";
    post(leases, theirs("coordination.k8s.io/v1", "Lease")).await;
}

#[tokio::test]
async fn a_stolen_token_leads_nowhere() {
    let values = ["--set", "secrets.namespaces={shop}"];
    let Some(installed) = Installed::new(&values, &["shop", "elsewhere"]).await else {
        return;
    };
    let thief = installed.as_operator().await;
    furnish(&installed.client).await;

    // What the operator is for is allowed.
    let own = format!("{DEPLOYMENTS}?fieldManager=tracewell-operator/demo");
    let started = Instant::now();
    while let Err(error) = send(&thief, "POST", &own, &deployment("honest")).await {
        assert!(started.elapsed() < PATIENCE, "{error}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // The API server takes the policies up a moment after they are made.
    let foreign = format!("{DEPLOYMENTS}/theirs?dryRun=All");
    while send(&thief, "DELETE", &foreign, &Value::Null).await.is_ok() {
        assert!(started.elapsed() < PATIENCE, "the policies are not taken up");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let attempts = Attempts::read();
    assert!(attempts.len() > 50);
    let mut succeeded = Vec::new();
    for attempt in &attempts {
        match send(&thief, &attempt.method, &attempt.path, &attempt.body()).await {
            Err(kube::Error::Api(status)) if status.code == 403 => {}
            Err(kube::Error::Api(status)) if status.message.contains("ValidatingAdmissionPolicy") => {}
            other => succeeded.push(format!("{}: {other:?}", attempt.what)),
        }
    }
    assert!(succeeded.is_empty(), "{succeeded:#?}");
    send(&thief, "DELETE", &format!("{DEPLOYMENTS}/honest"), &Value::Null)
        .await
        .unwrap();
}
