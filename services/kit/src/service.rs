//! What makes a service: its name, configuration, schema and routes. The rest is the kit's.

use std::{error::Error, num::NonZeroU32};

use axum::Router;
use reqwest::redirect;
use tracewell_telemetry::{Telemetry, TracedClient};

use crate::{
    alone::{self, AloneError},
    auth::Verifier,
    config::{BaseConfig, BaseUrl, ConfigError, Env, Setting},
    connections::Connections,
    db::{self, DatabaseUrl, Db, DbError, Migration},
    docs::{DocumentLink, Routes},
    forwarded::TrustedProxies,
    token::JwkSet,
    upstream::Upstream,
};

/// Why a service did not start.
pub type StartError = Box<dyn Error + Send + Sync>;

/// A service of the platform.
pub trait Service: Sized + 'static {
    /// Short name, such as `auth`.
    const NAME: &'static str;
    /// Name of the binary, such as `tracewell-auth`.
    const BINARY: &'static str;
    /// Release.
    const VERSION: &'static str;
    /// Title of the API document.
    const TITLE: &'static str;
    /// What the service does, for readers of its API document.
    const DESCRIPTION: &'static str;
    /// Port when `PORT` is unset.
    const PORT: u16;
    /// Steps of the database's schema; `None`: the service has no database.
    const MIGRATIONS: Option<&'static [Migration]> = None;
    /// Whether the service, running alone, trusts a key of its own, for which `token` prints a token.
    const TRUSTS_OWN_KEY: bool = false;
    /// The longest a request may take until its answer begins.
    const REQUEST_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(15);
    /// How many requests are answered at once. One too many is told to come again, while the others keep their time.
    const REQUESTS_AT_ONCE: usize = 1024;
    /// The largest body that a handler is given, in bytes.
    const BODY_LIMIT: usize = 64 * 1024;

    /// Whether the service sets cookies: then requests that pages of other sites send are refused, unless
    /// `CORS_ORIGINS` names them.
    const COOKIES: bool = false;

    /// The service's own settings.
    type Config: Send;
    /// What its handlers share.
    type State: Clone + Send + Sync + 'static;

    /// Reads the service's own settings.
    fn configure(env: &mut Env) -> Self::Config;

    /// Sub-commands of its own, beside those that every service has.
    fn commands() -> Vec<clap::Command> {
        Vec::new()
    }

    /// Runs one of [`Self::commands`] on the service's database, whose schema is up to date by then.
    fn run_command(
        _name: &str,
        _arguments: &clap::ArgMatches,
        _config: Self::Config,
        _db: &Db,
    ) -> impl Future<Output = Result<(), StartError>> {
        std::future::ready(Ok(()))
    }

    /// Its routes below `/v1` and at the root.
    fn routes() -> Routes<Self::State>;

    /// Makes what the handlers share; the schema of the database is up to date by then.
    fn start(
        config: Self::Config,
        resources: &Resources,
    ) -> impl Future<Output = Result<Self::State, StartError>> + Send;

    /// Adds routes that are known only at run time, such as a gateway's.
    fn mount(_state: &Self::State, router: Router) -> Router {
        router
    }

    /// Adds routes for those who operate the service, which are where its metrics are: never on the API's port where
    /// `METRICS_PORT` gives them one of their own.
    fn operations(_state: &Self::State, router: Router) -> Router {
        router
    }

    /// Documents of other services that the UI offers besides this one's.
    fn documents(_state: &Self::State) -> Vec<DocumentLink> {
        Vec::new()
    }
}

/// What the kit gives a service to start with.
#[derive(Debug)]
pub struct Resources {
    /// Client for calls to other services: no proxy, no redirects, no total time limit.
    pub client: TracedClient,
    /// Where connections go that outlive their request.
    pub connections: Connections,
    /// Whose word about clients and hosts is believed.
    pub trusted_proxies: TrustedProxies,
    database: Option<(DatabaseUrl, Db)>,
}

/// The service asked for a database without declaring a schema.
#[derive(Debug, thiserror::Error)]
#[error("the service declares no MIGRATIONS, so it has no database")]
pub struct NoDatabase;

