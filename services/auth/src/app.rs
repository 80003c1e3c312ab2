//! The service as the kit starts it.

use std::sync::Arc;

use axum::{Router, extract::FromRef};
use tracewell_kit::{
    auth::Verifier,
    config::Env,
    db::{Db, Migration},
    docs::Routes,
    forwarded::TrustedProxies,
    service::{Resources, Service, StartError},
    upkeep::Housekeeping,
};

use crate::{
    config::Config,
    create_admin,
    hashing::Hasher,
    keyring::KeyRing,
    mail::Mailer,
    passkey::RelyingParty,
    resealing::Resealing,
    routes,
    sealing::{SealError, Sealing, SealingKey},
    store,
};

/// The auth service.
#[derive(Debug)]
pub struct Auth;

/// What the handlers share.
#[derive(Clone, FromRef)]
pub struct AppState {
    pub(crate) db: Db,
    pub(crate) hasher: Hasher,
    pub(crate) keys: KeyRing,
    housekeeping: Housekeeping,
    pub(crate) mailer: Mailer,
    pub(crate) sealing: Sealing,
    resealing: Option<Resealing>,
    relying_party: Arc<RelyingParty>,
    trusted_proxies: TrustedProxies,
    readable_outbox: ReadableOutbox,
    verifier: Verifier,
}

/// Whether the mails that were sent can be read.
#[derive(Debug, Clone, Copy)]
struct ReadableOutbox(bool);

impl Service for Auth {
    const NAME: &'static str = "auth";
    const BINARY: &'static str = env!("CARGO_PKG_NAME");
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const TITLE: &'static str = "Tracewell auth";
    const DESCRIPTION: &'static str = "Accounts, sessions, access tokens and the keys that verify them";
    const PORT: u16 = 3001;
    const MIGRATIONS: Option<&'static [Migration]> = Some(store::MIGRATIONS);

    const COOKIES: bool = true;

    type Config = Config;
    type State = AppState;

    fn configure(env: &mut Env) -> Config {
        Config::read(env)
    }

    fn commands() -> Vec<clap::Command> {
        vec![create_admin::command()]
    }

    async fn run_command(
        name: &str,
        arguments: &clap::ArgMatches,
        config: Config,
        db: &Db,
    ) -> Result<(), StartError> {
        match name {
            create_admin::NAME => create_admin::run(arguments, config, db).await,
            _ => Ok(()),
        }
    }

    fn routes() -> Routes<AppState> {
        routes::all()
    }

    fn operations(state: &AppState, router: Router) -> Router {
        if state.readable_outbox.0 {
            router.merge(routes::outbox().with_state(state.clone()))
        } else {
            router
        }
    }

    async fn start(config: Config, resources: &Resources) -> Result<AppState, StartError> {
        let db = resources.database()?.clone();
        let key = match config.key_encryption_key {
            Some(key) => key,
            None => SealingKey::beside(resources.database_url()?.path().ok_or(SealError::NoFolder)?)?,
        };
        let sealing = Sealing::new(key, config.previous_keys);
        let relying_party = RelyingParty::new(&config.passkey_rp_id, &config.passkey_origins)?;
        let resealing = if sealing.is_changing() {
            Some(Resealing::start(db.clone(), sealing.clone()).await?)
        } else {
            None
        };
        let keys = KeyRing::open(db.clone(), sealing.clone()).await?;
        Ok(AppState {
            hasher: Hasher::new(config.hash_concurrency, config.hash_cost.params())?,
            verifier: keys.verifier(),
            keys,
            housekeeping: store::retention::forget_old(db.clone()),
            mailer: Mailer::start(db.clone(), config.mail)?,
            readable_outbox: ReadableOutbox(config.debug_mail),
            sealing,
            resealing,
            relying_party: Arc::new(relying_party),
            trusted_proxies: resources.trusted_proxies,
            db,
        })
    }
}
