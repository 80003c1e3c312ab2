//! `logs`: the lines of all services in the order of time.

mod line;
mod merge;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use futures::{
    AsyncBufReadExt as _, StreamExt as _, TryStreamExt as _,
    future::{join_all, pending},
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt as _,
    api::LogParams,
    runtime::{WatchStreamExt as _, watcher},
};
use platform_core::{
    api::Platform,
    labels::{self, Component, platform_selector},
};
use tokio::{sync::mpsc, time::sleep_until};

pub use self::{line::Line, merge::Merge};
use crate::{
    cli::LogsArgs,
    connection::Connection,
    output::{Outcome, print},
    paint::{distinct, paint},
};

/// Lines that may wait to be printed before pods are no longer read.
const QUEUE: usize = 1024;

/// The pods whose lines are shown, and which lines.
struct Selection<'a> {
    arguments: &'a LogsArgs,
    /// In the order of their colours.
    services: Vec<String>,
}

/// What comes from the stream of a pod.
enum Arrival {
    /// A line of this pod.
    Line(Arc<Pod>, Line),
    /// No more lines of the pod with this name, until its container starts again.
    End(String),
}

/// Shows the lines, and with `-f` goes on until the person ends it.
pub async fn run(connection: &Connection, arguments: &LogsArgs) -> Result<Outcome> {
    let platform = connection.platform(arguments.name.as_deref()).await?;
    let pods = connection.pods(&platform).await?;
    let selection = Selection::new(&platform, &pods, arguments)?;
    let api: Api<Pod> = connection.api(&platform.namespace().unwrap_or_default());
    if arguments.follow {
        let uid = platform.uid().unwrap_or_default();
        tokio::select! {
            ended = follow(&api, &uid, &selection) => ended?,
            interrupt = tokio::signal::ctrl_c() => interrupt.context("the interrupt cannot be awaited")?,
        }
    } else {
        show(&api, &pods, &selection).await?;
    }
    Ok(Outcome::Well)
}

impl<'a> Selection<'a> {
    fn new(platform: &Platform, pods: &[Pod], arguments: &'a LogsArgs) -> Result<Self> {
        let of_spec = platform.spec.services.iter().map(|service| service.name.clone());
        let mut services: BTreeSet<String> = of_spec.collect();
        if !arguments.services.is_empty() {
            // What runs beside the services is shown where it is asked for.
            services.extend(pods.iter().map(|pod| label(pod, labels::NAME).to_owned()));
            if let Some(unknown) = arguments.services.iter().find(|asked| !services.contains(*asked)) {
                let names: Vec<_> = services.into_iter().collect();
                bail!(
                    "the Platform has no service {unknown}; it has {}",
                    names.join(", ")
                );
            }
        }
        Ok(Self {
            arguments,
            services: services.into_iter().collect(),
        })
    }

    fn has_pod(&self, pod: &Pod) -> bool {
        let asked = &self.arguments.services;
        if asked.is_empty() {
            return label(pod, labels::COMPONENT) == Component::Service.as_str();
        }
        asked.iter().any(|service| service == label(pod, labels::NAME))
    }

    fn has_line(&self, line: &Line) -> bool {
        let trace = self.arguments.trace.as_ref();
        trace.is_none_or(|trace| line.is_of_trace(trace))
    }

    /// The line behind the name of its service and the end of its pod's.
    fn draw(&self, pod: &Pod, line: &Line) -> String {
        let service = label(pod, labels::NAME);
        let position = self
            .services
            .iter()
            .position(|known| known == service)
            .unwrap_or(0);
        let pod_name = pod.name_any();
        let (_, suffix) = pod_name.rsplit_once('-').unwrap_or_default();
        let width = self.services.iter().map(String::len).max().unwrap_or(0);
        let origin = format!("{service:<width$} {suffix:<5}");
        format!("{} {}\n", paint(distinct(position), origin), line.draw())
    }
}

fn label<'a>(pod: &'a Pod, label: &str) -> &'a str {
    pod.labels().get(label).map_or("", String::as_str)
}

