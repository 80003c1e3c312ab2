//! `GET /hello/{name}`.

use std::env;

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use reqwest::Url;
use sqlx::{SqlitePool, sqlite::SqlitePoolOptions};
use tracewell_telemetry::{ErrorReport, TracedClient, breadcrumb, db, user};

/// What the handler works with.
#[derive(Clone)]
pub(crate) struct Greeter {
    pub(crate) people: SqlitePool,
    elder: Option<Url>,
    client: TracedClient,
}

impl Greeter {
    /// With a table of its own in memory, and the elder of the environment.
    pub(crate) async fn open(client: TracedClient) -> Result<Self, Box<dyn std::error::Error>> {
        // The one connection is the database: with another, or after its end, the table would be gone.
        let one = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None);
        let people = one.connect("sqlite::memory:").await?;
        sqlx::raw_sql("CREATE TABLE people (name TEXT PRIMARY KEY, greeting TEXT NOT NULL); INSERT INTO people VALUES ('ada', 'Hello')")
            .execute(&people)
            .await?;
        let elder = env::var("ELDER_URL").ok().map(|url| url.parse()).transpose()?;
        Ok(Self {
            people,
            elder,
            client,
        })
    }
}

/// Why nobody is greeted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GreetError {
    #[error("nobody of that name is known")]
    Unknown,
    #[error("the table of people cannot be read")]
    People(#[from] sqlx::Error),
    #[error("the elder greeter gives no answer")]
    Elder(#[from] reqwest::Error),
}

impl IntoResponse for GreetError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Unknown => StatusCode::NOT_FOUND,
            Self::People(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Elder(_) => StatusCode::BAD_GATEWAY,
        };
        let mut response = (status, self.to_string()).into_response();
        // The client reads one sentence; log, span and Sentry get the whole chain of causes.
        response.extensions_mut().insert(ErrorReport::new(&self));
        response
    }
}

/// Greets by this greeter's own table, or else by the elder's.
pub(crate) async fn hello(
    State(greeter): State<Greeter>,
    Path(name): Path<String>,
) -> Result<String, GreetError> {
    const QUERY: &str = "SELECT greeting FROM people WHERE name = $1";
    user(&name, None);
    let read = sqlx::query_scalar(QUERY)
        .bind(&name)
        .fetch_optional(&greeter.people);
    let greeting: Option<String> = db("SELECT", "people", QUERY).run(read).await?;
    if let Some(greeting) = greeting {
        return Ok(format!("{greeting}, {name}!"));
    }
    breadcrumb("greeting", "not in our own table", &[]);
    let mut url = greeter.elder.ok_or(GreetError::Unknown)?;
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(["hello", &name]);
    }
    let answer = greeter.client.get(url).template("/hello/{name}").send().await?;
    if answer.status() == StatusCode::NOT_FOUND {
        return Err(GreetError::Unknown);
    }
    Ok(answer.error_for_status()?.text().await?)
}
