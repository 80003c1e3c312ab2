//! Metrics with a Prometheus of the Platform's own: every pod is scraped once, alerts are loaded, and Jaeger's Monitor tab
//! has data.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use http::StatusCode;
use serde_json::{Value, json};
use tracewell_e2e::endpoint::Endpoint;
use tracewell_e2e::platform::{Handle, billing_alone, condition};
use tracewell_e2e::wait::{Look, until};

/// Spans are summed up, scraped and rated every 15 s each, and a rate needs two scrapes.
const LIMIT: Duration = Duration::from_mins(3);
const HOUR_MILLISECONDS: u128 = 3_600_000;

/// The instant vector that a query gives: labels and value of each series.
async fn query(prometheus: &Endpoint, query: &str) -> Result<Vec<Value>> {
    let query: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let answer = prometheus.get(&format!("/api/v1/query?query={query}")).await?;
    ensure!(answer.status == StatusCode::OK, "{answer:?}");
    let body: Value = answer.json()?;
    Ok(body["data"]["result"].as_array().cloned().unwrap_or_default())
}

/// What Jaeger's Monitor tab shows of a service: the points of one graph that are numbers above zero.
async fn monitored(jaeger: &Endpoint, graph: &str, service: &str) -> Result<usize> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let path = format!(
        "/api/metrics/{graph}?service={service}&endTs={now}&lookback={HOUR_MILLISECONDS}&step=5000&ratePer=600000\
         &quantile=0.95&spanKind=server"
    );
    let answer = jaeger.get(&path).await?;
    ensure!(answer.status == StatusCode::OK, "{answer:?}");
    let body: Value = answer.json()?;
    let metrics = body["metrics"].as_array().into_iter().flatten();
    let points = metrics.flat_map(|metric| metric["metricPoints"].as_array().into_iter().flatten());
    let is_positive = |point: &&Value| {
        point["gaugeValue"]["doubleValue"]
            .as_f64()
            .is_some_and(|value| value > 0.0)
    };
    Ok(points.filter(is_positive).count())
}

#[tokio::test]
async fn a_managed_prometheus_feeds_the_monitor_tab_of_jaeger() -> Result<()> {
    let mut spec = billing_alone();
    spec["telemetry"] = json!({"metrics": {"prometheus": {"type": "Managed"}}});
    let platform = Handle::create("metrics", spec).await?;
    let ready = platform.until_ready().await?;
    let metrics = condition(&ready, "MetricsAvailable").context("the condition MetricsAvailable")?;
    assert_eq!(
        (metrics.status.as_str(), metrics.reason.as_str()),
        ("True", "PrometheusAvailable")
    );
    let endpoints = ready.status.context("a status")?.endpoints;
    assert!(
        endpoints.iter().any(|endpoint| endpoint.name == "prometheus"),
        "{endpoints:?}"
    );

    let proxied = |service: &str, port: u16| {
        let target = format!("services/{}:{port}", platform.object_name(service));
        Endpoint::proxied(platform.cluster.client.clone(), &platform.namespace, &target)
    };
    let (billing, jaeger, prometheus) = (
        proxied("billing", 3003),
        proxied("jaeger", 16686),
        proxied("prometheus", 9090),
    );

    until("every pod is scraped, once", LIMIT, async || {
        let up = query(&prometheus, "up").await?;
        let mut apps: Vec<_> = up
            .iter()
            .filter(|series| series["value"][1] == "1")
            .map(|series| {
                series["metric"]["app_kubernetes_io_name"]
                    .as_str()
                    .unwrap_or_default()
            })
            .collect();
        apps.sort_unstable();
        Ok(if apps == ["billing", "jaeger", "prometheus"] && up.len() == 3 {
            Look::Done(())
        } else {
            Look::NotYet(format!("{up:?}"))
        })
    })
    .await?;
    until("Jaeger's Monitor tab has data", LIMIT, async || {
        let answer = billing.get("/v1/plans").await?;
        ensure!(answer.status == StatusCode::OK, "{answer:?}");
        let mut shown = Vec::new();
        for graph in ["calls", "latencies"] {
            shown.push((graph, monitored(&jaeger, graph, "billing").await?));
        }
        Ok(if shown.iter().all(|(_, points)| *points > 0) {
            Look::Done(())
        } else {
            Look::NotYet(format!("{shown:?}"))
        })
    })
    .await?;
    // What the dashboards and alerts say of Jaeger; a test without a cluster sees to those of the services.
    for name in [
        "otelcol_receiver_accepted_spans_total",
        "otelcol_receiver_refused_spans_total",
        "otelcol_exporter_sent_spans_total",
        "otelcol_exporter_send_failed_spans_total",
    ] {
        assert!(
            !query(&prometheus, name).await?.is_empty(),
            "Jaeger has no {name}"
        );
    }
    let rules: Value = prometheus.get("/api/v1/rules").await?.json()?;
    let loaded = rules["data"]["groups"][0]["rules"]
        .as_array()
        .context("rules are loaded")?;
    assert!(loaded.iter().all(|rule| rule["health"] == "ok"), "{loaded:#?}");
    platform.remove().await
}
