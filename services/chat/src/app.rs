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
};

use crate::{config::Config, entitlements::Entitlements, routes, store};

/// The chat service.
#[derive(Debug)]
pub struct Chat;

/// What the handlers share.
#[derive(Clone, FromRef)]
pub struct AppState {
    pub(crate) db: Db,
    pub(crate) entitlements: Entitlements,
    housekeeping: Housekeeping,
    verifier: Verifier,
}

impl Service for Chat {
    const NAME: &'static str = "chat";
    const BINARY: &'static str = env!("CARGO_PKG_NAME");
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const TITLE: &'static str = "Tracewell chat";
    const DESCRIPTION: &'static str = "Conversations and their messages";
    const PORT: u16 = 3002;
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
        let billing = resources.upstream("billing", config.billing_url);
        let db = resources.database()?.clone();
        Ok(AppState {
            housekeeping: idempotency::forget_old(db.clone()),
            db,
            entitlements: Entitlements::new(billing),
            verifier: resources.verifier(auth.as_ref())?,
        })
    }
}
