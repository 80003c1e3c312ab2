//! What every change of how somebody signs in ends with: an entry in the audit trail, and a mail that tells its owner.

use tracewell_kit::db::{DbError, Tx};

use crate::{
    caller::Caller,
    client::Client,
    domain::{AuditKind, Email, MailKind},
    mail::Mailer,
    store::{self, audit::Subject},
};

/// Writes down the change and the mail as the last part of the transaction, and has the mail sent.
pub(crate) async fn finish(
    tx: Tx,
    caller: &Caller,
    client: &Client,
    mailer: &Mailer,
    change: AuditKind,
    mail: MailKind,
) -> Result<(), DbError> {
    let subject = Subject::user(&caller.user.id).in_session(&caller.session_id);
    finish_for(tx, subject, &caller.user.email, client, mailer, change, mail).await
}

/// The same for an account that need not be the caller's; its owner is told at `email`.
pub(crate) async fn finish_for(
    mut tx: Tx,
    subject: Subject<'_>,
    email: &Email,
    client: &Client,
    mailer: &Mailer,
    change: AuditKind,
    mail: MailKind,
) -> Result<(), DbError> {
    store::audit::record(&mut tx, change, subject, client).await?;
    store::mails::request(&mut tx, mail, email).await?;
    tx.commit().await?;
    mailer.wake();
    Ok(())
}
