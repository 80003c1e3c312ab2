//! One round of questions: a request with a trace of its own through each service, then Jaeger, then, about the services
//! whose span did not arrive, the collectors.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::future::join_all;
use jiff::Timestamp;
use platform_core::{
    evidence::{Counters, Evidence, Question, Questions, Silence, TRACE_STATE},
    trace::TraceContext,
};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{
    counters::{count, room},
    jaeger::JaegerClient,
};

/// How long a service or a collector may take to answer one request.
const ANSWER: Duration = Duration::from_secs(5);
/// The pauses between two looks for a span.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(2));

/// How long is waited.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// For a span to arrive.
    arrival: Duration,
    /// Before those are asked again of whom nothing was heard.
    second_chance: Duration,
}

/// Service, collector and backend batch for a second each, and a collector that decides about whole traces waits for them to
/// become whole.
const PATIENCE: Patience = Patience {
    arrival: Duration::from_secs(20),
    second_chance: Duration::from_secs(2),
};

/// What is asked with.
#[derive(Clone, Debug, Default)]
pub struct Clients {
    /// Asks services and collectors, which are in the cluster.
    pub http: reqwest::Client,
    /// Asks Jaeger, which may be anywhere.
    pub jaeger: JaegerClient,
}

/// Asks, and waits for the answers. Whoever is silent is asked once more: a node that is busy for a moment, or a Service
/// whose pods have only just become its own, is no finding.
pub async fn ask(clients: &Clients, questions: &Questions) -> Evidence {
    let mut evidence = ask_with(PATIENCE, clients, questions).await;
    if let Some(volume) = &questions.volume {
        let left = metrics_of(&clients.http, &volume.url)
            .await
            .as_deref()
            .and_then(room);
        evidence.volume_is_full = left.is_some_and(|left| left < volume.least_room);
    }
    evidence
}

async fn ask_with(patience: Patience, clients: &Clients, questions: &Questions) -> Evidence {
    let first = ask_once(patience, clients, questions).await;
    let mut again = questions.clone();
    again.services.retain(|name, _| !first.seen.contains(name));
    if again.services.is_empty() {
        return first;
    }
    sleep(patience.second_chance).await;
    let mut evidence = ask_once(patience, clients, &again).await;
    evidence.seen.extend(first.seen);
    evidence
}

async fn ask_once(patience: Patience, clients: &Clients, questions: &Questions) -> Evidence {
    let mut evidence = Evidence {
        at: Timestamp::now(),
        ..Evidence::default()
    };
    let sent = questions
        .services
        .iter()
        .map(|(name, question)| async move { (name, send(&clients.http, question).await) });
    let mut waited_for = BTreeMap::new();
    for (name, sent) in join_all(sent).await {
        match sent {
            Ok(trace) => {
                waited_for.insert(name.clone(), trace);
            }
            Err(error) => {
                evidence.silent.insert(name.clone(), Silence::Unreachable(error));
            }
        }
    }
    match await_arrivals(patience, &clients.jaeger, &questions.query_url, &mut waited_for).await {
        Ok(seen) => evidence.seen = seen,
        Err(error) => evidence.unanswered = Some(error),
    }
    let silent = waited_for.into_keys().map(|name| async {
        let silence = match questions.services.get(&name) {
            Some(question) => explain(&clients.http, &question.collectors).await,
            None => Silence::Uncounted,
        };
        (name, silence)
    });
    evidence.silent.extend(join_all(silent).await);
    evidence
}

/// Gives the trace id of the request, or what went wrong; any answer will do.
async fn send(client: &reqwest::Client, question: &Question) -> Result<String, String> {
    let context = TraceContext::new(Uuid::now_v7().as_u128());
    let (key, value) = TRACE_STATE;
    client
        .get(&question.url)
        .header("traceparent", context.header())
        .header("tracestate", format!("{key}={value}"))
        .timeout(ANSWER)
        .send()
        .await
        .map_err(|error| innermost(&error))?;
    Ok(context.trace_id)
}

