//! The status as others read it: `kubectl get`, `kubectl wait` and whoever follows a trace.

use std::{
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use kube::{
    ResourceExt as _,
    api::{Patch, PatchParams},
    runtime::wait::await_condition,
};
use opentelemetry_proto::tonic::{collector::trace::v1::ExportTraceServiceRequest, trace::v1::Span};
use platform_core::{api::Platform, labels};
use platform_envtest::{Operator, assets};
use prost::Message as _;
use serde_json::{Value, json};
use tokio::{net::TcpListener, process::Command, time::timeout};

use crate::{
    PROGRAM,
    fixture::{World, control_plane, manifest, world},
};

/// The longest that anything here may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// The pause between two looks.
const POLL: Duration = Duration::from_millis(20);

/// What kubectl asks for when it prints columns.
const AS_TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

fn spec() -> Value {
    json!({"services": [{"name": "gateway"}]})
}

async fn table(world: &World) -> Value {
    let path = format!(
        "/apis/tracewell.dev/v1alpha1/namespaces/{}/platforms",
        world.namespace
    );
    let request = http::Request::get(path)
        .header("Accept", AS_TABLE)
        .body(Vec::new());
    world.client.request(request.unwrap()).await.unwrap()
}

#[tokio::test]
async fn kubectl_get_prints_what_matters_and_the_rest_with_wide() {
    let Some(world) = world("columns").await else {
        return;
    };
    world.apply("demo", spec()).await;
    world.bring_up("demo").await.unwrap();
    let table = table(&world).await;
    let columns = table["columnDefinitions"].as_array().unwrap();
    let cells = table["rows"][0]["cells"].as_array().unwrap();
    let of_priority = |priority: u64| -> Vec<(&str, &Value)> {
        let both = columns.iter().zip(cells);
        both.filter(|(column, _)| column["priority"] == priority)
            .map(|(column, cell)| (column["name"].as_str().unwrap(), cell))
            .collect()
    };
    let shown = of_priority(0);
    let age = shown.last().map(|(name, age)| (*name, age.is_string()));
    assert_eq!(age, Some(("Age", true)), "{table}");
    assert_eq!(
        shown[..shown.len() - 1],
        [
            ("Name", &json!("demo")),
            ("Ready", &json!("True")),
            ("Reason", &json!("AllComponentsReady")),
            ("Services", &json!("1/1")),
            ("Traces", &json!("Unknown")),
        ]
    );
    let url = json!("http://demo-gateway.columns.svc:3000");
    assert_eq!(of_priority(1), [("URL", &url), ("Version", &json!("1.2.3"))]);
}

#[tokio::test]
async fn every_condition_says_which_spec_it_speaks_of() {
    let Some(world) = world("generations").await else {
        return;
    };
    for (generation, spec) in [(1, spec()), (2, json!({"services": [{"name": "auth"}]}))] {
        world.apply("demo", spec).await;
        world.bring_up("demo").await.unwrap();
        let status = json!(world.platforms().get_status("demo").await.unwrap().status);
        assert_eq!(status["observedGeneration"], generation);
        let conditions = status["conditions"].as_array().unwrap();
        assert!(conditions.len() > 10, "{conditions:?}");
        for condition in conditions {
            assert_eq!(condition["observedGeneration"], generation, "{condition}");
        }
    }
}

/// What the API server keeps of who wrote the status is read, written and compared with each write of the Platform.
#[tokio::test]
async fn who_wrote_the_status_is_kept_in_short_and_conditions_of_others_stay() {
    let Some(world) = world("written-by").await else {
        return;
    };
    world.apply("demo", spec()).await;
    world.reconcile("demo").await.unwrap();
    let other = json!({
        "apiVersion": "tracewell.dev/v1alpha1",
        "kind": "Platform",
        "metadata": {"name": "demo"},
        "status": {"conditions": [{
            "type": "Audited", "status": "True", "reason": "Audited", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]},
    });
    let params = PatchParams::apply("auditor");
    let platforms = world.platforms();
    platforms
        .patch_status("demo", &params, &Patch::Apply(&other))
        .await
        .unwrap();
    world.bring_up("demo").await.unwrap();

    assert_eq!(world.condition("demo", "Ready").await["status"], "True");
    assert_eq!(world.condition("demo", "Audited").await["status"], "True");
    let platform = platforms.get("demo").await.unwrap();
    let mut writers = platform.managed_fields().iter();
    let own = writers
        .find(|entry| entry.manager.as_deref() == Some(labels::STATUS_FIELD_MANAGER))
        .and_then(|entry| entry.fields_v1.as_ref())
        .expect("the operator's");
    let status = &own.0["f:status"];
    assert_eq!(status["f:services"], json!({}));
    assert_eq!(status["f:endpoints"], json!({}));
    for (condition, fields) in status["f:conditions"].as_object().expect("by type") {
        assert_eq!(fields, &json!({}), "{condition}");
    }
}

/// `kubectl wait` of the assets, until the Platform has the condition.
async fn kubectl_wait(world: &World, kubeconfig: &Path, condition: &str) {
    let mut command = Command::new(assets().unwrap().join("kubectl"));
    command
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .args([
            "--namespace",
            &world.namespace,
            "wait",
            "platform/demo",
            "--timeout=60s",
        ])
        .arg(format!("--for=condition={condition}"))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = command.output().await.unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{condition}: {told}");
}

#[tokio::test]
async fn kubectl_wait_ends_when_a_platform_is_ready_or_stalled() {
    let Some(world) = world("waiting").await else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = directory.path().join("kubeconfig");
    let plane = control_plane().await.expect("it is there");
    std::fs::write(&kubeconfig, serde_json::to_string(plane.kubeconfig()).unwrap()).unwrap();

    world.apply("demo", spec()).await;
    let ready = async { world.bring_up("demo").await.unwrap() };
    tokio::join!(ready, kubectl_wait(&world, &kubeconfig, "Ready"));
    // kstatus calls what is neither Reconciling nor Stalled, and speaks of this very spec, current.
    for type_ in ["Reconciling", "Stalled"] {
        kubectl_wait(&world, &kubeconfig, &format!("{type_}=False")).await;
    }

    let cycle = json!({"services": [
        {"name": "a", "image": "a:1", "port": 80, "dependsOn": ["b"]},
        {"name": "b", "image": "b:1", "port": 80, "dependsOn": ["a"]},
    ]});
    world.apply("demo", cycle).await;
    let stalled = async { world.reconcile("demo").await.map(drop).unwrap() };
    tokio::join!(stalled, kubectl_wait(&world, &kubeconfig, "Stalled"));
    kubectl_wait(&world, &kubeconfig, "Ready=False").await;
}

/// `helm upgrade --install --wait` of a chart that has a Platform and nothing else. The error is what it said.
async fn helm_install(folder: &Path, kubeconfig: &Path, timeout: &str) -> Result<(), String> {
    let mut command = Command::new(assets().unwrap().join("helm"));
    command
        .args(["upgrade", "--install", "shop"])
        .arg(folder)
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .args(["--namespace", "helm", "--wait", "--timeout", timeout])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = command.output().await.unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        Ok(())
    } else {
        Err(told)
    }
}

#[tokio::test]
async fn helm_waits_for_a_platform_also_before_anybody_has_looked_at_it() {
    let Some(world) = world("helm").await else { return };
    let directory = tempfile::tempdir().unwrap();
    let (chart, kubeconfig) = (directory.path().join("shop"), directory.path().join("kubeconfig"));
    let plane = control_plane().await.expect("it is there");
    std::fs::write(&kubeconfig, serde_json::to_string(plane.kubeconfig()).unwrap()).unwrap();
    std::fs::create_dir_all(chart.join("templates")).unwrap();
    let about = "apiVersion: v2\nname: shop\nversion: 1.0.0\n";
    std::fs::write(chart.join("Chart.yaml"), about).unwrap();
    let platform = manifest(&world.namespace, "demo", &spec()).to_string();
    std::fs::write(chart.join("templates/platform.yaml"), platform).unwrap();

    let told = helm_install(&chart, &kubeconfig, "3s").await.unwrap_err();
    assert!(told.contains("demo"), "{told}");
    let ready = async { world.bring_up("demo").await.unwrap() };
    let (installed, ()) = tokio::join!(helm_install(&chart, &kubeconfig, "60s"), ready);
    installed.unwrap();
}

type Received = Arc<Mutex<Vec<Span>>>;

/// Takes the spans that are sent to the address.
async fn receive(received: Received) -> String {
    let take = async |State(received): State<Received>, body: Bytes| {
        let request = ExportTraceServiceRequest::decode(body).unwrap();
        let scopes = request
            .resource_spans
            .into_iter()
            .flat_map(|spans| spans.scope_spans);
        received
            .lock()
            .unwrap()
            .extend(scopes.flat_map(|spans| spans.spans));
        StatusCode::OK
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/v1/traces", post(take)).with_state(received);
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

#[tokio::test]
async fn the_status_names_the_trace_of_the_reconcile_that_wrote_it() {
    let Some(world) = world("traced").await else {
        return;
    };
    let plane = control_plane().await.expect("it is there");
    let received = Received::default();
    let endpoint = receive(Arc::clone(&received)).await;
    let directory = tempfile::tempdir().unwrap();
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
        ("WATCH_NAMESPACE", "traced"),
    ];
    let mut operator = Operator::start(
        Path::new(PROGRAM),
        plane.kubeconfig(),
        directory.path(),
        &environment,
    )
    .unwrap();
    operator.answer("/readyz", "200").await.unwrap();
    // The spec is refused, so that there is one reconcile that has anything to write.
    let cycle = json!({"services": [
        {"name": "a", "image": "a:1", "port": 80, "dependsOn": ["b"]},
        {"name": "b", "image": "b:1", "port": 80, "dependsOn": ["a"]},
    ]});
    world.apply("demo", cycle).await;
    let is_written = |platform: Option<&Platform>| {
        let status = platform.and_then(|platform| platform.status.as_ref());
        status.is_some_and(|status| status.last_reconcile_trace_id.is_some())
    };
    let written = await_condition(world.platforms(), "demo", is_written);
    let platform = timeout(PATIENCE, written).await.unwrap().unwrap().unwrap();
    let told = platform.status.unwrap().last_reconcile_trace_id.expect("a trace");
    let told = u128::from_str_radix(&told, 16).unwrap().to_be_bytes();
    let is_root = |span: &Span| span.trace_id == told && span.parent_span_id.is_empty();
    let first = async {
        loop {
            if let Some(span) = received.lock().unwrap().iter().find(|span| is_root(span)) {
                return span.clone();
            }
            tokio::time::sleep(POLL).await;
        }
    };
    let root = timeout(PATIENCE, first).await.expect("a span of the trace");
    assert_eq!(root.name, "reconcile");
    let of_platform = root
        .attributes
        .iter()
        .find(|attribute| attribute.key == "platform");
    assert!(format!("{of_platform:?}").contains("\"demo\""), "{of_platform:?}");
    assert_eq!(operator.terminate().unwrap(), Some(0));
}
