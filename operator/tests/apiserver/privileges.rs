//! What the chart lets the operator do: enough in both of its scopes, and nothing that it does not use.

use std::{collections::BTreeSet, path::Path, time::Duration};

use k8s_openapi::{
    api::{
        authentication::v1::{TokenRequest, TokenRequestSpec},
        core::v1::{Secret, Service, ServiceAccount},
        rbac::v1::RoleBinding,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Config, CustomResourceExt as _,
    api::{DeleteParams, ListParams, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::DynamicObject,
};
use platform_core::{
    api::Platform,
    kinds::{KINDS, KindInfo},
};
use platform_envtest::{ControlPlane, Operator, assets, create_namespace, install_crd};
use platform_operator::permissions::{Permission, lease_permissions, permissions, secret_permissions};
use platform_testkit::{example, examples};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    PROGRAM,
    chart::{apply, helm},
    fixture::World,
};

/// The longest that anything here may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// The namespace of the release.
const HOME: &str = "tracewell-system";

/// What service accounts do is written down, without the content.
const AUDIT_POLICY: &str = r#"
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - {level: Metadata, userGroups: ["system:serviceaccounts"]}
  - {level: None}
"#;

/// The operator as the chart installs it: with its account's token, and nothing else.
pub(crate) struct Installed {
    pub(crate) client: Client,
    kubeconfig: Kubeconfig,
    /// Of the audit log and of the operator's files.
    folder: TempDir,
    _plane: ControlPlane,
}

impl Installed {
    /// The chart with these values, and these namespaces; `None` is a loud skip.
    pub(crate) async fn new(values: &[&str], namespaces: &[&str]) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let [policy, log] = ["audit-policy.yaml", "audit.log"].map(|name| folder.path().join(name));
        std::fs::write(&policy, AUDIT_POLICY).unwrap();
        let arguments = [
            format!("--audit-policy-file={}", policy.display()),
            format!("--audit-log-path={}", log.display()),
        ];
        let plane = ControlPlane::start_with(&assets()?, &arguments).await.unwrap();
        let client = plane.client().await.unwrap();
        install_crd(&client, &Platform::crd()).await.unwrap();
        for info in KINDS.iter().filter(|info| !info.is_everywhere()) {
            install_crd(&client, &crd_of_others(info)).await.unwrap();
        }
        for namespace in [HOME].iter().chain(namespaces) {
            create_namespace(&client, namespace).await.unwrap();
        }
        let rendered = helm(&[&["--set", "crds.install=false"], values].concat())?.unwrap();
        for document in serde_saphyr::from_multiple::<Value>(&rendered).unwrap() {
            if !document.is_null() {
                apply(&client, &document, &PatchParams::apply("helm")).await;
            }
        }
        Some(Self {
            kubeconfig: with_token(plane.kubeconfig(), &client).await,
            _plane: plane,
            client,
            folder,
        })
    }

    fn start(&self, environment: &[(&str, &str)]) -> Operator {
        let own = [
            ("LEASE_NAMESPACE", HOME),
            ("LEASE_NAME", "tracewell"),
            ("SECRETS_ROLE", "tracewell-secrets"),
            ("SERVICE_ACCOUNT", "tracewell-system:tracewell"),
        ];
        let environment = [&own, environment].concat();
        Operator::start(
            Path::new(PROGRAM),
            &self.kubeconfig,
            self.folder.path(),
            &environment,
        )
        .unwrap()
    }

    /// A client with the operator's token.
    pub(crate) async fn as_operator(&self) -> Client {
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(self.kubeconfig.clone(), &options);
        Client::try_from(config.await.unwrap()).unwrap()
    }

    fn world(&self, namespace: &str) -> World {
        World::new(self.client.clone(), namespace)
    }
}

/// A kubeconfig like this one, of the operator's account.
async fn with_token(kubeconfig: &Kubeconfig, client: &Client) -> Kubeconfig {
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), HOME);
    let request = TokenRequest {
        spec: TokenRequestSpec::default(),
        ..TokenRequest::default()
    };
    let answer = accounts
        .create_token_request("tracewell", &PostParams::default(), &request)
        .await
        .unwrap();
    let token = answer.status.unwrap().token;
    let mut kubeconfig = serde_json::to_value(kubeconfig).unwrap();
    kubeconfig["users"][0]["user"] = json!({"token": token});
    serde_json::from_value(kubeconfig).unwrap()
}

