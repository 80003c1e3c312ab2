//! Services on a PostgreSQL of the Platform's own: they serve, they lose their data and get
//! it back from a backup.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, Container, Node, PersistentVolumeClaim, Pod, Secret};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, ResourceExt};
use platform_core::api::MigrationState;
use serde_json::{Value, json};
use tracewell_e2e::endpoint::Endpoint;
use tracewell_e2e::gateway::User;
use tracewell_e2e::platform::{Handle, condition, is_true};
use tracewell_e2e::wait::{Look, until};

use crate::journey;

/// Ports of the nodes that nobody else uses.
const PORTS: (u16, u16) = (30480, 30486);
/// The server, its roles and the migrations take a minute before the services start.
pub(crate) const LIMIT: Duration = Duration::from_mins(5);
const SERVICES: [&str; 3] = ["auth", "billing", "chat"];
/// What each of them is asked for while it is rolled out.
const READS: [&str; 3] = ["/auth/v1/me", "/billing/v1/plans", "/chat/api-docs.json"];
/// Time between two such requests.
const READ_PACE: Duration = Duration::from_millis(50);

fn spec() -> Value {
    let backup = json!({"schedule": "0 3 * * *", "retainCount": 2, "storage": {"size": "256Mi"}});
    json!({
        "deletionPolicy": "RetainStorage",
        "database": {"type": "Postgres", "postgres": {"storage": {"size": "512Mi"}, "backup": backup}},
        "exposure": {"type": "NodePort", "nodePort": {"gateway": PORTS.0, "jaeger": PORTS.1}},
    })
}

/// [`Handle::until_ready`] with more time.
pub(crate) async fn until_ready(platform: &Handle) -> Result<()> {
    let ready = platform.until("the Platform is ready", LIMIT, |platform| {
        let observed = platform
            .status
            .as_ref()
            .and_then(|status| status.observed_generation);
        observed == platform.metadata.generation && is_true(platform, "Ready")
    });
    ready.await.map(drop)
}

/// The gateway, by the address of a node: what reaches a browser on another machine reaches us.
async fn gateway(platform: &Handle) -> Result<Endpoint> {
    let nodes: Api<Node> = Api::all(platform.cluster.client.clone());
    let nodes = nodes.list(&ListParams::default()).await?;
    let addresses = nodes
        .iter()
        .filter_map(|node| node.status.as_ref()?.addresses.as_ref())
        .flatten();
    let internal = addresses
        .into_iter()
        .find(|address| address.type_ == "InternalIP");
    let address = &internal.context("a node has an address")?.address;
    Endpoint::url(&format!("http://{address}:{}", PORTS.0))
}

/// Makes a Job of the backups' `CronJob`, as its schedule would, with another container.
async fn make_job(platform: &Handle, name: &str, change: impl FnOnce(&mut Container)) -> Result<Api<Job>> {
    let cron_jobs: Api<CronJob> = platform.cluster.namespaced(&platform.namespace);
    let cron_job = cron_jobs.get(&platform.object_name("postgres-backup")).await?;
    let template = cron_job.spec.context("a CronJob has a spec")?.job_template;
    let mut spec = template.spec.context("and Jobs")?;
    let pod = spec.template.spec.as_mut().context("and these have pods")?;
    change(&mut pod.containers[0]);
    spec.backoff_limit = Some(0);
    let job = Job {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..template.metadata.unwrap_or_default()
        },
        spec: Some(spec),
        status: None,
    };
    let jobs: Api<Job> = platform.cluster.namespaced(&platform.namespace);
    jobs.create(&PostParams::default(), &job).await?;
    Ok(jobs)
}

/// A backup that finds no server is told with its last words, and nothing else suffers from it.
async fn a_failed_backup_is_told(platform: &Handle) -> Result<()> {
    let elsewhere = |container: &mut Container| {
        for variable in container.env.iter_mut().flatten() {
            if variable.name == "PGHOST" {
                variable.value = Some("nowhere.invalid".to_owned());
            }
        }
    };
    make_job(platform, "backup-fails", elsewhere).await?;
    let told = platform.until("the failed backup is told", LIMIT, |platform| {
        condition(platform, "BackupSucceeded").is_some_and(|c| {
            c.status == "False" && c.reason == "BackupFailed" && c.message.contains("no dump of: svc_auth")
        })
    });
    assert!(is_true(&told.await?, "Ready"));
    Ok(())
}

