//! The rounds: everything that is compared in turn, again and again.

use std::{net::SocketAddr, path::Path, time::Duration};

use anyhow::{Result, ensure};
use bench_kit::load::{self, Requests, milliseconds_at};

use crate::{
    accounts, argon, flood,
    servers::{self, Bench, Server},
};

/// Sign-ins that are under way at a time, for each core: enough that the next one always waits, few enough that none
/// is refused.
const SIGN_INS_PER_CORE: usize = 4;
/// The same for `GET /v1/me`.
const CONNECTIONS: usize = 16;
/// Of those who look at their account while others sign in, a second.
const VISITS: f64 = 250.0;
/// How much more sign-ins come than can be served.
const FLOOD: f64 = 10.0;

const ADMITTED: [u16; 1] = [200];
const REFUSED: [u16; 2] = [429, 503];

/// One round.
pub(crate) struct Round {
    /// Hashes a second without a service.
    pub(crate) bare: f64,
    /// Sign-ins a second.
    pub(crate) sign_ins: f64,
    /// Milliseconds of `GET /v1/me` while nobody signs in, before and after the flood.
    pub(crate) idle_p99: f64,
    pub(crate) flood: Flood,
    /// CPU time of one `GET /v1/me` in microseconds.
    pub(crate) me_cpu: f64,
    /// The same of Express, where it is installed.
    pub(crate) express_cpu: Option<f64>,
    pub(crate) fresh: Fresh,
}

/// While too many sign in.
pub(crate) struct Flood {
    /// Milliseconds of `GET /v1/me`.
    pub(crate) me_p99: f64,
    /// Milliseconds until a sign-in too many was refused.
    pub(crate) refused_p99: f64,
    /// The slowest of them.
    pub(crate) refused_most: f64,
    /// Sign-ins that were let in, a second.
    pub(crate) admitted: f64,
    pub(crate) refused: u64,
}

/// A process that was just started.
pub(crate) struct Fresh {
    /// Milliseconds until it was ready, with an empty folder.
    pub(crate) first_start: f64,
    /// The same with the database that it left.
    pub(crate) restart: f64,
    /// Resident bytes.
    pub(crate) memory: f64,
    /// Those of them that are not the program's file.
    pub(crate) own_memory: f64,
}

pub(crate) struct Results {
    pub(crate) rounds: Vec<Round>,
    /// The most resident bytes that the flooded process ever had.
    pub(crate) peak: f64,
    /// The same after the round that does not count.
    pub(crate) early_peak: f64,
    pub(crate) cores: usize,
}

/// Starts the servers and lets them take turns.
pub(crate) async fn run(bench: &Bench, rounds: usize, duration: Duration) -> Result<Results> {
    let folder = servers::folder()?;
    let auth = bench.auth(folder.path()).await?;
    accounts::make(auth.address).await?;
    println!(
        "{rounds} rounds, {} s for each part; load, backends and servers share {} cores",
        duration.as_secs(),
        bench.cores
    );
    let mut measured = Vec::new();
    let mut early_peak = 0.0;
    for number in 0..=rounds {
        eprintln!("round {number} of {rounds}");
        let round = round(bench, folder.path(), &auth, duration).await?;
        if number == 0 {
            // Caches and pools are warm from here on.
            early_peak = auth.process.peak_memory()? as f64;
        } else {
            measured.push(round);
        }
    }
    Ok(Results {
        rounds: measured,
        peak: auth.process.peak_memory()? as f64,
        early_peak,
        cores: bench.cores,
    })
}

