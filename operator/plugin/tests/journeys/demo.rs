//! The real binary on the demo.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tracewell_e2e::{
    endpoint::Endpoint,
    gateway::{DEMO_GATEWAY, User},
    platform::Handle,
    wait::{Look, until},
};

/// A service writes its log lines in batches, and the kubelet hands them on.
const LOGGED: Duration = Duration::from_secs(30);

fn plugin(demo: &Handle, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-platform"));
    command.args(arguments).args(["--namespace", &demo.namespace]);
    command
}

fn run(demo: &Handle, arguments: &[&str]) -> Result<Output> {
    Ok(plugin(demo, arguments).output()?)
}

/// What it prints, where all is well.
fn told(demo: &Handle, arguments: &[&str]) -> Result<String> {
    let output = run(demo, arguments)?;
    let (stdout, stderr) = (
        String::from_utf8(output.stdout)?,
        String::from_utf8(output.stderr)?,
    );
    ensure!(
        output.status.success(),
        "{arguments:?}: {}\n{stdout}{stderr}",
        output.status
    );
    Ok(stdout)
}

/// A process that ends with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn status_shows_every_service_with_its_pods() -> Result<()> {
    let demo = Handle::demo().await?;
    let tree = told(&demo, &["status", "demo"])?;
    for words in [
        "shop/demo ready (AllComponentsReady)",
        "─ auth  1/1",
        "─ demo-jaeger-",
        "traces   http://localhost:30686",
    ] {
        ensure!(tree.contains(words), "{words} in\n{tree}");
    }
    let all: Value = serde_json::from_str(&told(&demo, &["status", "-o", "json"])?)?;
    let pods = all[0]["services"][0]["pods"].as_array().context("pods")?;
    ensure!(pods.iter().any(|pod| pod["readyContainers"] == 2), "{pods:?}");
    Ok(())
}

#[tokio::test]
async fn the_doctor_finds_nothing_wrong_with_the_demo() -> Result<()> {
    let demo = Handle::demo().await?;
    let checks: Value = serde_json::from_str(&told(&demo, &["doctor", "demo", "-o", "json"])?)?;
    let checks = checks[0]["checks"].as_array().context("checks")?;
    for (check, subject) in [
        ("dns", "auth"),
        ("endpoints", "chat"),
        ("pods", "billing"),
        ("collector", "gateway"),
        ("traces", "auth"),
        ("metrics", "chat"),
        ("docs", "billing"),
        ("docs page", ""),
    ] {
        let found = checks
            .iter()
            .find(|found| found["check"] == check && found["subject"] == subject);
        ensure!(
            found.is_some_and(|found| found["result"] == "ok"),
            "{check} {subject} in {checks:#?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_trace_goes_through_two_services_and_its_lines_are_found_by_its_id() -> Result<()> {
    let demo = Handle::demo().await?;
    let begin = Instant::now();
    let request = ["trace", "gateway", "--path", "/auth/v1/me"];
    let report = told(
        &demo,
        &[request.as_slice(), &["--timeout", "120s", "-o", "json"]].concat(),
    )?;
    ensure!(
        begin.elapsed() < Duration::from_mins(1),
        "it ends with the trace, not with the time"
    );
    let report: Value = serde_json::from_str(&report)?;
    ensure!(
        report["status"] == 401 && report["complete"] == true,
        "{report:#}"
    );
    let spans = report["spans"].as_array().context("spans")?;
    let depth = |service: &str| {
        let of_service = spans
            .iter()
            .filter(|span| span["service"] == service && span["kind"] == "server");
        of_service.filter_map(|span| span["depth"].as_u64()).next()
    };
    ensure!(
        depth("gateway") == Some(0) && depth("auth") >= Some(2),
        "{spans:#?}"
    );

    let id = report["traceId"].as_str().context("an id")?;
    until("both services have logged the request", LOGGED, async || {
        let lines = told(&demo, &["logs", "--trace", id])?;
        let services = ["gateway", "auth"];
        let has_all = services
            .iter()
            .all(|service| lines.lines().any(|line| line.starts_with(service)));
        Ok(if has_all && lines.contains("GET /v1/me → 401") {
            Look::Done(())
        } else {
            Look::NotYet(lines)
        })
    })
    .await
}

#[tokio::test]
async fn followed_logs_have_a_request_that_comes_later() -> Result<()> {
    let demo = Handle::demo().await?;
    let user = User::unknown_to(Endpoint::url(DEMO_GATEWAY)?);
    let id = user.trace.trace_id.clone();
    let mut logs = plugin(&demo, &["logs", "-f", "--since", "0s", "--trace", &id])
        .stdout(Stdio::piped())
        .spawn()
        .map(Running)?;
    let lines = BufReader::new(logs.0.stdout.take().context("its output")?).lines();
    // The streams open while requests of the same trace go on.
    let (seen, arrives) = mpsc::channel();
    std::thread::spawn(move || seen.send(lines.map_while(Result::ok).next()));
    until("a line of a request is followed", LOGGED, async || {
        user.get("/billing/v1/plans").await?;
        match arrives.try_recv() {
            Ok(Some(line)) => Ok(Look::Done(line)),
            Ok(None) => bail!("the logs ended"),
            Err(_) => Ok(Look::NotYet("no line yet".to_owned())),
        }
    })
    .await
    .map(drop)
}

#[tokio::test]
async fn every_part_is_opened_by_a_port_of_this_machine() -> Result<()> {
    let demo = Handle::demo().await?;
    for (part, base, path) in [
        ("gateway", "/", "/healthz"),
        ("docs", "/api-docs", "/api-docs"),
        ("jaeger", "/", "/api/v3/services"),
    ] {
        let mut opened = plugin(&demo, &["open", part, "demo", "--no-browser"])
            .stdout(Stdio::piped())
            .spawn()
            .map(Running)?;
        let mut url = String::new();
        BufReader::new(opened.0.stdout.take().context("its output")?).read_line(&mut url)?;
        let server = url
            .trim_end()
            .strip_suffix(base)
            .with_context(|| format!("{part}: {url}"))?;
        ensure!(server.starts_with("http://127.0.0.1:"), "{part}: {url}");
        let answer = Endpoint::url(server)?.get(path).await;
        let answer = answer.with_context(|| format!("{part} at {url}"))?;
        ensure!(answer.status.is_success(), "{part}: {answer:?}");
    }
    Ok(())
}
