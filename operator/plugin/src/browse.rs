//! `open`: a part of the Platform in the browser.

use anyhow::{Context as _, Result, bail};
use platform_core::{
    api::ApiDocs,
    build::{prometheus_url, query_url},
    known::GATEWAY,
    resolve::Resolved,
};
use reqwest::Url;

use crate::{
    cli::{OpenArgs, Part},
    connection::Connection,
    forward::Forward,
    output::{Outcome, print},
    reach::{redirect, target},
};

/// Opens the part, and keeps the way to it open until the person ends it.
pub async fn run(connection: &Connection, arguments: &OpenArgs) -> Result<Outcome> {
    let platform = connection.platform(arguments.name.as_deref()).await?;
    let meaning = connection.meaning(&platform).await?;
    let url: Url = part_url(arguments.part, &meaning.resolved)?.parse()?;
    let Some(target) = target(&url, &meaning.live.pods) else {
        // Outside of the cluster, so there is no way to keep open.
        show(&url, arguments)?;
        return Ok(Outcome::Well);
    };
    let forward = Forward::open(connection.client.clone(), target, arguments.port).await?;
    show(&redirect(url, forward.address)?, arguments)?;
    tokio::signal::ctrl_c()
        .await
        .context("the interrupt cannot be awaited")?;
    Ok(Outcome::Well)
}

fn show(url: &Url, arguments: &OpenArgs) -> Result<()> {
    print(&format!("{url}\n"))?;
    if !arguments.no_browser
        && has_display()
        && let Err(error) = open::that_detached(url.as_str())
    {
        anstream::eprintln!("no browser could be started: {error}");
    }
    Ok(())
}

/// Whether a browser would have somewhere to appear.
fn has_display() -> bool {
    let is_set = |variable: &str| std::env::var_os(variable).is_some_and(|value| !value.is_empty());
    cfg!(any(target_os = "macos", windows)) || is_set("DISPLAY") || is_set("WAYLAND_DISPLAY")
}

/// Where the part is, as the cluster reaches it.
fn part_url(part: Part, resolved: &Resolved) -> Result<String> {
    let gateway = || {
        let gateway = resolved
            .service(GATEWAY)
            .context("the Platform has no gateway in spec.services")?;
        anyhow::Ok(resolved.in_cluster_url(&resolved.name.workload(&gateway.name), gateway.port))
    };
    match part {
        Part::Gateway => gateway(),
        Part::Docs if resolved.api_docs != ApiDocs::Portal => {
            bail!("spec.apiDocs is {:?}; there is one page for all services only where it is Portal", resolved.api_docs)
        }
        Part::Docs => Ok(format!("{}/api-docs", gateway()?)),
        Part::Jaeger => query_url(resolved).context(
            "the Platform has no Jaeger that can be opened: spec.telemetry.tracing.jaeger.type must be Managed, or \
             External with a queryURL",
        ),
        Part::Prometheus => prometheus_url(resolved).context(
            "the Platform has no Prometheus: spec.telemetry.metrics.prometheus.type must be Managed or External",
        ),
    }
}

#[cfg(test)]
mod tests {
    use platform_core::{api::Platform, resolve::resolve, step::Facts};
    use platform_testkit::settings;
    use serde_json::{Value, json};

    use super::*;

    fn url(part: Part, spec: &Value) -> Result<String> {
        let manifest = json!({
            "apiVersion": "tracewell.dev/v1alpha1", "kind": "Platform",
            "metadata": {"name": "demo", "namespace": "shop"}, "spec": spec,
        });
        let platform: Platform = serde_json::from_value(manifest).unwrap();
        part_url(part, &resolve(&platform, &Facts::default(), &settings()).unwrap())
    }

    #[test]
    fn every_part_has_its_url() {
        let whole = json!({"telemetry": {"metrics": {"prometheus": {"type": "Managed"}}}});
        for (part, expected) in [
            (Part::Gateway, "http://demo-gateway.shop.svc:3000"),
            (Part::Docs, "http://demo-gateway.shop.svc:3000/api-docs"),
            (Part::Jaeger, "http://demo-jaeger.shop.svc:16686"),
            (Part::Prometheus, "http://demo-prometheus.shop.svc:9090"),
        ] {
            assert_eq!(url(part, &whole).unwrap(), expected);
        }
    }

    #[test]
    fn a_part_that_is_not_there_is_refused_with_the_field_that_asks_for_it() {
        let without = json!({
            "services": [{"name": "billing"}], "apiDocs": "PerService",
            "telemetry": {"tracing": {"jaeger": {"type": "Disabled"}}},
        });
        for (part, field) in [
            (Part::Gateway, "spec.services"),
            (Part::Docs, "spec.apiDocs is PerService"),
            (Part::Jaeger, "spec.telemetry.tracing.jaeger.type"),
            (Part::Prometheus, "spec.telemetry.metrics.prometheus.type"),
        ] {
            let refusal = url(part, &without).unwrap_err().to_string();
            assert!(refusal.contains(field), "{refusal}");
        }
    }
}