async fn round(bench: &Bench, folder: &Path, auth: &Server, duration: Duration) -> Result<Round> {
    // On either side of what it is compared with, as the idle visits below: what the machine gives drifts.
    let before = argon::rate_alone(bench.cores, duration / 2).await?;
    let sign_ins = accounts::sign_ins();
    let at_a_time = SIGN_INS_PER_CORE * bench.cores;
    let signed_in = load::run(auth.address, at_a_time, duration, &sign_ins)
        .await?
        .throughput();
    let after = argon::rate_alone(bench.cores, duration / 2).await?;
    let bare = f64::midpoint(before, after);
    eprintln!("  {bare:.1} hashes/s bare, {signed_in:.1} sign-ins/s");

    let me = accounts::me(auth.address).await?;
    auth.process.settle().await?;
    let before = visit(auth.address, duration, &me).await?;
    let flood = flooded(auth.address, FLOOD * signed_in, duration, &sign_ins, &me).await?;
    auth.process.settle().await?;
    let after = visit(auth.address, duration, &me).await?;
    let idle_p99 = f64::midpoint(before, after);
    eprintln!(
        "  GET /v1/me p99 {idle_p99:.2} ms idle, {:.2} ms in the flood; {} refused, p99 {:.2} ms",
        flood.me_p99, flood.refused, flood.refused_p99
    );

    let me_cpu = cpu_of_each(auth, duration, &me).await?;
    let express_cpu = express(bench, folder, auth, duration, &me).await?;
    eprintln!("  GET /v1/me takes {me_cpu:.0} µs of CPU, of Express {express_cpu:.0?}");
    let fresh = fresh(bench).await?;
    Ok(Round {
        bare,
        sign_ins: signed_in,
        idle_p99,
        flood,
        me_cpu,
        express_cpu,
        fresh,
    })
}

/// The 99th percentile in milliseconds for those who look at their account now and then.
async fn visit(auth: SocketAddr, duration: Duration, me: &Requests) -> Result<f64> {
    let answers = flood::run(auth, VISITS, duration, me).await?;
    let others = answers.others(&ADMITTED);
    ensure!(others.is_empty(), "GET /v1/me was answered {others:?}");
    Ok(milliseconds_at(&answers.with(&ADMITTED)?, 0.99))
}

async fn flooded(
    auth: SocketAddr,
    rate: f64,
    duration: Duration,
    sign_ins: &Requests,
    me: &Requests,
) -> Result<Flood> {
    let flood = flood::run(auth, rate, duration, sign_ins);
    let (answers, me_p99) = tokio::try_join!(flood, visit(auth, duration, me))?;
    let others = answers.others(&[&ADMITTED[..], &REFUSED].concat());
    ensure!(others.is_empty(), "sign-ins were answered {others:?}");
    let refused = answers.with(&REFUSED)?;
    ensure!(
        !refused.is_empty(),
        "nobody was refused, so it was no flood: the machine is too busy for one in {} s; try a longer --seconds",
        duration.as_secs()
    );
    Ok(Flood {
        me_p99,
        refused_p99: milliseconds_at(&refused, 0.99),
        refused_most: milliseconds_at(&refused, 1.0),
        admitted: answers.with(&ADMITTED)?.len() as f64 / answers.elapsed.as_secs_f64(),
        refused: refused.len(),
    })
}

/// Microseconds of the server for each request, with all that its telemetry does later.
async fn cpu_of_each(server: &Server, duration: Duration, me: &Requests) -> Result<f64> {
    // What is left of the load before.
    server.process.settle().await?;
    let before = server.process.cpu()?;
    let outcome = load::run(server.address, CONNECTIONS, duration, me).await?;
    server.process.settle().await?;
    let cpu = server.process.cpu()?.saturating_sub(before);
    Ok(cpu.as_secs_f64() * 1e6 / outcome.requests as f64)
}

/// The same of Express, which runs in its own part of a round only: idle beside the service, it made sign-ins slower.
async fn express(
    bench: &Bench,
    folder: &Path,
    auth: &Server,
    duration: Duration,
    me: &Requests,
) -> Result<Option<f64>> {
    let Some(express) = bench.express(folder, auth.address).await? else {
        return Ok(None);
    };
    // What its compiler learned ended with the last round.
    load::run(express.address, CONNECTIONS, duration, me).await?;
    cpu_of_each(&express, duration, me).await.map(Some)
}

async fn fresh(bench: &Bench) -> Result<Fresh> {
    let folder = servers::folder()?;
    let milliseconds = |server: &Server| server.started_in.as_secs_f64() * 1e3;
    let first_start = milliseconds(&bench.auth(folder.path()).await?);
    let again = bench.auth(folder.path()).await?;
    again.process.settle().await?;
    Ok(Fresh {
        first_start,
        restart: milliseconds(&again),
        memory: again.process.memory()? as f64,
        own_memory: again.process.own_memory()? as f64,
    })
}
