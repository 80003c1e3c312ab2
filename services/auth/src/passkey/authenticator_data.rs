//! What the authenticator says about itself and its owner (`authenticatorData`; Web Authentication, 6.1).

use ring::digest;

use super::{PasskeyError, public_key::PublicKey};

const USER_PRESENT: u8 = 1;
const USER_VERIFIED: u8 = 1 << 2;
const BACKUP_ELIGIBLE: u8 = 1 << 3;
const BACKED_UP: u8 = 1 << 4;
const ATTESTED_CREDENTIAL: u8 = 1 << 6;

/// The longest id that a credential may have.
const MAX_ID: usize = 1023;

/// Authenticator data of our relying party, by an authenticator that verified its user.
#[derive(Debug)]
pub(super) struct AuthenticatorData<'a> {
    /// Goes up with each use, or is always 0.
    pub(super) sign_count: u32,
    /// Id and public key of a credential that was just made.
    pub(super) credential: Option<(&'a [u8], PublicKey)>,
}

impl<'a> AuthenticatorData<'a> {
    pub(super) fn read(bytes: &'a [u8], relying_party_id: &str) -> Result<Self, PasskeyError> {
        const MALFORMED: PasskeyError = PasskeyError::AuthenticatorData;
        let (id_hash, rest) = bytes
            .split_at_checked(digest::SHA256_OUTPUT_LEN)
            .ok_or(MALFORMED)?;
        let ([flags, count @ ..], rest) = rest.split_first_chunk::<5>().ok_or(MALFORMED)?;
        if id_hash != digest::digest(&digest::SHA256, relying_party_id.as_bytes()).as_ref() {
            return Err(PasskeyError::RelyingParty);
        }
        if flags & USER_PRESENT == 0 || flags & USER_VERIFIED == 0 {
            return Err(PasskeyError::UserVerification);
        }
        if flags & BACKUP_ELIGIBLE == 0 && flags & BACKED_UP != 0 {
            return Err(MALFORMED);
        }
        let credential = match flags & ATTESTED_CREDENTIAL {
            0 => None,
            _ => Some(credential(rest)?),
        };
        Ok(Self {
            sign_count: u32::from_be_bytes(*count),
            credential,
        })
    }
}

/// `attestedCredentialData`: the model's id, the credential's id with its length before it, and the key.
fn credential(bytes: &[u8]) -> Result<(&[u8], PublicKey), PasskeyError> {
    const MALFORMED: PasskeyError = PasskeyError::AuthenticatorData;
    const MODEL_LENGTH: usize = 16;
    let (_, rest) = bytes.split_at_checked(MODEL_LENGTH).ok_or(MALFORMED)?;
    let (length, rest) = rest.split_first_chunk::<2>().ok_or(MALFORMED)?;
    let length = usize::from(u16::from_be_bytes(*length));
    let (id, key) = rest.split_at_checked(length).ok_or(MALFORMED)?;
    if !(1..=MAX_ID).contains(&length) {
        return Err(MALFORMED);
    }
    Ok((id, PublicKey::read(key)?))
}
