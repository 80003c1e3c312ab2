//! Somebody has the token of the operator's account: what they try beyond what the operator is for is refused, by RBAC or
//! by the ValidatingAdmissionPolicy of the chart.

use kube::Client;
use serde_json::{Value, json};

use crate::privileges::Installed;

/// A request that must be refused.
struct Attempt {
    what: &'static str,
    method: &'static str,
    path: String,
    body: Value,
}

/// A Deployment like those of the operator.
fn deployment(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "labels": {"app.kubernetes.io/managed-by": "tracewell-operator", "tracewell.dev/platform": "demo"},
        },
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": pod(),
            },
        },
    })
}

fn pod() -> Value {
    json!({
        "automountServiceAccountToken": false,
        "restartPolicy": "Always",
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [{"name": "tmp", "emptyDir": {}}],
        "containers": [{
            "name": "main",
            "image": "registry.example/main:1",
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
        }],
    })
}

/// What pods must not have, each a change of one that is allowed.
fn wicked_pods() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("be on the network of the node", "/hostNetwork", json!(true)),
        ("see the processes of the node", "/hostPID", json!(true)),
        ("share the memory of the node", "/hostIPC", json!(true)),
        ("choose a node", "/nodeName", json!("control-plane")),
        ("act as another account", "/serviceAccountName", json!("admin")),
        ("have a token", "/automountServiceAccountToken", json!(true)),
        (
            "mount the disk of the node",
            "/volumes/0",
            json!({"name": "tmp", "hostPath": {"path": "/"}}),
        ),
        (
            "mount a token",
            "/volumes/0",
            json!({"name": "tmp", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}),
        ),
        ("run as root", "/securityContext/runAsUser", json!(0)),
        (
            "be allowed to run as root",
            "/securityContext/runAsNonRoot",
            json!(false),
        ),
        (
            "be without seccomp",
            "/securityContext/seccompProfile",
            json!({"type": "Unconfined"}),
        ),
        (
            "run a container as root",
            "/containers/0/securityContext/runAsUser",
            json!(0),
        ),
        (
            "be privileged",
            "/containers/0/securityContext",
            json!({"privileged": true}),
        ),
        (
            "gain privileges",
            "/containers/0/securityContext/allowPrivilegeEscalation",
            json!(true),
        ),
        (
            "add a capability",
            "/containers/0/securityContext/capabilities/add",
            json!(["SYS_ADMIN"]),
        ),
        (
            "keep its capabilities",
            "/containers/0/securityContext/capabilities/drop",
            json!([]),
        ),
        (
            "open a port of the node",
            "/containers/0/ports",
            json!([{"containerPort": 80, "hostPort": 80}]),
        ),
        (
            "do it in an init container",
            "/initContainers",
            json!([{"name": "first", "image": "i:1", "securityContext": {"privileged": true}}]),
        ),
    ]
}

/// Sets the value at a JSON pointer whose parent is there.
fn set(target: &mut Value, pointer: &str, value: Value) {
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    match target.pointer_mut(parent).unwrap() {
        Value::Array(items) => items[field.parse::<usize>().unwrap()] = value,
        object => object[field] = value,
    }
}

fn attempt(what: &'static str, method: &'static str, path: impl Into<String>, body: Value) -> Attempt {
    Attempt {
        what,
        method,
        path: path.into(),
        body,
    }
}

/// A Job or `CronJob` of a privileged pod.
fn privileged(kind: &str) -> Value {
    let mut pod = pod();
    pod["restartPolicy"] = json!("Never");
    pod["containers"][0]["securityContext"] = json!({"privileged": true});
    let job = json!({"template": {"spec": pod}});
    let spec = match kind {
        "CronJob" => json!({"schedule": "* * * * *", "jobTemplate": {"spec": job}}),
        _ => job,
    };
    let metadata = deployment("wicked")["metadata"].clone();
    json!({"apiVersion": "batch/v1", "kind": kind, "metadata": metadata, "spec": spec})
}

fn service(spec: Value) -> Value {
    let metadata = deployment("wicked")["metadata"].clone();
    json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
}