/// The lines that are there.
async fn show(api: &Api<Pod>, pods: &[Pod], selection: &Selection<'_>) -> Result<()> {
    let shown = pods.iter().filter(|pod| selection.has_pod(pod));
    let logs = join_all(shown.map(|pod| async move {
        let since = i64::try_from(selection.arguments.since.as_secs()).ok();
        let parameters = LogParams {
            since_seconds: since.filter(|seconds| *seconds > 0),
            ..parameters(pod)
        };
        (pod, api.logs(&pod.name_any(), &parameters).await)
    }))
    .await;
    let mut lines = Vec::new();
    for (pod, log) in logs {
        match log {
            Ok(log) => {
                let parsed = log.lines().filter_map(Line::parse);
                lines.extend(
                    parsed
                        .filter(|line| selection.has_line(line))
                        .map(|line| (pod, line)),
                );
            }
            Err(error) => anstream::eprintln!("no lines of pod {}: {error}", pod.name_any()),
        }
    }
    lines.sort_by_key(|(_, line)| line.time);
    let text: String = lines
        .iter()
        .map(|(pod, line)| selection.draw(pod, line))
        .collect();
    print(&text)
}

/// Of the container that the pod is there for, with the time of each line.
fn parameters(pod: &Pod) -> LogParams {
    let first = pod.spec.as_ref().and_then(|spec| spec.containers.first());
    LogParams {
        container: first.map(|container| container.name.clone()),
        timestamps: true,
        ..LogParams::default()
    }
}

/// The lines as they are written, also of pods that are yet to come.
async fn follow(api: &Api<Pod>, platform_uid: &str, selection: &Selection<'_>) -> Result<()> {
    let config = watcher::Config::default().labels(&platform_selector(platform_uid));
    let mut pods = watcher(api.clone(), config)
        .default_backoff()
        .applied_objects()
        .boxed();
    let (lines, mut arrivals) = mpsc::channel(QUEUE);
    let since = selection.arguments.since;
    let begin = Timestamp::now().checked_sub(since).unwrap_or(Timestamp::MIN);
    // The time of the last line of each pod; its stream is open while `open` has it.
    let mut last: BTreeMap<String, Timestamp> = BTreeMap::new();
    let mut open: BTreeSet<String> = BTreeSet::new();
    let mut merge = Merge::default();
    loop {
        tokio::select! {
            pod = pods.next() => {
                let pod = pod.context("the watch of pods ended")?.context("the pods cannot be watched")?;
                let name = pod.name_any();
                if selection.has_pod(&pod) && is_running(&pod) && open.insert(name.clone()) {
                    let since = last.get(&name).copied().unwrap_or(begin);
                    tokio::spawn(stream(api.clone(), Arc::new(pod), since, lines.clone()));
                }
            }
            arrival = arrivals.recv() => match arrival.context("this function holds a sender")? {
                Arrival::End(name) => drop(open.remove(&name)),
                Arrival::Line(pod, line) => {
                    last.insert(pod.name_any(), line.time);
                    if selection.has_line(&line) {
                        merge.push(line.time, selection.draw(&pod, &line), Instant::now());
                    }
                }
            },
            () = sleep_until_due(merge.due()) => {
                while let Some(line) = merge.pop(Instant::now()) {
                    print(&line)?;
                }
            }
        }
    }
}

async fn sleep_until_due(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due.into()).await,
        None => pending().await,
    }
}

fn is_running(pod: &Pod) -> bool {
    let containers = pod
        .status
        .iter()
        .flat_map(|status| status.container_statuses.iter().flatten());
    containers
        .filter_map(|container| container.state.as_ref())
        .any(|state| state.running.is_some())
}

/// Sends the lines of a pod that are younger than `since`, until its container ends.
async fn stream(api: Api<Pod>, pod: Arc<Pod>, since: Timestamp, lines: mpsc::Sender<Arrival>) {
    let parameters = LogParams {
        follow: true,
        // The API server takes whole seconds.
        since_time: Some(since),
        ..parameters(&pod)
    };
    let name = pod.name_any();
    if let Ok(log) = api.log_stream(&name, &parameters).await {
        let mut log = log.lines();
        while let Ok(Some(raw)) = log.try_next().await {
            let Some(line) = Line::parse(&raw).filter(|line| line.time > since) else {
                continue;
            };
            if lines.send(Arrival::Line(pod.clone(), line)).await.is_err() {
                return;
            }
        }
    }
    // Nobody listens any more only where the command ends.
    let _ = lines.send(Arrival::End(name)).await;
}