/// Runs a Job of the backups' `CronJob` once, with this script, until it is done.
async fn run_once(platform: &Handle, name: &str, script: &str) -> Result<()> {
    let jobs = make_job(platform, name, |container| {
        container.command = Some(vec!["sh".to_owned(), format!("/scripts/{script}")]);
    })
    .await?;
    let what = format!("the Job {name} is done");
    let done = until(&what, LIMIT, async || {
        let status = jobs.get(name).await?.status.unwrap_or_default();
        ensure!(status.failed.unwrap_or(0) == 0, "{:?}", status.conditions);
        Ok(if status.succeeded == Some(1) {
            Look::Done(())
        } else {
            Look::NotYet(format!("{status:?}"))
        })
    });
    done.await
}

/// Deletes the data volume with the pod that uses it, and waits until the schemas are made anew on another one.
async fn lose_the_data(platform: &Handle) -> Result<()> {
    let claims: Api<PersistentVolumeClaim> = platform.cluster.namespaced(&platform.namespace);
    let name = platform.object_name("postgres-data");
    let lost = claims.get(&name).await?.uid();
    claims.delete(&name, &DeleteParams::default()).await?;
    let pods: Api<Pod> = platform.cluster.namespaced(&platform.namespace);
    let server = platform.object_name("postgres-0");
    pods.delete(&server, &DeleteParams::default()).await?;
    let jobs: Api<Job> = platform.cluster.namespaced(&platform.namespace);
    let migrations = ListParams::default().labels("app.kubernetes.io/component=migration");
    let made_anew = until("the schemas are made anew", LIMIT, async || {
        let now = claims.get_opt(&name).await?.and_then(|claim| claim.uid());
        let found = jobs.list(&migrations).await?;
        let done = found.iter().filter(|job| is_done_to(job, now.as_deref())).count();
        Ok(if now.is_some() && now != lost && done == SERVICES.len() {
            Look::Done(())
        } else {
            Look::NotYet(format!("volume {now:?}, {done} migrations"))
        })
    });
    made_anew.await
}

/// Whether a Job has succeeded on the volume with this uid.
fn is_done_to(job: &Job, uid: Option<&str>) -> bool {
    let template = job.spec.as_ref().and_then(|spec| spec.template.metadata.as_ref());
    let annotations = template.and_then(|metadata| metadata.annotations.as_ref());
    let done_to = annotations.and_then(|annotations| annotations.get(platform_core::labels::DONE_TO));
    let succeeded = job.status.as_ref().and_then(|status| status.succeeded);
    done_to.map(String::as_str) == uid && succeeded == Some(1)
}

async fn migrations_are_done(platform: &Handle) -> Result<()> {
    let status = platform
        .get()
        .await?
        .status
        .context("a ready Platform has a status")?;
    let done: Vec<_> = status
        .services
        .iter()
        .filter(|service| {
            service
                .migration
                .as_ref()
                .is_some_and(|m| m.state == MigrationState::Succeeded)
        })
        .map(|service| service.name.as_str())
        .collect();
    ensure!(done == SERVICES, "{done:?}");
    Ok(())
}

