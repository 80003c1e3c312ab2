//! The sub-command `create-admin`: the first admin, whom no other admin can appoint.

use std::io;

use clap::{Arg, ArgMatches, Command};
use tracewell_kit::{
    clock,
    db::{Db, DbError, Tx},
    id,
    service::StartError,
};

use crate::{
    client::Client,
    config::Config,
    domain::{AuditKind, Email, Password, Role, User},
    hashing::Hasher,
    store::{self, audit::Subject},
};

/// Name of the sub-command.
pub(crate) const NAME: &str = "create-admin";

/// Why there is no admin now.
#[derive(Debug, thiserror::Error)]
enum CreateAdminError {
    #[error("--email is no e-mail address")]
    Email(#[from] lettre::address::AddressError),
    #[error("the password on standard input must have 12 to 128 characters")]
    Password,
    // Whoever signed up with it may be anybody.
    #[error(
        "there is an account with this address, whose owner has not confirmed it: let them confirm it first, by the mail that \
         POST /v1/verify-email/resend sends"
    )]
    NotConfirmed,
    #[error("somebody has signed up with this address just now: run this again")]
    Taken,
}

pub(crate) fn command() -> Command {
    Command::new(NAME)
        .about("Makes an account an admin; a new account takes its password from standard input")
        .arg(
            Arg::new("email")
                .long("email")
                .required(true)
                .help("E-mail address of the account"),
        )
}

pub(crate) async fn run(arguments: &ArgMatches, config: Config, db: &Db) -> Result<(), StartError> {
    let address: lettre::Address = arguments
        .get_one::<String>("email")
        .map(String::as_str)
        .unwrap_or_default()
        .parse()
        .map_err(CreateAdminError::from)?;
    let email = Email::from(address.to_string());
    let known = store::users::by_email(db, &email).await?;
    let (tx, user_id) = match known.map(|(account, _)| account.user) {
        Some(user) if user.email_verified_at.is_none() => return Err(CreateAdminError::NotConfirmed.into()),
        Some(user) => (db.begin().await?, user.id),
        None => create(config, db, &email).await?,
    };
    appoint(tx, &user_id).await?;
    println!("{} ({user_id}) is an admin", email.as_str());
    Ok(())
}

async fn appoint(mut tx: Tx, user_id: &str) -> Result<(), DbError> {
    store::users::set_admin(&mut tx, user_id);
    let (subject, nobody) = (Subject::user(user_id), Client::default());
    store::audit::record(&mut tx, AuditKind::AdminAppointed, subject, &nobody);
    tx.commit().await
}

/// Makes the account that becomes an admin, in a transaction that is still open, and gives its id. Who runs this vouches for
/// the address.
async fn create(config: Config, db: &Db, email: &Email) -> Result<(Tx, String), StartError> {
    let line = io::read_to_string(io::stdin())?;
    let password = Password::new(line.trim_end_matches(['\r', '\n'])).ok_or(CreateAdminError::Password)?;
    let hasher = Hasher::new(config.hash_concurrency, config.hash_cost.params())?;
    let hash = hasher.hash(password).await?;
    let user = User {
        id: id::new("usr"),
        email: email.clone(),
        email_verified_at: None,
        display_name: None,
        role: Role::User,
        created_at: clock::now(),
    };
    let mut tx = db.begin().await?;
    if store::users::insert(&mut tx, &user, hash).await?.as_ref() != Some(&user.id) {
        return Err(CreateAdminError::Taken.into());
    }
    store::users::set_email_verified(&mut tx, &user.id, user.created_at);
    Ok((tx, user.id))
}