/// Why tokens cannot be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifierError {
    /// Running alone takes a database, beside which the key lies.
    #[error(transparent)]
    NoDatabase(#[from] NoDatabase),
    /// The key beside the database is unusable.
    #[error(transparent)]
    Alone(#[from] AloneError),
}

impl Resources {
    pub(crate) async fn open(
        telemetry: &Telemetry,
        trusted_proxies: TrustedProxies,
        database: Option<(&Database, &[Migration])>,
    ) -> Result<Self, OpenError> {
        let client = reqwest::Client::builder()
            .connect_timeout(std::time::Duration::from_secs(2))
            // Services call each other by names that no proxy knows, and a redirect would carry the
            // caller's token to where it was never meant to go.
            .no_proxy()
            .redirect(redirect::Policy::none())
            .build()?;
        let database = match database {
            None => None,
            Some((database, migrations)) => {
                let db = database.open().await?;
                db.migrate(migrations).await?;
                Some((database.url.clone(), db))
            }
        };
        Ok(Self {
            client: telemetry.client(client),
            connections: Connections::default(),
            trusted_proxies,
            database,
        })
    }

    /// The service's database.
    pub fn database(&self) -> Result<&Db, NoDatabase> {
        self.database.as_ref().map(|(_, db)| db).ok_or(NoDatabase)
    }

    /// Where the service's database is.
    pub fn database_url(&self) -> Result<&DatabaseUrl, NoDatabase> {
        self.database.as_ref().map(|(url, _)| url).ok_or(NoDatabase)
    }

    /// Verifies tokens by the keys that the auth service publishes or, when there is none, by the key
    /// beside the database.
    pub fn verifier(&self, auth: Option<&Upstream>) -> Result<Verifier, VerifierError> {
        if let Some(auth) = auth {
            return Ok(Verifier::published_by(auth.clone()));
        }
        let (url, _) = self.database.as_ref().ok_or(NoDatabase)?;
        let key = alone::signing_key(url)?;
        tracing::info!(
            "AUTH_URL is unset: running alone, trusting the key beside the database; `token` prints an access token"
        );
        Ok(Verifier::fixed(JwkSet {
            keys: vec![key.jwk()],
        }))
    }

    /// The service `name`, if its URL is configured.
    pub fn upstream(&self, name: &'static str, url: Option<BaseUrl>) -> Option<Upstream> {
        url.map(|url| Upstream::new(name, url, self.client.clone()))
    }
}

/// Why the kit's own resources could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The HTTP client.
    #[error("cannot build the HTTP client")]
    Client(#[from] reqwest::Error),
}

/// The database that a service is configured with.
pub(crate) struct Database {
    pub(crate) url: DatabaseUrl,
    connections: NonZeroU32,
}

impl Database {
    fn read(env: &mut Env, service: &str) -> Self {
        let default = DatabaseUrl::file(format!("./{service}.db"));
        Self {
            url: env.or("DATABASE_URL", default, db::EXPECTED),
            connections: env.or(
                "DATABASE_MAX_CONNECTIONS",
                db::DEFAULT_CONNECTIONS,
                "how many connections to a PostgreSQL server at most, from 1",
            ),
        }
    }

    pub(crate) async fn open(&self) -> Result<Db, DbError> {
        Db::open_with(&self.url, self.connections).await
    }
}

/// Everything a service is configured with.
pub(crate) struct Settings<S: Service> {
    pub(crate) base: BaseConfig,
    /// Present when the service has a schema.
    pub(crate) database: Option<Database>,
    pub(crate) service: S::Config,
    /// The settings in effect, for people.
    pub(crate) listing: Vec<Setting>,
}

impl<S: Service> Settings<S> {
    pub(crate) fn read(mut env: Env) -> Result<Self, ConfigError> {
        let base = BaseConfig::read(&mut env, S::PORT);
        let database = S::MIGRATIONS.map(|_| Database::read(&mut env, S::NAME));
        let service = S::configure(&mut env);
        Ok(Self {
            base,
            database,
            service,
            listing: env.finish()?,
        })
    }
}
