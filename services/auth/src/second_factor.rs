//! The second factor of an account: one-time passwords of a device, and backup codes.

use jiff::Timestamp;
use tracewell_kit::{
    clock,
    db::{Db, Tx},
};
use zeroize::Zeroizing;

use crate::{
    client::Client,
    domain::{AuditKind, BackupCode, TotpSecret},
    error::AuthError,
    sealing::{SealError, Sealing},
    store::{self, audit::Subject, totp::Device},
};

/// A device's secret, sealed for its user.
pub(crate) fn seal(sealing: &Sealing, user_id: &str, secret: &TotpSecret) -> Result<String, SealError> {
    sealing.seal(&name(user_id), secret.as_bytes())
}

/// A device's secret.
pub(crate) fn open(sealing: &Sealing, user_id: &str, device: &Device) -> Result<TotpSecret, SealError> {
    let bytes: Zeroizing<Vec<u8>> = sealing.open(&name(user_id), &device.sealed_secret)?;
    TotpSecret::from_bytes(&bytes).ok_or(SealError::Malformed)
}

/// The same secret sealed by the key that seals; `None` if it is already.
pub(crate) fn seal_again(
    sealing: &Sealing,
    user_id: &str,
    sealed_secret: &str,
) -> Result<Option<String>, SealError> {
    sealing.seal_again(&name(user_id), sealed_secret)
}

/// What the secret is bound to: put into the row of another account it does not open.
fn name(user_id: &str) -> String {
    format!("totp {user_id}")
}

/// Whether signing in takes a second factor.
pub(crate) async fn is_on(db: &Db, user_id: &str) -> Result<bool, AuthError> {
    let device = store::totp::of_user(db, user_id).await?;
    Ok(device.is_some_and(|device| device.confirmed_at.is_some()))
}

/// Confirms the device that is being set up by a code of it.
///
/// Its secret is read only once it is held: sealed again in between, it is the same secret in another text.
pub(crate) async fn confirm(
    tx: &mut Tx,
    sealing: &Sealing,
    user_id: &str,
    code: &str,
    now: Timestamp,
) -> Result<(), AuthError> {
    let device = store::totp::hold_unconfirmed(tx, user_id)
        .await?
        .ok_or(AuthError::NoTotpSetup)?;
    let step = open(sealing, user_id, &device)?
        .step_of(code, device.last_step, now)
        .ok_or(AuthError::WrongCode)?;
    store::totp::confirm(tx, user_id, step, now);
    Ok(())
}

/// Takes a code, of the device or of the backup codes; the same one is never taken again.
pub(crate) async fn take_code(
    tx: &mut Tx,
    sealing: &Sealing,
    client: &Client,
    user_id: &str,
    code: &str,
) -> Result<(), AuthError> {
    if let Some(code) = BackupCode::parse(code) {
        if !store::totp::take_code(tx, user_id, &code).await? {
            return Err(AuthError::WrongCode);
        }
        store::audit::record(tx, AuditKind::BackupCodeUsed, Subject::user(user_id), client);
        return Ok(());
    }
    let device = store::totp::of_user(&mut *tx, user_id).await?;
    let Some(device) = device.filter(|device| device.confirmed_at.is_some()) else {
        return Err(AuthError::WrongCode);
    };
    let step = open(sealing, user_id, &device)?
        .step_of(code, device.last_step, clock::now())
        .ok_or(AuthError::WrongCode)?;
    // Of two uses at once one comes first.
    if store::totp::take_step(tx, user_id, step).await? {
        Ok(())
    } else {
        Err(AuthError::WrongCode)
    }
}
