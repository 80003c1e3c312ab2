//! The whole process: environment in, JSON lines on standard output, spans on the wire, an end in time.
//!
//! Telemetry is global to a process, so each case runs `examples/two_requests.rs` as a process of its own.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Command, Output},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// `cargo test` builds examples beside its test binaries.
fn example() -> PathBuf {
    let test_binary = std::env::current_exe().unwrap();
    test_binary
        .ancestors()
        .nth(2)
        .unwrap()
        .join("examples/two_requests")
}

/// Runs the example with these variables and no others.
fn output(env: &[(&str, &str)]) -> Output {
    let example = example();
    Command::new(&example)
        .env_clear()
        .envs(env.iter().copied())
        .output()
        .unwrap_or_else(|error| panic!("cannot run {}: {error}", example.display()))
}

/// The same, with its log.
fn run(env: &[(&str, &str)]) -> (Output, Vec<Value>) {
    let output = output(env);
    let lines = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let lines = lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
    (output, lines)
}

fn line<'a>(lines: &'a [Value], message: &str) -> &'a Value {
    lines
        .iter()
        .find(|line| line["msg"] == message)
        .unwrap_or_else(|| panic!("no {message:?} in {lines:#?}"))
}

#[test]
fn alone_it_logs_json_with_trace_ids() {
    let (output, lines) = run(&[]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        lines.len(),
        3,
        "one line per request, one for the panic: {lines:#?}"
    );
    let hello = &lines[0];
    assert_eq!((&hello["service"], &hello["level"]), (&"shop".into(), &30.into()));
    assert_eq!(hello["req"]["route"], "/hello");

    let panicked = line(&lines, "panicked");
    assert_eq!(panicked["level"], 60);
    assert_eq!(panicked["err"]["message"], "card [redacted] is stuck");
    assert!(
        panicked["location"].as_str().unwrap().contains("two_requests.rs"),
        "{panicked}"
    );
    let answer = lines
        .iter()
        .find(|line| line["req"]["route"] == "/panic")
        .unwrap();
    assert_eq!(answer["trace_id"], panicked["trace_id"]);
    assert_ne!(answer["trace_id"], hello["trace_id"]);
    assert_eq!(output.stderr, b"", "all that is said is JSON on standard output");
}

/// What a terminal shows of the example with these variables.
fn on_a_terminal(env: &[(&str, &str)]) -> String {
    // It gives the program a terminal, and repeats what that shows.
    let output = Command::new("script")
        .args(["--quiet", "--return", "--command"])
        .arg(example())
        .arg("/dev/null")
        .env_clear()
        .envs(env.iter().copied())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_terminal_shows_lines_for_people_unless_json_is_asked_for() {
    let shown = on_a_terminal(&[]);
    assert!(
        shown.contains("GET /hello → 200") && !shown.contains("{\""),
        "{shown}"
    );
    let shown = on_a_terminal(&[("LOG_FORMAT", "json")]);
    let lines: Vec<Value> = shown
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3, "{shown}");
    let asked_for = String::from_utf8(output(&[("LOG_FORMAT", "pretty")]).stdout).unwrap();
    assert!(asked_for.contains("GET /hello → 200"), "{asked_for}");
}

#[test]
fn at_debug_level_spans_are_in_the_log() {
    let (_, lines) = run(&[("RUST_LOG", "info,tracewell::span=debug")]);
    let span = line(&lines, "span GET /hello");
    assert_eq!(span["trace_id"], line(&lines, "request completed")["trace_id"]);
    assert_eq!(span["kind"], "Server");
    let (_, lines) = run(&[("OTEL_TRACES_EXPORTER", "console")]);
    assert_eq!(line(&lines, "span GET /hello")["level"], 30);
}

#[test]
fn wrong_values_are_all_named_before_anything_starts() {
    let (output, lines) = run(&[("OTEL_TRACES_SAMPLER", "maybe"), ("LOG_FORMAT", "xml")]);
    assert!(!output.status.success() && lines.is_empty());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("OTEL_TRACES_SAMPLER=\"maybe\": expected") && said.contains("LOG_FORMAT=\"xml\""),
        "{said}"
    );
}

#[test]
fn shutdown_sends_what_is_queued_to_the_endpoint_of_the_environment() {
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", collector.local_addr().unwrap());
    let (sender, received) = mpsc::channel();
    thread::spawn(move || sender.send(answer_one(&collector.accept().unwrap().0)));
    let (output, _) = run(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ("OTEL_SERVICE_NAME", "renamed"),
    ]);
    assert!(output.status.success(), "{output:?}");
    let request = received.recv_timeout(Duration::from_secs(10)).unwrap();
    let shown = String::from_utf8_lossy(&request);
    assert!(shown.starts_with("POST /v1/traces HTTP/1.1"), "{shown}");
    for part in ["renamed", "GET /hello", "GET /panic"] {
        assert!(shown.contains(part), "no {part} in {shown}");
    }
}

#[test]
fn a_backend_that_never_answers_holds_nothing_up() {
    // Accepts connections into its backlog and says nothing. An export alone would wait 10 s for its answer.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", mute.local_addr().unwrap());
    let started = Instant::now();
    let (output, lines) = run(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]);
    assert!(output.status.success(), "{output:?}");
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "took {:?}",
        started.elapsed()
    );
    assert_eq!(line(&lines, "the last spans may be lost")["level"], 40);
}

#[test]
fn a_collector_that_never_answers_costs_sentry_nothing() {
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", mute.local_addr().unwrap());
    let sentry = TcpListener::bind("127.0.0.1:0").unwrap();
    let dsn = format!("http://key@{}/1", sentry.local_addr().unwrap());
    let (sender, received) = mpsc::channel();
    thread::spawn(move || {
        let (connection, _) = sentry.accept().unwrap();
        // Two transactions and the sessions.
        for _ in 0..3 {
            sender.send(answer_one(&connection)).unwrap();
        }
    });
    let (output, lines) = run(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ("SENTRY_DSN", &dsn),
        // An error has a stack, whose names take their time in a debug build.
        ("SENTRY_SAMPLE_RATE", "0"),
        ("SENTRY_TRACES_SAMPLE_RATE", "1"),
        ("SENTRY_PROFILES_SAMPLE_RATE", "0"),
        ("SHUTDOWN_SECONDS", "3"),
    ]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(line(&lines, "the last spans may be lost")["level"], 40);
    let envelope = received.recv_timeout(Duration::from_secs(10)).unwrap();
    assert!(String::from_utf8_lossy(&envelope).contains("GET /hello"));
    let lost = lines
        .iter()
        .find(|line| line["msg"] == "the last events for Sentry may be lost");
    assert_eq!(lost, None);
}

/// Reads one HTTP request with a body of declared length, and takes it.
fn answer_one(mut connection: &TcpStream) -> Vec<u8> {
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    while !is_complete(&request) {
        let read = connection.read(&mut chunk).unwrap();
        assert_ne!(read, 0, "the request ends early");
        request.extend_from_slice(&chunk[..read]);
    }
    connection
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        .unwrap();
    request
}

fn is_complete(request: &[u8]) -> bool {
    let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .unwrap();
    request.len() >= end + 4 + length.parse::<usize>().unwrap()
}