fn attempts() -> Vec<Attempt> {
    let deployments = |namespace| format!("/apis/apps/v1/namespaces/{namespace}/deployments");
    let core = |rest: &str| format!("/api/v1/namespaces/{rest}");
    let merge = |labels: Value| json!({"metadata": {"labels": labels}});
    let ours =
        json!({"app.kubernetes.io/managed-by": "tracewell-operator", "tracewell.dev/platform": "demo"});
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let cluster_admin = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "wicked"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "tracewell", "namespace": "tracewell-system"}],
    });
    let mut unlabelled = deployment("wicked");
    unlabelled["metadata"]["labels"] = json!({"app": "wicked"});
    let mut owned = deployment("wicked");
    owned["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u"}]);
    let secret = |type_: &str| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": type_,
            "metadata": {"name": "wicked", "annotations": {"kubernetes.io/service-account.name": "default"}},
        })
    };
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": deployment("wicked")["metadata"],
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "volumeName": "theirs"},
    });
    let mut list = vec![
        attempt(
            "read a Secret elsewhere",
            "GET",
            core("elsewhere/secrets/theirs"),
            Value::Null,
        ),
        attempt("list all Secrets", "GET", "/api/v1/secrets", Value::Null),
        attempt(
            "watch all Secrets",
            "GET",
            "/api/v1/secrets?watch=true",
            Value::Null,
        ),
        attempt(
            "make a Secret elsewhere",
            "POST",
            core("elsewhere/secrets"),
            secret("Opaque"),
        ),
        attempt(
            "make a Secret into a token",
            "POST",
            core("shop/secrets"),
            secret("kubernetes.io/service-account-token"),
        ),
        attempt(
            "take a Secret of others over",
            "PATCH",
            core("shop/secrets/theirs"),
            merge(ours.clone()),
        ),
        attempt(
            "change a ConfigMap of others",
            "PATCH",
            core("shop/configmaps/theirs"),
            merge(ours),
        ),
        attempt(
            "delete a Deployment of others",
            "DELETE",
            format!("{}/theirs", deployments("shop")),
            Value::Null,
        ),
        attempt(
            "ask for a token",
            "POST",
            core("shop/serviceaccounts/default/token"),
            json!({
                "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []},
            }),
        ),
        attempt(
            "make an account",
            "POST",
            core("shop/serviceaccounts"),
            json!({
                "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "wicked"},
            }),
        ),
        attempt(
            "make a pod",
            "POST",
            core("shop/pods"),
            json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "wicked"}, "spec": pod(),
            }),
        ),
        attempt(
            "enter a pod",
            "POST",
            core("shop/pods/demo/exec?command=sh"),
            Value::Null,
        ),
        attempt(
            "read the logs of a pod",
            "GET",
            core("shop/pods/demo/log"),
            Value::Null,
        ),
        attempt(
            "reach a kubelet",
            "GET",
            "/api/v1/nodes/node/proxy/pods",
            Value::Null,
        ),
        attempt(
            "make a Deployment where there is no Platform",
            "POST",
            deployments("elsewhere"),
            deployment("wicked"),
        ),
        attempt(
            "make a Deployment in kube-system",
            "POST",
            deployments("kube-system"),
            deployment("wicked"),
        ),
        attempt("hide an object", "POST", deployments("shop"), unlabelled),
        attempt(
            "let the garbage collector delete",
            "POST",
            deployments("shop"),
            owned,
        ),
        attempt(
            "a privileged Job",
            "POST",
            "/apis/batch/v1/namespaces/shop/jobs",
            privileged("Job"),
        ),
        attempt(
            "a privileged CronJob",
            "POST",
            "/apis/batch/v1/namespaces/shop/cronjobs",
            privileged("CronJob"),
        ),
        attempt(
            "lead a name elsewhere",
            "POST",
            core("shop/services"),
            service(json!({"type": "ExternalName", "externalName": "wicked.example"})),
        ),
        attempt(
            "take an address",
            "POST",
            core("shop/services"),
            service(json!({"ports": [{"port": 80}], "externalIPs": ["192.0.2.1"]})),
        ),
        attempt(
            "open a load balancer",
            "POST",
            core("shop/services"),
            service(json!({"type": "LoadBalancer", "ports": [{"port": 80}]})),
        ),
        attempt(
            "choose a volume",
            "POST",
            core("shop/persistentvolumeclaims"),
            claim,
        ),
        attempt(
            "become an administrator",
            "POST",
            format!("{rbac}/clusterrolebindings"),
            cluster_admin,
        ),
        attempt(
            "widen the own role",
            "PATCH",
            format!("{rbac}/clusterroles/tracewell"),
            json!({"rules": []}),
        ),
        attempt(
            "take the policy away",
            "DELETE",
            "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/tracewell",
            Value::Null,
        ),
        attempt(
            "change the CRD",
            "PATCH",
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/platforms.tracewell.dev",
            merge(json!({"a": "b"})),
        ),
        attempt(
            "change a Platform",
            "PATCH",
            "/apis/tracewell.dev/v1alpha1/namespaces/shop/platforms/demo",
            json!({"spec": {"profile": "Production"}}),
        ),
        attempt(
            "delete a Platform",
            "DELETE",
            "/apis/tracewell.dev/v1alpha1/namespaces/shop/platforms/demo",
            Value::Null,
        ),
        attempt(
            "hold a Lease of others",
            "PUT",
            "/apis/coordination.k8s.io/v1/namespaces/tracewell-system/leases/theirs",
            json!({
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "theirs"},
            }),
        ),
        attempt(
            "hold a Lease of the control plane",
            "POST",
            "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases",
            json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "wicked"}}),
        ),
        attempt(
            "make a namespace",
            "POST",
            "/api/v1/namespaces",
            json!({
                "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "wicked"},
            }),
        ),
    ];
    list.extend(wicked_pods().into_iter().map(|(what, pointer, value)| {
        let mut wicked = deployment("wicked");
        set(&mut wicked["spec"]["template"]["spec"], pointer, value);
        attempt(what, "POST", deployments("shop"), wicked)
    }));
    list
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

