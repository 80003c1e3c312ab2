//! The server under measure: one JSON route with one SQLite read.

use std::{env, net::SocketAddr, path::Path};

use anyhow::{Context, Result, bail};
use axum::{
    Json, Router,
    extract::{self, State},
    http::StatusCode,
    routing::get,
    serve::ListenerExt,
};
use serde::Serialize;
use sqlx::{
    FromRow, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions},
};
use tokio::net::TcpListener;
use tracewell_telemetry::{Readiness, ServiceInfo, Telemetry, db};

use crate::{
    peer,
    variant::{Stack, Variant},
};

/// Names the database file to a server.
pub(crate) const DATABASE: &str = "DATABASE";

/// What a server writes to standard error once it listens, before its address.
pub(crate) const LISTENING: &str = "listening on ";

/// Plans in the database, with the ids from `plan-0`.
pub(crate) const PLANS: usize = 100;

const SELECT_PLAN: &str = "SELECT id, name, amount_minor, currency FROM plans WHERE id = $1";

#[derive(FromRow, Serialize)]
struct Plan {
    id: String,
    name: String,
    amount_minor: i64,
    currency: String,
}

#[derive(Clone)]
struct Plans {
    pool: SqlitePool,
    /// Whether the query gets a span and a duration: without, the route has no telemetry at all.
    recorded: bool,
}

/// Serves until the process is killed.
pub(crate) async fn serve(variant: Variant) -> Result<()> {
    let path = env::var_os(DATABASE).with_context(|| format!("{DATABASE} is unset"))?;
    let pool = open(path.as_ref()).await?;
    let recorded = variant.stack() != Stack::Plain;
    let routes = routes(Plans { pool, recorded });
    let (app, _running) = match variant.stack() {
        Stack::Plain => (routes, None),
        Stack::Tracewell => {
            let telemetry = Telemetry::init(ServiceInfo::new("bench", env!("CARGO_PKG_VERSION")))?;
            let ops = telemetry.ops_routes(Readiness::new());
            (telemetry.wrap(routes).merge(ops), Some(telemetry))
        }
        Stack::Peer => (peer::instrument(routes)?, None),
        Stack::Node => bail!("{} is not served by this program", variant.label()),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    eprintln!("{LISTENING}{}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        // It fails on a connection that is gone already.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}

/// The database that all servers read.
pub(crate) async fn create_database(path: &Path) -> Result<()> {
    let pool = open(path).await?;
    sqlx::query("CREATE TABLE plans (id TEXT PRIMARY KEY, name TEXT NOT NULL, amount_minor INTEGER NOT NULL, currency TEXT NOT NULL) STRICT")
        .execute(&pool)
        .await?;
    for number in 0..PLANS {
        sqlx::query("INSERT INTO plans VALUES ($1, $2, $3, 'EUR')")
            .bind(format!("plan-{number}"))
            .bind(format!("Plan {number}"))
            .bind(i64::try_from(number)? * 100 + 90)
            .execute(&pool)
            .await?;
    }
    pool.close().await;
    Ok(())
}

/// With the settings and the number of connections of the services' readers.
async fn open(path: &Path) -> Result<SqlitePool> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal);
    let pool = SqlitePoolOptions::new().max_connections(4);
    pool.connect_with(options)
        .await
        .with_context(|| format!("cannot open the database {}", path.display()))
}

fn routes(plans: Plans) -> Router {
    Router::new()
        .route("/v1/plans/{id}", get(get_plan))
        .with_state(plans)
}

async fn get_plan(
    State(plans): State<Plans>,
    extract::Path(id): extract::Path<String>,
) -> Result<Json<Plan>, StatusCode> {
    let read = sqlx::query_as(SELECT_PLAN).bind(id).fetch_optional(&plans.pool);
    let plan = if plans.recorded {
        db("SELECT", "plans", SELECT_PLAN).run(read).await
    } else {
        read.await
    };
    match plan {
        Ok(Some(plan)) => Ok(Json(plan)),
        Ok(None) => Err(StatusCode::NOT_FOUND),
        Err(_) => Err(StatusCode::INTERNAL_SERVER_ERROR),
    }
}
