//! What the browser says about a ceremony (`CollectedClientData`).

use serde::Deserialize;

use super::PasskeyError;
use crate::opaque::OpaqueToken;

/// Which of the two ceremonies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ceremony {
    /// A passkey is made.
    Create,
    /// A passkey is used.
    Get,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientData {
    #[serde(rename = "type")]
    kind: String,
    challenge: String,
    origin: String,
    #[serde(default)]
    cross_origin: bool,
    #[serde(default)]
    top_origin: Option<String>,
}

/// The challenge that the client answers, if the rest is right too. Whether it was ever given is the caller's to know.
pub(super) fn challenge(
    json: &[u8],
    ceremony: Ceremony,
    is_allowed: impl Fn(&str) -> bool,
) -> Result<OpaqueToken, PasskeyError> {
    let data: ClientData = serde_json::from_slice(json).map_err(|_| PasskeyError::ClientData)?;
    let expected = match ceremony {
        Ceremony::Create => "webauthn.create",
        Ceremony::Get => "webauthn.get",
    };
    if data.kind != expected {
        return Err(PasskeyError::Ceremony);
    }
    // A page of ours inside of another site's could be laid over by it.
    if data.cross_origin || data.top_origin.is_some() || !is_allowed(&data.origin) {
        return Err(PasskeyError::Origin);
    }
    Ok(data.challenge.into())
}
