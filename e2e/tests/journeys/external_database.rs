//! A service on a database that somebody else runs: here the server of another Platform, which stands in for them.

use anyhow::{Context, Result, ensure};
use http::StatusCode;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use kube::Api;
use kube::api::PostParams;
use platform_core::api::MigrationState;
use serde_json::{Value, json};
use tracewell_e2e::endpoint::Endpoint;
use tracewell_e2e::platform::{Handle, condition};

use crate::database::until_ready;

/// What the server's owner would hand out: the URL of auth's database, under the service's name.
async fn make_url(server: &Handle) -> Result<Value> {
    let secrets: Api<Secret> = server.cluster.namespaced(&server.namespace);
    let role = format!("{}-database", server.object_name("auth"));
    let data = secrets.get(&role).await?.data.context("a Secret has data")?;
    let password = String::from_utf8(data["password"].0.clone())?;
    let host = server.object_name("postgres");
    let url = format!("postgres://svc_auth:{password}@{host}:5432/svc_auth");
    Ok(json!({"metadata": {"name": "databases"}, "stringData": {"auth": url}}))
}

#[tokio::test]
async fn a_service_keeps_its_data_where_its_secret_says() -> Result<()> {
    let untraced = json!({"tracing": {"jaeger": {"type": "Disabled"}}});
    let spec = json!({
        "services": [{"name": "auth", "replicas": 0}],
        "database": {"type": "Postgres", "postgres": {"storage": {"size": "256Mi"}}},
        "telemetry": untraced,
        // Its policies let its own services in alone.
        "security": {"networkPolicy": "Disabled"},
    });
    let server = Handle::create_with_secrets("external-database", spec).await?;
    until_ready(&server).await?;
    let secrets: Api<Secret> = server.cluster.namespaced(&server.namespace);
    let url = serde_json::from_value(make_url(&server).await?)?;
    secrets.create(&PostParams::default(), &url).await?;

    let user = Handle {
        name: "user".to_owned(),
        ..server.clone()
    };
    let spec = json!({
        "services": [{"name": "auth"}],
        "database": {"type": "External", "external": {"urlSecretRef": {"name": "databases"}}},
        "telemetry": untraced,
    });
    user.apply(spec).await?;
    until_ready(&user).await?;
    let ready = user.get().await?;
    let database = condition(&ready, "DatabaseReady").context("the condition DatabaseReady")?;
    assert_eq!(
        (database.status.as_str(), database.reason.as_str()),
        ("Unknown", "ExternalDatabase")
    );
    let services = ready.status.context("a status")?.services;
    let migration = services[0].migration.as_ref().context("a migration")?;
    assert_eq!(migration.state, MigrationState::Succeeded);
    let claims: Api<PersistentVolumeClaim> = user.cluster.namespaced(&user.namespace);
    let file = format!("{}-data", user.object_name("auth"));
    assert!(claims.get_opt(&file).await?.is_none(), "no file is kept");

    // Its signing keys are in the database.
    let target = format!("services/{}:3001", user.object_name("auth"));
    let auth = Endpoint::proxied(user.cluster.client.clone(), &user.namespace, &target);
    let answer = auth.get("/.well-known/jwks.json").await?;
    let keys: Value = answer.json()?;
    ensure!(
        answer.status == StatusCode::OK && keys["keys"][0].is_object(),
        "{answer:?}"
    );
    server.remove().await
}