/// A CRD that takes whatever we write.
fn crd_of_others(info: &KindInfo) -> CustomResourceDefinition {
    let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    serde_json::from_value(json!({
        "metadata": {
            "name": format!("{}.{}", info.plural, info.group),
            // One of the groups is protected: its CRDs have to name who approved them.
            "annotations": {"api-approved.kubernetes.io": "unapproved, a test's"},
        },
        "spec": {
            "group": info.group,
            "names": {"kind": info.name, "plural": info.plural, "singular": info.name.to_lowercase()},
            "scope": "Namespaced",
            "versions": [{
                "name": info.version, "served": true, "storage": true, "schema": {"openAPIV3Schema": anything},
            }],
        },
    }))
    .unwrap()
}

/// A verb on a resource.
type Tuple = (String, String, String);

fn tuples(permission: &Permission) -> impl Iterator<Item = Tuple> {
    permission.verbs.iter().map(|verb| {
        (
            permission.group.to_owned(),
            permission.resource.clone(),
            (*verb).to_owned(),
        )
    })
}

/// What the API server's audit log says that the operator did. Server-side apply that makes an object needs two permissions.
fn used(installed: &Installed) -> BTreeSet<Tuple> {
    let mut used = BTreeSet::new();
    let log = std::fs::read_to_string(installed.folder.path().join("audit.log")).unwrap();
    for line in log.lines() {
        // The last line may be half written.
        let Ok(event) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let (of, code) = (&event["objectRef"], &event["responseStatus"]["code"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        assert_ne!(code, 401, "{event}");
        let resource = match of["subresource"].as_str() {
            Some(subresource) => format!("{}/{subresource}", text(&of["resource"])),
            None => text(&of["resource"]),
        };
        if code == 403 {
            continue;
        }
        let tuple = |verb: &str| (text(&of["apiGroup"]), resource.clone(), verb.to_owned());
        used.insert(tuple(&text(&event["verb"])));
        if event["verb"] == "patch" && code == 201 {
            used.insert(tuple("create"));
        }
    }
    used
}

/// Looks, and lets every workload roll out in between, until nothing is missing.
async fn until(world: &World, what: &str, mut missing: impl AsyncFnMut() -> String) {
    let waiting = async {
        loop {
            world.roll_out().await;
            if missing().await.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(waited.is_ok(), "{what}: {}", missing().await);
}

#[tokio::test]
async fn in_the_scope_of_the_cluster_the_operator_uses_every_permission_and_secrets_where_it_may() {
    let values = ["--set", "secrets.namespaces={shop}"];
    let Some(installed) = Installed::new(&values, &["shop", "reserved"]).await else {
        return;
    };
    let mut operator = installed.start(&[]);
    operator.answer("/readyz", "200").await.unwrap();
    let shop = installed.world("shop");
    for name in examples() {
        let mut spec = serde_json::to_value(example(&name).spec).unwrap();
        let variable =
            json!({"name": "TEXT", "valueFrom": {"configMapKeyRef": {"name": "theirs", "key": "text"}}});
        spec["services"][0]["env"] = json!([variable]);
        for way in ["ingress", "gateway"] {
            if let Some(way) = spec.pointer_mut(&format!("/exposure/{way}")) {
                way["host"] = json!(format!("{name}.example.com"));
            }
        }
        shop.apply(&name, spec).await;
        shop.provide_references(&name).await;
    }
    let needed: BTreeSet<Tuple> = permissions()
        .iter()
        .chain(&lease_permissions())
        .chain([&secret_permissions()])
        .flat_map(tuples)
        .collect();
    let missing = |wanted: &dyn Fn(&Tuple) -> bool| {
        let used = used(&installed);
        let missing: Vec<_> = needed.difference(&used).filter(|tuple| wanted(tuple)).collect();
        if missing.is_empty() {
            String::new()
        } else {
            format!("{missing:?}")
        }
    };
    let makes = |(_, resource, verb): &Tuple| verb != "delete" && !(resource == "events" && verb == "patch");
    until(&shop, "never used", async || missing(&makes)).await;

    // What is repaired twice leads to an event that counts up; what is not wanted any more is deleted.
    let services = Api::<Service>::namespaced(installed.client.clone(), "shop");
    until(&shop, "never used", async || {
        let _ = services.delete("minimal-gateway", &DeleteParams::default()).await;
        missing(&|(_, resource, _)| resource == "events")
    })
    .await;
    for name in examples() {
        let mut spec = serde_json::to_value(example(&name).spec).unwrap();
        spec["services"] = json!([{"name": "only", "image": "registry.example/only:1", "port": 80}]);
        for part in ["exposure", "networkPolicy"] {
            spec.as_object_mut().unwrap().remove(part);
        }
        spec["telemetry"]["metrics"]["discovery"] = json!("None");
        if let Some(postgres) = spec.pointer_mut("/database/postgres") {
            postgres.as_object_mut().unwrap().remove("backup");
        }
        shop.apply(&name, spec).await;
    }
    until(&shop, "never used", async || missing(&|_| true)).await;
    // Discovery, and to ask what one may, is allowed to every account.
    let everyone = |resource: &str| resource.is_empty() || resource == "selfsubjectaccessreviews";
    let beyond: Vec<_> = used(&installed)
        .into_iter()
        .filter(|tuple| !needed.contains(tuple) && !everyone(&tuple.1))
        .collect();
    assert_eq!(beyond, [], "something else than the chart's roles allows it");

    consent_is_asked_for_and_enough(&installed).await;
    assert_eq!(operator.terminate().unwrap(), Some(0));
}

/// A Platform that needs Secrets, in a namespace where the operator may not use them.
async fn consent_is_asked_for_and_enough(installed: &Installed) {
    let reserved = installed.world("reserved");
    let secrets = Api::<Secret>::namespaced(installed.as_operator().await, "reserved");
    secrets
        .list(&ListParams::default())
        .await
        .expect_err("nobody has agreed yet");
    let services = json!([{"name": "auth", "env": [
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "theirs", "key": "token"}}},
    ]}]);
    reserved.apply("files", json!({"services": services})).await;
    reserved
        .apply(
            "server",
            json!({"services": services, "database": {"type": "Postgres"}}),
        )
        .await;
    until(&reserved, "what needs no consent is there", async || {
        reserved.lacking("files", "Ready", "True").await
    })
    .await;
    let unchecked = reserved.condition("files", "SecretsResolved").await;
    assert_eq!(
        (&unchecked["status"], &unchecked["reason"]),
        (&json!("Unknown"), &json!("SecretsNotChecked"))
    );
    until(&reserved, "what needs it says so", async || {
        reserved.lacking("server", "Ready", "False").await
    })
    .await;
    let told = reserved.condition("server", "Ready").await;
    assert_eq!(told["reason"], "SecretsForbidden", "{told}");
    let command = "kubectl create rolebinding tracewell-secrets --namespace reserved --clusterrole tracewell-secrets \
                   --serviceaccount tracewell-system:tracewell";
    assert!(told["message"].as_str().unwrap().ends_with(command), "{told}");

    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": "tracewell-secrets"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "tracewell-secrets"},
        "subjects": [{"kind": "ServiceAccount", "name": "tracewell", "namespace": HOME}],
    }))
    .unwrap();
    let bindings = Api::<RoleBinding>::namespaced(installed.client.clone(), "reserved");
    bindings.create(&PostParams::default(), &binding).await.unwrap();
    until(&reserved, "now it is looked for", async || {
        reserved.lacking("server", "SecretsResolved", "False").await
    })
    .await;
    reserved.provide_references("server").await;
    until(&reserved, "and ready", async || {
        reserved.lacking("server", "Ready", "True").await
    })
    .await;
}

