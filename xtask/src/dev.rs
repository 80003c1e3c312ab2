//! `make dev`: the four services on this machine, without Kubernetes, their logs in one terminal.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

struct Service {
    name: &'static str,
    port: u16,
    /// ANSI colour of the name before its log lines.
    colour: u8,
}

const SERVICES: [Service; 4] = [
    Service {
        name: "gateway",
        port: 3000,
        colour: 36,
    },
    Service {
        name: "auth",
        port: 3001,
        colour: 33,
    },
    Service {
        name: "chat",
        port: 3002,
        colour: 35,
    },
    Service {
        name: "billing",
        port: 3003,
        colour: 32,
    },
];

/// Where an OpenTelemetry collector or Jaeger takes spans over HTTP.
const OTLP: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 4318);
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// Debug builds start in a second or two; the rest is for a machine that is busy.
const READY_DEADLINE: Duration = Duration::from_mins(1);
/// A service drains for at most 20 s and flushes its spans for at most 5 s.
const STOP_DEADLINE: Duration = Duration::from_secs(27);
const POLL: Duration = Duration::from_millis(100);

/// Builds the services, runs them until Ctrl-C or until one of them ends, and stops them all.
pub(crate) fn dev() -> anyhow::Result<()> {
    check_ports()?;
    let binaries = build()?;
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/dev");
    std::fs::create_dir_all(&data).with_context(|| format!("creating {}", data.display()))?;
    let data = data.canonicalize()?;

    let (interrupt, interrupted) = mpsc::channel();
    ctrlc::set_handler(move || {
        // The receiver is gone only when this process ends anyway.
        let _ = interrupt.send(());
    })?;

    let exporting = TcpStream::connect_timeout(&OTLP, CONNECT_TIMEOUT).is_ok();
    say(
        &match (exporting, std::env::var_os("OTEL_EXPORTER_OTLP_ENDPOINT")) {
            (_, Some(endpoint)) => format!("spans go to {}", endpoint.display()),
            (true, None) => {
                format!("spans go to http://{OTLP}; Jaeger's own pages are at http://localhost:16686")
            }
            (false, None) => {
                format!("nothing listens on {OTLP}: spans stay in this process (start a Jaeger to see them)")
            }
        },
    );

    let (log, lines) = mpsc::channel();
    let printer = thread::spawn(move || print_lines(&lines));
    let mut running = Running::default();
    let outcome = start(&mut running, &binaries, &data, exporting, &log)
        .and_then(|()| wait_until_ready(&mut running, &interrupted))
        .and_then(|ready| {
            if ready {
                wait_for_end(&mut running, &interrupted)
            } else {
                Ok(())
            }
        });
    drop(log);
    running.stop();
    // It ends with the last line of the last service; a panic in it has been printed already.
    let _ = printer.join();
    outcome
}

/// A busy port is said before anything is built.
fn check_ports() -> anyhow::Result<()> {
    for Service { name, port, .. } in &SERVICES {
        TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).with_context(|| {
            format!("port {port} of this machine, which {name} needs, is taken; `ss -ltnp sport = :{port}` names its owner")
        })?;
    }
    Ok(())
}

/// Builds all services and returns where cargo put each binary.
fn build() -> anyhow::Result<BTreeMap<&'static str, PathBuf>> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--message-format=json-render-diagnostics"]);
    for service in &SERVICES {
        cargo.arg("--package").arg(format!("tracewell-{}", service.name));
    }
    let output = cargo
        .stderr(Stdio::inherit())
        .output()
        .context("running cargo build")?;
    if !output.status.success() {
        bail!("the services do not build; the compiler's reasons are above");
    }
    let mut binaries = BTreeMap::new();
    for line in output.stdout.lines() {
        let artifact: serde_json::Value = serde_json::from_str(&line?).context("reading cargo's messages")?;
        let (Some(target), Some(path)) = (
            artifact["target"]["name"].as_str(),
            artifact["executable"].as_str(),
        ) else {
            continue;
        };
        if let Some(service) = SERVICES
            .iter()
            .find(|s| target.strip_prefix("tracewell-") == Some(s.name))
        {
            binaries.insert(service.name, PathBuf::from(path));
        }
    }
    Ok(binaries)
}

