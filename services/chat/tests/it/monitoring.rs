//! Dashboards and alerts speak of what the services offer: every metric and label that a query names is there after some
//! traffic.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tracewell_auth::Auth;
use tracewell_billing::Billing;
use tracewell_chat::Chat;
use tracewell_kit::testing::{Process, Running, Setup};

use crate::{conversation, send};

/// What the operator makes of `examples/metrics.yaml`; a test of the operator keeps it as the code renders it.
const RENDERED: &str = include_str!("../../../../operator/tests/golden/metrics.yaml");
/// Labels that the Prometheus adds to every sample.
const BY_PROMETHEUS: [&str; 5] = [
    "namespace",
    "tracewell_dev_platform",
    "app_kubernetes_io_name",
    "instance",
    "job",
];
/// Metrics that the Prometheus makes itself, and those of Jaeger, which a journey on a cluster and tests of the operator look for.
const NOT_OF_SERVICES: [&str; 4] = ["up", "scrape_", "otelcol_", "jaeger_"];

/// A metric, and the labels that queries name with it.
type Uses = BTreeMap<String, BTreeSet<String>>;

/// Every query of a dashboard or an alert, and the labels of its legend.
fn queries() -> Setup<Vec<(String, Vec<String>)>> {
    let mut queries = Vec::new();
    for document in RENDERED
        .split("---\n")
        .filter(|document| !document.trim().is_empty())
    {
        let object: Value = serde_saphyr::from_str(document)?;
        for (file, text) in object["data"].as_object().into_iter().flatten() {
            let text = text.as_str().unwrap_or_default();
            match file.rsplit_once('.') {
                Some((_, "json")) => collect_queries(&serde_json::from_str(text)?, &mut queries),
                _ if file == "alerts.yml" => collect_queries(&serde_saphyr::from_str(text)?, &mut queries),
                _ => {}
            }
        }
    }
    Ok(queries)
}

fn collect_queries(value: &Value, queries: &mut Vec<(String, Vec<String>)>) {
    if let Some(query) = value["expr"].as_str() {
        let legend = value["legendFormat"].as_str().unwrap_or_default();
        let labels = legend
            .split("{{")
            .skip(1)
            .filter_map(|rest| rest.split("}}").next());
        queries.push((
            query.replace("$__rate_interval", "5m"),
            labels.map(str::to_owned).collect(),
        ));
    }
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_queries(item, queries)),
        Value::Object(fields) => fields.values().for_each(|field| collect_queries(field, queries)),
        _ => {}
    }
}

/// Adds what a query names. Each of ours selects by labels, so that a metric is the word before a brace; the labels that it
/// is grouped by, and those of the legend, are asked of every metric in it.
fn collect_uses(query: &str, legend: &[String], uses: &mut Uses) {
    let mut grouped: BTreeSet<String> = legend.iter().cloned().collect();
    for group in query.split("by (").skip(1) {
        let labels = group.split(')').next().unwrap_or_default().split(',');
        grouped.extend(labels.map(|label| label.trim().to_owned()));
    }
    let pieces: Vec<&str> = query.split('{').collect();
    for pair in pieces.windows(2) {
        let &[before, after] = pair else { continue };
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let metric = before.rsplit(|c| !is_word(c)).next().unwrap_or_default();
        let matchers = after.split('}').next().unwrap_or_default().split(',');
        let labels = matchers.filter_map(|matcher| matcher.split(['=', '!']).next());
        let known = uses.entry(metric.to_owned()).or_default();
        // Buckets alone have bounds, also where a histogram and its count are grouped together.
        let asked = grouped
            .iter()
            .filter(|label| *label != "le" || metric.ends_with("_bucket"));
        known.extend(labels.map(str::to_owned).chain(asked.cloned()));
    }
}

/// Metrics of a text in the format of Prometheus, each with its labels.
fn offered(text: &str) -> Uses {
    let mut metrics = Uses::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, rest) = line.split_once(['{', ' ']).unwrap_or((line, ""));
        let labels = rest
            .split("=\"")
            .filter_map(|before| before.rsplit(['"', ',', '{']).next());
        let labels = labels.take(rest.matches("=\"").count());
        metrics
            .entry(name.to_owned())
            .or_default()
            .extend(labels.map(str::to_owned));
    }
    metrics
}

/// Sign-ups, sign-ins good and bad, a refresh, a message, a subscription, a call from one service to another.
async fn traffic(auth: &Running, billing: &Running, chat: &Running) -> Setup<()> {
    let account = json!({"email": "ada@example.com", "password": "correct horse battery"});
    auth.post("/v1/signup", "", &account).await?;
    let signed_in = auth.post("/v1/signin", "", &account).await?.json();
    let token = signed_in["access_token"].as_str().ok_or("no token")?;
    auth.post(
        "/v1/refresh",
        "",
        &json!({"refresh_token": signed_in["refresh_token"]}),
    )
    .await?;
    let wrong = json!({"email": "ada@example.com", "password": "wrong horse battery"});
    while auth.post("/v1/signin", "", &wrong).await?.status != 429 {}
    billing
        .post("/v1/subscriptions", token, &json!({"plan_id": "pln_team"}))
        .await?;
    let id = conversation(chat, token, &[]).await?;
    send(chat, token, &id, "m-1").await?;
    Ok(())
}

#[tokio::test]
async fn every_query_names_metrics_and_labels_that_the_services_offer() -> Setup<()> {
    let auth = Running::start::<Auth>(&[("HASH_COST", "m=8,t=1")]).await?;
    let billing = Running::start::<Billing>(&[("AUTH_URL", auth.url())]).await?;
    let chat = Running::start::<Chat>(&[("AUTH_URL", auth.url()), ("BILLING_URL", billing.url())]).await?;
    traffic(&auth, &billing, &chat).await?;
    // Reports of errors are counted where there is somebody to report to.
    let reporting = [("SENTRY_DSN", "http://key@127.0.0.1:9/1")];
    let alone = Process::start_with(env!("CARGO_BIN_EXE_tracewell-chat"), &reporting).await?;

    let mut uses = Uses::new();
    let queries = queries()?;
    assert!(queries.len() > 30, "{queries:#?}");
    for (query, legend) in &queries {
        collect_uses(query, legend, &mut uses);
    }
    let mut missing;
    // A mail is sent a moment after the request for it.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let mut there = offered(&auth.get("/metrics", "").await?.text);
        for (name, labels) in offered(
            &reqwest::get(format!("{}/metrics", alone.url))
                .await?
                .text()
                .await?,
        ) {
            there.entry(name).or_default().extend(labels);
        }
        missing = lacking(&uses, &there);
        if missing.is_empty() || std::time::Instant::now() > deadline {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(missing, Vec::<String>::new());
    Ok(())
}

/// What is named and not there.
fn lacking(uses: &Uses, there: &Uses) -> Vec<String> {
    let of_services = |name: &&String| !NOT_OF_SERVICES.iter().any(|begin| name.starts_with(begin));
    let mut missing = Vec::new();
    for name in uses.keys().filter(of_services) {
        let Some(labels) = there.get(name) else {
            missing.push(name.clone());
            continue;
        };
        let unknown = uses[name]
            .iter()
            .filter(|label| !labels.contains(*label) && !BY_PROMETHEUS.contains(&label.as_str()));
        missing.extend(unknown.map(|label| format!("{name}{{{label}}}")));
    }
    missing
}