#[tokio::test]
async fn in_the_scope_of_a_namespace_roles_suffice_and_others_are_left_alone() {
    let Some(installed) = Installed::new(&["--set", "scope=Namespace"], &["elsewhere"]).await else {
        return;
    };
    let cluster_roles = ["ClusterRole", "ClusterRoleBinding"];
    let rendered = helm(&["--set", "scope=Namespace"])
        .expect("helm was there before")
        .unwrap();
    let documents: Vec<Value> = serde_saphyr::from_multiple(&rendered).unwrap();
    assert!(
        documents
            .iter()
            .all(|document| !cluster_roles.iter().any(|kind| document["kind"] == *kind))
    );

    let mut operator = installed.start(&[("WATCH_NAMESPACE", HOME)]);
    operator.answer("/readyz", "200").await.unwrap();
    let (own, other) = (installed.world(HOME), installed.world("elsewhere"));
    let spec = json!({"services": [{"name": "auth"}], "database": {"type": "Postgres"}});
    other.apply("demo", spec.clone()).await;
    own.apply("demo", spec).await;
    until(&own, "the Platform of its own namespace is ready", async || {
        own.lacking("demo", "Ready", "True").await
    })
    .await;
    let others = Api::<DynamicObject>::namespaced_with(
        installed.client.clone(),
        "elsewhere",
        &kube::core::ApiResource::erase::<Platform>(&()),
    );
    assert!(others.get("demo").await.unwrap().data["status"]["conditions"].is_null());
    assert_eq!(operator.terminate().unwrap(), Some(0));
}