#[tokio::test]
async fn a_stolen_token_leads_nowhere() {
    let values = ["--set", "secrets.namespaces={shop}"];
    let Some(installed) = Installed::new(&values, &["shop", "elsewhere"]).await else {
        return;
    };
    let (admin, thief) = (&installed.client, installed.as_operator().await);
    let post = async |path: &str, body: Value| send(admin, "POST", path, &body).await.unwrap();
    post(
        "/apis/tracewell.dev/v1alpha1/namespaces/shop/platforms",
        crate::fixture::manifest("shop", "demo", &json!({})),
    )
    .await;
    for namespace in ["shop", "elsewhere"] {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "theirs"}});
        post(&format!("/api/v1/namespaces/{namespace}/secrets"), secret).await;
    }
    let config_map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs"}});
    post("/api/v1/namespaces/shop/configmaps", config_map).await;
    post("/apis/apps/v1/namespaces/shop/deployments", deployment("theirs")).await;
    let lease =
        json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "theirs"}});
    post(
        "/apis/coordination.k8s.io/v1/namespaces/tracewell-system/leases",
        lease,
    )
    .await;

    // What the operator is for is allowed, as soon as the API server has read the policy and knows the Platform.
    let deployments = "/apis/apps/v1/namespaces/shop/deployments?fieldManager=tracewell-operator";
    let started = std::time::Instant::now();
    while let Err(error) = send(&thief, "POST", deployments, &deployment("honest")).await {
        assert!(started.elapsed().as_secs() < 60, "{error}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    eprintln!("an honest write is allowed after {:?}", started.elapsed());

    let attempts = attempts();
    assert!(attempts.len() >= 40);
    let mut succeeded = Vec::new();
    for Attempt {
        what,
        method,
        path,
        body,
    } in &attempts
    {
        match send(&thief, method, path, body).await {
            Err(kube::Error::Api(status)) if status.code == 403 => {}
            Err(kube::Error::Api(status)) if status.message.contains("ValidatingAdmissionPolicy") => {}
            other => succeeded.push(format!("{what}: {other:?}")),
        }
    }
    assert!(succeeded.is_empty(), "{succeeded:#?}");
    let honest = format!("{}/honest", deployments.split_once('?').unwrap().0);
    send(&thief, "DELETE", &honest, &Value::Null).await.unwrap();
}
