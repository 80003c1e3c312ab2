//! The service as the kit starts it.

use std::sync::Arc;

use axum::extract::FromRef;
use tracewell_kit::{
    auth::Verifier,
    config::Env,
    db::{Db, Migration},
    docs::Routes,
    service::{Resources, Service, StartError},
    token::{JwkSet, SigningKey},
};

use crate::{config::Config, hashing::Hasher, routes, store};

/// The auth service.
#[derive(Debug)]
pub struct Auth;

/// What the handlers share.
#[derive(Clone, FromRef)]
pub struct AppState {
    pub(crate) db: Db,
    pub(crate) hasher: Hasher,
    pub(crate) signing_key: Arc<SigningKey>,
    pub(crate) published_keys: Arc<JwkSet>,
    verifier: Verifier,
}

impl Service for Auth {
    const NAME: &'static str = "auth";
    const BINARY: &'static str = env!("CARGO_PKG_NAME");
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const TITLE: &'static str = "Tracewell auth";
    const DESCRIPTION: &'static str = "Accounts, access tokens and the keys that verify them";
    const PORT: u16 = 3001;
    const MIGRATIONS: Option<&'static [Migration]> = Some(store::MIGRATIONS);

    type Config = Config;
    type State = AppState;

    fn configure(env: &mut Env) -> Config {
        Config::read(env)
    }

    fn routes() -> Routes<AppState> {
        routes::all()
    }

    async fn start(config: Config, resources: &Resources) -> Result<AppState, StartError> {
        let db = resources.database()?.clone();
        let signing_key = store::signing_keys::current(&db).await?;
        let published_keys = JwkSet {
            keys: vec![signing_key.jwk()],
        };
        Ok(AppState {
            hasher: Hasher::new(config.hash_concurrency)?,
            signing_key: Arc::new(signing_key),
            verifier: Verifier::fixed(published_keys.clone()),
            published_keys: Arc::new(published_keys),
            db,
        })
    }
}
