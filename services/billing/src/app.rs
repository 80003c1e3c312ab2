//! The service as the kit starts it.

use axum::extract::FromRef;
use tracewell_kit::{
    auth::Verifier,
    config::Env,
    db::{Db, Migration},
    docs::Routes,
    idempotency,
    service::{Resources, Service, StartError},
    upkeep::Housekeeping,
    upstream::Upstream,
};

use crate::{config::Config, routes, store};

/// The billing service.
#[derive(Debug)]
pub struct Billing;

/// What the handlers share.
#[derive(Clone, FromRef)]
pub struct AppState {
    pub(crate) db: Db,
    pub(crate) auth: Option<Upstream>,
    housekeeping: Housekeeping,
    verifier: Verifier,
}

impl Service for Billing {
    const NAME: &'static str = "billing";
    const BINARY: &'static str = env!("CARGO_PKG_NAME");
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const TITLE: &'static str = "Tracewell billing";
    const DESCRIPTION: &'static str = "Plans, subscriptions and entitlements";
    const PORT: u16 = 3003;
    const MIGRATIONS: Option<&'static [Migration]> = Some(store::MIGRATIONS);
    const TRUSTS_OWN_KEY: bool = true;

    type Config = Config;
    type State = AppState;

    fn configure(env: &mut Env) -> Config {
        Config::read(env)
    }

    fn routes() -> Routes<AppState> {
        routes::all()
    }

    async fn start(config: Config, resources: &Resources) -> Result<AppState, StartError> {
        let auth = resources.upstream("auth", config.auth_url);
        let verifier = resources.verifier(auth.as_ref())?;
        let db = resources.database()?.clone();
        Ok(AppState {
            housekeeping: idempotency::forget_old(db.clone()),
            db,
            auth,
            verifier,
        })
    }
}
