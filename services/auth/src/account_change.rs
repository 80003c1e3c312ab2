//! What every change of how the caller signs in ends with: an entry in the audit trail, and a mail that tells its owner.

use tracewell_kit::db::{DbError, Tx};

use crate::{
    caller::Caller,
    client::Client,
    domain::{AuditKind, MailKind},
    mail::Mailer,
    store::{self, audit::Subject},
};

/// Writes down the change and the mail as the last part of the transaction, and has the mail sent.
pub(crate) async fn finish(
    mut tx: Tx,
    caller: &Caller,
    client: &Client,
    mailer: &Mailer,
    change: AuditKind,
    mail: MailKind,
) -> Result<(), DbError> {
    let subject = Subject::user(&caller.user.id).in_session(&caller.session_id);
    store::audit::record(&mut tx, change, subject, client).await?;
    store::mails::request(&mut tx, mail, &caller.user.email).await?;
    tx.commit().await?;
    mailer.wake();
    Ok(())
}
