//! What every change of how somebody signs in ends with: an entry in the audit trail, and a mail that tells its owner.
//! And what a change ends that somebody else may have begun.

use jiff::Timestamp;
use tracewell_kit::db::{DbError, Tx};

use crate::{
    caller::Caller,
    client::Client,
    domain::{AuditKind, Email, MailKind, User},
    mail::Mailer,
    store::{self, audit::Subject},
};

/// Ends all that was begun with the account and is not finished: who began it may be the one who is to be kept out.
/// Sessions are the caller's to end.
pub(crate) fn void_begun(tx: &mut Tx, user: &User, now: Timestamp) {
    store::mails::withdraw(tx, user);
    store::mail_tokens::spend_all(tx, &user.id, now);
    store::challenges::void_all(tx, &user.id);
}

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
    store::audit::record(&mut tx, change, subject, client);
    store::mails::request(&mut tx, mail, email);
    tx.commit().await?;
    mailer.wake();
    Ok(())
}