/// Takes the services away whose span has arrived and gives their names, once all have or time is up. An error is one that
/// Jaeger gave to the very last.
async fn await_arrivals(
    patience: Patience,
    jaeger: &JaegerClient,
    query_url: &str,
    waited_for: &mut BTreeMap<String, String>,
) -> Result<BTreeSet<String>, String> {
    let deadline = Instant::now() + patience.arrival;
    let (mut pause, longest) = PAUSES;
    let mut seen = BTreeSet::new();
    loop {
        let looks = waited_for.iter().map(|(name, trace)| async move {
            let told = jaeger.trace(query_url, trace).await;
            (name.clone(), told.map(|trace| trace.has_span_of(name)))
        });
        let mut unanswered = None;
        for (name, arrived) in join_all(looks).await {
            match arrived {
                Ok(true) => {
                    waited_for.remove(&name);
                    seen.insert(name);
                }
                Ok(false) => {}
                Err(error) => unanswered = Some(error),
            }
        }
        if waited_for.is_empty() || Instant::now() + pause > deadline {
            return unanswered.map_or(Ok(seen), Err);
        }
        sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}

/// What the collectors of a service counted, all together.
async fn explain(client: &reqwest::Client, collectors: &[String]) -> Silence {
    if collectors.is_empty() {
        return Silence::Uncounted;
    }
    let told = join_all(collectors.iter().map(|url| metrics_of(client, url))).await;
    let counted: Vec<Counters> = told.iter().flatten().map(|metrics| count(metrics)).collect();
    if counted.is_empty() {
        return Silence::Uncountable;
    }
    let sum = |of: fn(&Counters) -> u64| counted.iter().map(of).sum();
    Silence::Counted(Counters {
        received: sum(|counters| counters.received),
        refused: sum(|counters| counters.refused),
        sent: sum(|counters| counters.sent),
        lost: sum(|counters| counters.lost),
        waiting: sum(|counters| counters.waiting),
    })
}

/// Metrics in Prometheus' text format; None where there are none to be had.
async fn metrics_of(client: &reqwest::Client, url: &str) -> Option<String> {
    let answer = client.get(url).timeout(ANSWER).send().await.ok()?;
    answer.error_for_status().ok()?.text().await.ok()
}

/// The cause at the end of the chain: the rest says that a request was sent, and where, which the reader knows.
fn innermost(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", ANSWER.as_secs());
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use axum::{Json, Router, extract::Path, http::HeaderMap, routing::get};
    use serde_json::json;
    use std::sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    };
    use tokio::net::TcpListener;

    use super::*;

    const IMPATIENT: Patience = Patience {
        arrival: Duration::from_secs(1),
        second_chance: Duration::from_millis(10),
    };

    /// Serves a router on loopback and gives its base URL.
    async fn serve(router: Router) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, router).into_future());
        format!("http://{address}")
    }

    /// A Jaeger that has the traces which `service` was sent, under the service's name, and first answers so many times that
    /// it is busy.
    async fn world(
        metrics: &'static str,
        records: bool,
        hiccups: usize,
    ) -> (Questions, Arc<Mutex<Vec<HeaderMap>>>) {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let received = requests.clone();
        let service = Router::new()
            .route(
                "/api-docs.json",
                get(move |headers: HeaderMap| async move {
                    received.lock().unwrap().push(headers);
                    "{}"
                }),
            )
            .route("/metrics", get(move || async move { metrics }));
        let stored = requests.clone();
        let looks = Arc::new(AtomicUsize::new(0));
        let jaeger = Router::new().route(
            "/api/v3/traces/{id}",
            get(move |Path(id): Path<String>| async move {
                if looks.fetch_add(1, Ordering::Relaxed) < hiccups {
                    return Err(axum::http::StatusCode::SERVICE_UNAVAILABLE);
                }
                let is_known = stored
                    .lock()
                    .unwrap()
                    .iter()
                    .any(|headers: &HeaderMap| headers["traceparent"].to_str().unwrap().contains(&id));
                if !records || !is_known {
                    return Err(axum::http::StatusCode::NOT_FOUND);
                }
                let name = json!([{"key": "service.name", "value": {"stringValue": "auth"}}]);
                Ok(Json(json!({"result": {"resourceSpans": [
                    {"resource": {"attributes": name}, "scopeSpans": [{"spans": [{"spanId": "a1"}]}]},
                ]}})))
            }),
        );
        let url = serve(service).await;
        let question = Question {
            url: format!("{url}/api-docs.json"),
            collectors: vec![format!("{url}/metrics")],
        };
        let questions = Questions {
            query_url: serve(jaeger).await,
            services: [("auth".to_owned(), question)].into(),
            volume: None,
        };
        (questions, requests)
    }

    #[tokio::test]
    async fn a_span_that_arrives_is_seen_by_its_trace() {
        let (questions, requests) = world("", true, 0).await;
        let evidence = ask_with(IMPATIENT, &Clients::default(), &questions).await;
        assert_eq!(evidence.seen, ["auth".to_owned()].into());
        assert_eq!((evidence.silent, evidence.unanswered), (BTreeMap::new(), None));
        let requests = requests.lock().unwrap();
        let traceparent = requests[0]["traceparent"].to_str().unwrap();
        assert_eq!(
            (traceparent.len(), &traceparent[..3], &traceparent[52..]),
            (55, "00-", "-01")
        );
        assert_eq!(requests[0]["tracestate"], "tracewell=probe");
    }

    #[tokio::test]
    async fn a_service_that_is_silent_once_is_asked_again() {
        let (questions, requests) = world("", true, 0).await;
        // What it was sent first is lost: as if it had not been there yet.
        let forgetful = tokio::spawn({
            let requests = requests.clone();
            async move {
                while requests.lock().unwrap().is_empty() {
                    tokio::task::yield_now().await;
                }
                requests.lock().unwrap().clear();
            }
        });
        let evidence = ask_with(IMPATIENT, &Clients::default(), &questions).await;
        forgetful.await.unwrap();
        assert_eq!((evidence.seen.len(), evidence.silent.len()), (1, 0));
    }

    #[tokio::test]
    async fn a_jaeger_that_is_busy_for_a_moment_is_no_finding() {
        let (questions, _) = world("", true, 2).await;
        let evidence = ask_with(IMPATIENT, &Clients::default(), &questions).await;
        assert_eq!((evidence.seen.len(), evidence.unanswered), (1, None));
    }

    #[tokio::test]
    async fn a_jaeger_that_stays_busy_is_told() {
        let (questions, _) = world("", true, usize::MAX).await;
        let evidence = ask_with(IMPATIENT, &Clients::default(), &questions).await;
        assert_eq!(evidence.unanswered.unwrap(), "it answers 503");
    }

    #[tokio::test]
    async fn a_silent_service_is_explained_by_its_collector() {
        let (questions, _) = world(
            "otelcol_receiver_accepted_spans_total{receiver=\"otlp\"} 0\n",
            false,
            0,
        )
        .await;
        let evidence = ask_with(IMPATIENT, &Clients::default(), &questions).await;
        assert_eq!(evidence.seen, BTreeSet::new());
        let silence = Silence::Counted(Counters::default());
        assert_eq!(evidence.silent, [("auth".to_owned(), silence)].into());
    }

    #[tokio::test]
    async fn a_jaeger_or_a_service_that_is_not_there_is_told() {
        let (mut questions, _) = world("", true, 0).await;
        questions.query_url = "http://127.0.0.1:1".to_owned();
        let evidence = ask_with(IMPATIENT, &Clients::default(), &questions).await;
        assert!(evidence.unanswered.unwrap().contains("refused"));

        let (mut questions, _) = world("", true, 0).await;
        questions.services.get_mut("auth").unwrap().url = "http://127.0.0.1:1/".to_owned();
        let evidence = ask_with(IMPATIENT, &Clients::default(), &questions).await;
        assert!(matches!(&evidence.silent["auth"], Silence::Unreachable(error) if error.contains("refused")));
    }
}
