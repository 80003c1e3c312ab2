//! Each sampler that `OTEL_TRACES_SAMPLER` may name, by what is in Jaeger afterwards.

use http::Method;

use crate::fixture::{Answer, Greeter, JaegerProcess, Tools};

/// Of all that 63 bits can say, for they are what the ratio's law looks at.
const RATIO: &str = "0.25";
const FIRST_OUTSIDE: u64 = 1 << 61;
/// Requests without a parent, whose traces have ids by chance.
const ROOTS: usize = 20;
/// Of a whole trace: two requests, a query of each, and the call.
const SPANS: usize = 5;

/// Its name, which of the traces with a parent it keeps, and which without one.
struct Sampler {
    name: &'static str,
    /// Sampled by the parent: inside the ratio, and outside; then the same, not sampled by the parent.
    below: [bool; 4],
    roots: Roots,
}

#[derive(Clone, Copy)]
enum Roots {
    All,
    None,
    Ratio,
}

/// As the specification of OpenTelemetry has them.
const SAMPLERS: [Sampler; 7] = [
    // Unset.
    sampler("", [true, true, false, false], Roots::All),
    sampler("always_on", [true; 4], Roots::All),
    sampler("always_off", [false; 4], Roots::None),
    sampler("traceidratio", [true, false, true, false], Roots::Ratio),
    sampler("parentbased_always_on", [true, true, false, false], Roots::All),
    sampler("parentbased_always_off", [true, true, false, false], Roots::None),
    sampler(
        "parentbased_traceidratio",
        [true, true, false, false],
        Roots::Ratio,
    ),
];

const fn sampler(name: &'static str, below: [bool; 4], roots: Roots) -> Sampler {
    Sampler { name, below, roots }
}

impl Roots {
    /// Whether a trace of this id is kept.
    fn keep(self, trace: &str) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Ratio => u64::from_str_radix(&trace[16..], 16).unwrap() >> 1 < FIRST_OUTSIDE,
        }
    }
}

/// Asks for somebody whom only the elder may know; `parent` is a `traceparent`.
async fn ask(greeter: &Greeter, parent: Option<&str>) {
    let request = greeter.request(Method::GET, "/hello/eve");
    let request = match parent {
        Some(parent) => request.header("traceparent", parent),
        None => request,
    };
    assert_eq!(Answer::to(request).await.status, 404);
}

/// The traces of the requests that this sampler decided about, and whether Jaeger must have them.
async fn decided(place: usize, sampler: &Sampler, jaeger: &str, elder: &str) -> Vec<(String, bool)> {
    let greeter = Greeter::start(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", jaeger),
        ("OTEL_TRACES_SAMPLER", sampler.name),
        ("OTEL_TRACES_SAMPLER_ARG", RATIO),
        ("ELDER_URL", elder),
    ])
    .await;
    let mut traces = Vec::new();
    for (kind, kept) in sampler.below.into_iter().enumerate() {
        // The last bit does not count.
        let decisive = FIRST_OUTSIDE - u64::from(kind % 2 == 0);
        let trace = format!("{:016x}{:016x}", place * 4 + kind + 1, decisive << 1);
        let flag = if kind < 2 { "01" } else { "00" };
        ask(&greeter, Some(&format!("00-{trace}-b7ad6b7169203331-{flag}"))).await;
        traces.push((trace, kept));
    }
    for _ in 0..ROOTS {
        ask(&greeter, None).await;
    }
    let log = greeter.end().await.log;
    let lines = log.iter().filter(|line| line["req"]["url"] == "/hello/eve");
    let ids = lines.map(|line| line["trace_id"].as_str().unwrap());
    let roots: Vec<_> = ids
        .filter(|id| traces.iter().all(|(of_parent, _)| of_parent != id))
        .collect();
    assert_eq!(roots.len(), ROOTS);
    traces.extend(
        roots
            .into_iter()
            .map(|id| (id.to_owned(), sampler.roots.keep(id))),
    );
    traces
}

/// The elder is asked with each decision and by its own sampler follows it: a trace is there whole or not at all.
#[tokio::test]
async fn what_reaches_jaeger_is_what_each_sampler_says_of_sampled_unsampled_and_no_parents() {
    let Some(tools) = Tools::find() else { return };
    let jaeger = JaegerProcess::start(&tools).await;
    let endpoint = jaeger.endpoint();
    let elder = Greeter::start(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ("OTEL_SERVICE_NAME", "elder"),
    ])
    .await;
    let mut expected = Vec::new();
    for (place, sampler) in SAMPLERS.iter().enumerate() {
        for (trace, kept) in decided(place, sampler, &endpoint, elder.url()).await {
            expected.push((sampler.name, trace, kept));
        }
    }
    // What waits is sent at the end.
    assert!(elder.end().await.status.success());
    let mut wrong = Vec::new();
    for (sampler, trace, kept) in expected {
        let found = jaeger.query.trace(&trace).await.unwrap();
        let spans = found.map_or(0, |trace| trace.spans.len());
        if spans != if kept { SPANS } else { 0 } {
            wrong.push(format!("{sampler}: {spans} spans of {trace}, kept: {kept}"));
        }
    }
    assert_eq!(wrong, [""; 0]);
}
