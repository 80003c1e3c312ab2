//! The command line that every service has.

use std::{
    error::Error,
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use clap::{Arg, ArgMatches, Command};
use tokio::signal::unix::{SignalKind, signal};
use tracewell_telemetry::{ServiceInfo, Telemetry};
use tracing::Instrument as _;

use crate::{
    alone,
    config::{Env, Setting},
    docs,
    server::Server,
    service::{NoDatabase, Service, Settings, StartError},
};

/// The last spans may take this long to leave.
const FLUSH: Duration = Duration::from_secs(5);

/// Runs the service `S` as the command line says. Errors are one sentence on standard error, with causes.
pub fn run<S: Service>() -> ExitCode {
    let matches = command::<S>().get_matches();
    let outcome = match matches.subcommand() {
        Some(("migrate", _)) => migrate::<S>(),
        Some(("openapi", _)) => openapi::<S>(),
        Some(("print-config", _)) => print_config::<S>(),
        Some(("healthcheck", _)) => healthcheck::<S>(),
        Some(("token", arguments)) => token::<S>(arguments),
        Some((name, arguments)) if is_own::<S>(name) => own_command::<S>(name, arguments),
        _ => serve::<S>(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {}", S::BINARY, sentence(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn command<S: Service>() -> Command {
    let command = Command::new(S::BINARY)
        .version(S::VERSION)
        .about(S::DESCRIPTION)
        .subcommand(Command::new("serve").about("Serves the API (the default)"))
        .subcommand(Command::new("openapi").about("Prints the API document"))
        .subcommand(Command::new("print-config").about("Prints the settings in effect, without secrets"))
        .subcommand(Command::new("healthcheck").about("Asks the service on this host whether it is ready"));
    let command = match S::MIGRATIONS {
        Some(_) => {
            command.subcommand(Command::new("migrate").about("Brings the database's schema up to date"))
        }
        None => command,
    };
    let command = command.subcommands(S::commands());
    if !S::TRUSTS_OWN_KEY {
        return command;
    }
    let user = Arg::new("user")
        .long("user")
        .default_value("usr_alone")
        .help("Id of the user that the token is for");
    command.subcommand(
        Command::new("token")
            .about("Prints an access token for the service running alone (AUTH_URL unset)")
            .arg(user),
    )
}

fn is_own<S: Service>(name: &str) -> bool {
    S::commands().iter().any(|command| command.get_name() == name)
}

/// The error and its causes, each said once.
fn sentence(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let reason = error.to_string();
        if !text.contains(&reason) {
            text = format!("{text}: {reason}");
        }
        cause = error.source();
    }
    text
}

fn serve<S: Service>() -> Result<(), StartError> {
    // Before the runtime: the exporter's own thread must not live inside of it.
    let telemetry = Telemetry::init(ServiceInfo::new(S::NAME, S::VERSION))?;
    runtime()?.block_on(async {
        let served = serve_until_stopped::<S>(&telemetry).await;
        // Whatever happened, the spans that tell of it must leave.
        telemetry.shutdown(FLUSH).await;
        served
    })
}

async fn serve_until_stopped<S: Service>(telemetry: &Telemetry) -> Result<(), StartError> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    // One trace for all that a start does, instead of one for each query of it.
    let start = Server::start::<S>(Env::from_process(), telemetry);
    let server = start.instrument(tracing::info_span!("service.start")).await?;
    let (service, version, address) = (S::NAME, S::VERSION, server.address()?);
    tracing::info!("{service} {version} listens on http://{address}, API documents at /api-docs");
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    Ok(server.run(stop).await?)
}

fn migrate<S: Service>() -> Result<(), StartError> {
    let settings = Settings::<S>::read(Env::from_process())?;
    let Some((database, migrations)) = settings.database.zip(S::MIGRATIONS) else {
        return Ok(());
    };
    runtime()?.block_on(async {
        let db = database.open().await?;
        db.migrate(migrations).await?;
        db.close().await;
        println!(
            "{} has schema version {}",
            database.url,
            migrations.iter().map(|step| step.version).max().unwrap_or(0)
        );
        Ok(())
    })
}

fn own_command<S: Service>(name: &str, arguments: &ArgMatches) -> Result<(), StartError> {
    let Settings {
        database, service, ..
    } = Settings::<S>::read(Env::from_process())?;
    let database = database.ok_or(NoDatabase)?;
    runtime()?.block_on(async {
        let db = database.open().await?;
        db.migrate(S::MIGRATIONS.unwrap_or_default()).await?;
        let done = S::run_command(name, arguments, service, &db).await;
        db.close().await;
        done
    })
}

fn openapi<S: Service>() -> Result<(), StartError> {
    println!("{}", docs::document::<S>().to_pretty_json()?);
    Ok(())
}

fn print_config<S: Service>() -> Result<(), StartError> {
    for Setting {
        name,
        value,
        is_default,
    } in Settings::<S>::read(Env::from_process())?.listing
    {
        let origin = if is_default { "  # default" } else { "" };
        println!("{name}={}{origin}", value.unwrap_or_default());
    }
    Ok(())
}

/// The service that was asked is not ready.
#[derive(Debug, thiserror::Error)]
#[error("{url} answers {status}")]
struct Unhealthy {
    url: String,
    status: http::StatusCode,
}

fn healthcheck<S: Service>() -> Result<(), StartError> {
    let address = Settings::<S>::read(Env::from_process())?.base.address;
    // Nobody can be asked at 0.0.0.0; who listens there listens on the loopback too.
    let host = if address.ip().is_unspecified() {
        Ipv4Addr::LOCALHOST.into()
    } else {
        address.ip()
    };
    let url = format!("http://{}/readyz", SocketAddr::new(host, address.port()));
    runtime()?.block_on(async {
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(3))
            .build()?;
        let status = client.get(&url).send().await?.status();
        if status.is_success() {
            Ok(())
        } else {
            Err(Unhealthy { url, status }.into())
        }
    })
}

fn token<S: Service>(arguments: &ArgMatches) -> Result<(), StartError> {
    let settings = Settings::<S>::read(Env::from_process())?;
    if let (Some(database), Some(user)) = (settings.database, arguments.get_one::<String>("user")) {
        println!("{}", alone::access_token(&database.url, user)?);
    }
    Ok(())
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}