/// The environment that the operator would set, for one machine.
fn environment(service: &Service, data: &Path, exporting: bool) -> Vec<(&'static str, String)> {
    let at = |name: &str| {
        let port = SERVICES.iter().find(|s| s.name == name).map_or(0, |s| s.port);
        format!("http://127.0.0.1:{port}")
    };
    let routes = ["auth", "billing", "chat"].map(|name| format!("/{name}={}", at(name)));
    let mut environment = vec![
        ("HOST", "127.0.0.1".to_owned()),
        ("PORT", service.port.to_string()),
        (
            "DATABASE_URL",
            format!(
                "sqlite://{}",
                data.join(service.name).with_extension("db").display()
            ),
        ),
        ("AUTH_URL", at("auth")),
        ("BILLING_URL", at("billing")),
        ("GATEWAY_ROUTES", routes.join(",")),
        ("LOG_FORMAT", "pretty".to_owned()),
        ("DEBUG_ENDPOINTS", "1".to_owned()),
        ("DEBUG_MAIL", "1".to_owned()),
        ("SHUTDOWN_DELAY_SECONDS", "0".to_owned()),
        ("OTEL_SERVICE_NAME", service.name.to_owned()),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "service.namespace=dev,deployment.environment.name=dev".to_owned(),
        ),
    ];
    if service.name != "gateway" {
        environment.push(("TRUSTED_PROXIES", "1".to_owned()));
    }
    if exporting {
        environment.push(("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{OTLP}")));
    }
    environment
}

fn start(
    running: &mut Running,
    binaries: &BTreeMap<&'static str, PathBuf>,
    data: &Path,
    exporting: bool,
    log: &Sender<Line>,
) -> anyhow::Result<()> {
    for service in &SERVICES {
        let binary = binaries
            .get(service.name)
            .with_context(|| format!("cargo built no {}", service.name))?;
        let mut command = Command::new(binary);
        // What the caller sets (RUST_LOG, LOG_FORMAT, an exporter of their own) wins over these defaults,
        // but ports and addresses are one plan for all four.
        for (name, value) in environment(service, data, exporting) {
            let overridable = matches!(name, "LOG_FORMAT" | "OTEL_EXPORTER_OTLP_ENDPOINT");
            if !(overridable && std::env::var_os(name).is_some()) {
                command.env(name, value);
            }
        }
        // A process group of its own: Ctrl-C reaches only this process, which then stops each service once.
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {}", binary.display()))?;
        if let Some(stdout) = child.stdout.take() {
            forward_lines(service, stdout, log.clone());
        }
        if let Some(stderr) = child.stderr.take() {
            forward_lines(service, stderr, log.clone());
        }
        running.0.push((service, child));
    }
    Ok(())
}

/// Returns false when the user interrupted before all were ready.
fn wait_until_ready(running: &mut Running, interrupted: &Receiver<()>) -> anyhow::Result<bool> {
    let deadline = Instant::now() + READY_DEADLINE;
    let mut waiting: Vec<&Service> = SERVICES.iter().collect();
    while !waiting.is_empty() {
        if interrupted.recv_timeout(POLL).is_ok() {
            return Ok(false);
        }
        running.check_alive()?;
        waiting.retain(|service| !is_ready(service.port));
        if Instant::now() > deadline {
            let names: Vec<_> = waiting.iter().map(|service| service.name).collect();
            bail!(
                "not ready after {READY_DEADLINE:?}: {}; the log above says why",
                names.join(", ")
            );
        }
    }
    say("gateway   http://localhost:3000");
    say("API docs  http://localhost:3000/api-docs");
    say("health    http://localhost:3000/v1/health");
    say("mail      http://localhost:3001/debug/mail");
    say("Ctrl-C stops all");
    Ok(true)
}