/// Every password stands in its Secret and nowhere else.
async fn passwords_are_nowhere_else(platform: &Handle) -> Result<()> {
    let secrets: Api<Secret> = platform.cluster.namespaced(&platform.namespace);
    let mut passwords = Vec::new();
    for service in SERVICES {
        let name = format!("{}-database", platform.object_name(service));
        let data = secrets.get(&name).await?.data.context("a Secret has data")?;
        passwords.push(String::from_utf8(data["password"].0.clone())?);
    }
    let namespace = &platform.namespace;
    let configs = platform
        .cluster
        .namespaced::<ConfigMap>(namespace)
        .list(&ListParams::default())
        .await?;
    let events = platform
        .cluster
        .namespaced::<Event>(namespace)
        .list(&ListParams::default())
        .await?;
    let pods = platform
        .cluster
        .namespaced::<Pod>(namespace)
        .list(&ListParams::default())
        .await?;
    let mut texts = vec![
        serde_json::to_string(&platform.get().await?)?,
        serde_json::to_string(&configs.items)?,
        serde_json::to_string(&events.items)?,
        serde_json::to_string(&pods.items)?,
    ];
    for pod in platform.cluster.operator_pods().await? {
        let namespace = pod.namespace().unwrap_or_default();
        let operator = platform.cluster.namespaced::<Pod>(&namespace);
        texts.push(
            operator
                .logs(&pod.name_any(), &kube::api::LogParams::default())
                .await?,
        );
    }
    for pod in pods.items {
        let container = pod
            .spec
            .iter()
            .flat_map(|spec| &spec.containers)
            .map(|c| c.name.clone())
            .next();
        let params = kube::api::LogParams {
            container,
            ..Default::default()
        };
        let logs = platform
            .cluster
            .namespaced::<Pod>(namespace)
            .logs(&pod.name_any(), &params)
            .await;
        texts.extend(logs.ok());
    }
    for password in passwords {
        ensure!(
            texts.iter().all(|text| !text.contains(&password)),
            "a password is shown"
        );
    }
    Ok(())
}

/// Every pod that answers requests is replaced while somebody sends them, and each is answered as always.
async fn a_rollout_loses_no_request(platform: &Handle, user: &User) -> Result<()> {
    let mut rolled = spec();
    let debug = |name: &&str| json!({"name": name, "env": [{"name": "RUST_LOG", "value": "debug"}]});
    rolled["services"] = ["gateway"].iter().chain(&SERVICES).map(debug).collect();
    let there_and_back = async {
        for spec in [rolled, spec()] {
            platform.apply(spec).await?;
            until_ready(platform).await?;
        }
        anyhow::Ok(())
    };
    let asked = async {
        let mut pace = tokio::time::interval(READ_PACE);
        let mut answered = 0;
        loop {
            for path in READS {
                pace.tick().await;
                if let Err(error) = user.get(path).await {
                    return (answered, error);
                }
                answered += 1;
            }
        }
    };
    tokio::select! {
        (answered, error) = asked => Err(error.context(format!("after {answered} requests"))),
        rolled = there_and_back => rolled,
    }
}

#[tokio::test]
async fn services_on_postgres_survive_the_loss_of_their_data() -> Result<()> {
    let platform = Handle::create_with_secrets("postgres", spec()).await?;
    until_ready(&platform).await?;
    assert!(is_true(&platform.get().await?, "DatabaseReady"));
    // A node forwards to a pod a moment after the pod is ready; a request through each service has shown that it does.
    let flowing = platform.until("every service was reached", LIMIT, |platform| {
        is_true(platform, "TelemetryFlowing")
    });
    flowing.await?;
    migrations_are_done(&platform).await?;

    let trace = journey::take(&platform, gateway(&platform).await?, &platform.jaeger()).await?;
    let mut queries = trace.spans.iter().filter(|span| span.is_database()).peekable();
    assert!(queries.peek().is_some());
    for query in queries {
        assert_eq!(query.attribute("db.system.name"), "postgresql", "{query}");
    }
    passwords_are_nowhere_else(&platform).await?;

    let mut user = User::unknown_to(gateway(&platform).await?);
    user.sign_up().await?;
    let account = &user.sign_in().await?["user"];
    a_rollout_loses_no_request(&platform, &user).await?;
    a_failed_backup_is_told(&platform).await?;
    run_once(&platform, "backup-now", "backup.sh").await?;
    let told = platform.until("the backup is told", LIMIT, |platform| {
        is_true(platform, "BackupSucceeded")
    });
    told.await?;
    lose_the_data(&platform).await?;
    until_ready(&platform).await?;
    assert!(user.sign_in().await.is_err(), "the account is lost with the data");
    run_once(&platform, "restore", "restore.sh").await?;
    user.sign_in().await?;
    assert_eq!(user.get("/auth/v1/me").await?["id"], account["id"]);

    platform.remove().await
}