fn wait_for_end(running: &mut Running, interrupted: &Receiver<()>) -> anyhow::Result<()> {
    while interrupted.recv_timeout(POLL).is_err() {
        running.check_alive()?;
    }
    Ok(())
}

/// One plain HTTP/1.0 request: a client library would be the heaviest part of this crate.
fn is_ready(port: u16) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), CONNECT_TIMEOUT)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok(status.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}

/// The services that were started.
#[derive(Default)]
struct Running(Vec<(&'static Service, Child)>);

impl Running {
    fn check_alive(&mut self) -> anyhow::Result<()> {
        for (service, child) in &mut self.0 {
            if let Some(status) = child.try_wait()? {
                bail!(
                    "{} ended by itself ({status}); its last lines are above",
                    service.name
                );
            }
        }
        Ok(())
    }

    /// Asks all to stop, then waits; one that does not obey is killed.
    fn stop(mut self) {
        for (_, child) in &mut self.0 {
            if let Ok(pid) = i32::try_from(child.id()) {
                // Fails only for one that has ended already.
                let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
            }
        }
        let deadline = Instant::now() + STOP_DEADLINE;
        for (service, child) in &mut self.0 {
            if let Some(status) = wait_until(child, deadline) {
                say(&format!("{} stopped ({status})", service.name));
                continue;
            }
            // Both fail only for one that has just ended after all.
            let _ = child.kill();
            let _ = child.wait();
            say(&format!(
                "{} did not stop within {STOP_DEADLINE:?} and was killed",
                service.name
            ));
        }
    }
}

fn wait_until(child: &mut Child, deadline: Instant) -> Option<ExitStatus> {
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        if Instant::now() > deadline {
            return None;
        }
        thread::sleep(POLL);
    }
}

struct Line {
    service: &'static Service,
    text: String,
}

fn forward_lines(service: &'static Service, stream: impl Read + Send + 'static, log: Sender<Line>) {
    thread::spawn(move || {
        for text in BufReader::new(stream).lines().map_while(Result::ok) {
            if log.send(Line { service, text }).is_err() {
                return;
            }
        }
    });
}

/// One thread prints, so that lines of two services never mix.
fn print_lines(lines: &Receiver<Line>) {
    for Line { service, text } in lines {
        println!(
            "{} {text}",
            paint(service.colour, &format!("{:>8} │", service.name))
        );
    }
}

fn say(sentence: &str) {
    println!("{} {sentence}", paint(1, &format!("{:>8} │", "dev")));
}

fn paint(code: u8, text: &str) -> String {
    if std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_has_a_port_and_a_database_of_its_own_and_the_gateway_leads_to_the_others() {
        let value = |service: &Service, name: &str| {
            let environment = environment(service, Path::new("/data"), true);
            environment
                .into_iter()
                .find(|(given, _)| *given == name)
                .map(|(_, value)| value)
        };
        let of_all = |name: &str| {
            SERVICES
                .iter()
                .filter_map(|service| value(service, name))
                .collect::<Vec<_>>()
        };
        assert_eq!(of_all("PORT"), ["3000", "3001", "3002", "3003"]);
        assert_eq!(
            value(&SERVICES[1], "DATABASE_URL").as_deref(),
            Some("sqlite:///data/auth.db")
        );
        assert_eq!(
            value(&SERVICES[2], "BILLING_URL").as_deref(),
            Some("http://127.0.0.1:3003")
        );
        let proxies: Vec<_> = SERVICES
            .iter()
            .map(|service| value(service, "TRUSTED_PROXIES"))
            .collect();
        let one = Some("1".to_owned());
        assert_eq!(proxies, [None, one.clone(), one.clone(), one]);
        let routes = "/auth=http://127.0.0.1:3001,/billing=http://127.0.0.1:3003,/chat=http://127.0.0.1:3002";
        assert_eq!(value(&SERVICES[0], "GATEWAY_ROUTES").as_deref(), Some(routes));
    }
}
