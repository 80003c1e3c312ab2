//! The two ceremonies.

use std::{fmt, str::FromStr};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ciborium::Value;
use jiff::SignedDuration;
use ring::digest;
use tracewell_kit::config::Origins;

use super::{
    PasskeyError,
    authenticator_data::AuthenticatorData,
    client_data::{self, Ceremony},
    messages::{
        Assertion, AuthenticatorSelection, Base64Url, CreationOptions, CredentialDescriptor,
        CredentialParameters, Registration, RelyingPartyEntity, RequestOptions, UserEntity,
    },
    public_key::{ALGORITHMS, PublicKey},
};
use crate::{domain::User, opaque::OpaqueToken};

/// How long a ceremony may take.
pub(crate) const CEREMONY: SignedDuration = SignedDuration::from_mins(5);
const PUBLIC_KEY: &str = "public-key";
const REQUIRED: &str = "required";
const NAME: &str = "Tracewell";

/// Who passkeys are made for: a domain, and the origins in it whose pages may use them.
#[derive(Debug, Clone)]
pub(crate) struct RelyingParty {
    id: String,
    origins: Vec<String>,
}

/// The setting that names the domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RelyingPartyId(String);

/// The setting that lists the origins.
pub(crate) type PasskeyOrigins = Origins;

/// The text is no domain.
#[derive(Debug, thiserror::Error)]
#[error("not a domain such as example.com")]
pub(crate) struct InvalidRelyingPartyId;

impl RelyingPartyId {
    /// For who tries things out: browsers allow passkeys without TLS on this machine only.
    pub(crate) fn localhost() -> Self {
        Self("localhost".to_owned())
    }

    /// The pages of the gateway, of the service itself, and of the gateway of the local cluster.
    pub(crate) fn localhost_origins() -> PasskeyOrigins {
        [
            "http://localhost:3000",
            "http://localhost:3001",
            "http://localhost:30080",
        ]
        .into_iter()
        .map(http::HeaderValue::from_static)
        .collect()
    }
}

impl FromStr for RelyingPartyId {
    type Err = InvalidRelyingPartyId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_domain = !text.is_empty()
            && !text.starts_with('.')
            && text
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'));
        is_domain
            .then(|| Self(text.to_owned()))
            .ok_or(InvalidRelyingPartyId)
    }
}

impl fmt::Display for RelyingPartyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An origin lies outside of the domain, so no browser would use a passkey there.
#[derive(Debug, thiserror::Error)]
#[error("PASSKEY_ORIGINS has {origin}, which is not in PASSKEY_RP_ID, {id}")]
pub(crate) struct ForeignOrigin {
    origin: String,
    id: String,
}

/// A passkey that was made.
#[derive(Debug)]
pub(crate) struct NewPasskey {
    pub(crate) challenge: OpaqueToken,
    /// In base64url.
    pub(crate) credential_id: String,
    /// In base64url.
    pub(crate) public_key: String,
    pub(crate) sign_count: i64,
}

/// A passkey as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct StoredPasskey {
    pub(crate) id: String,
    pub(crate) user_id: String,
    /// In base64url.
    pub(crate) public_key: String,
    pub(crate) sign_count: i64,
}

/// A passkey that was used.
#[derive(Debug)]
pub(crate) struct UsedPasskey {
    pub(crate) challenge: OpaqueToken,
    /// `None`: the authenticator does not count.
    pub(crate) sign_count: Option<i64>,
}

impl RelyingParty {
    pub(crate) fn new(id: &RelyingPartyId, origins: &PasskeyOrigins) -> Result<Self, ForeignOrigin> {
        let id = id.0.clone();
        let origins: Vec<_> = origins
            .as_slice()
            .iter()
            .map(|origin| String::from_utf8_lossy(origin.as_bytes()).into_owned())
            .collect();
        let is_inside = |origin: &&String| {
            let host = origin.split_once("://").map_or("", |(_, rest)| rest);
            let host = host.split(':').next().unwrap_or_default();
            host == id || host.strip_suffix(&id).is_some_and(|rest| rest.ends_with('.'))
        };
        match origins.iter().find(|origin| !is_inside(origin)) {
            Some(origin) => Err(ForeignOrigin {
                origin: origin.clone(),
                id: id.clone(),
            }),
            None => Ok(Self { id, origins }),
        }
    }

    /// What a client makes a passkey by. `existing` are the ids of those that the account has.
    pub(crate) fn creation_options(
        &self,
        challenge: OpaqueToken,
        user: &User,
        existing: Vec<Vec<u8>>,
    ) -> CreationOptions {
        let email = user.email.as_str().to_owned();
        let descriptor = |id| CredentialDescriptor {
            kind: PUBLIC_KEY,
            id: Base64Url(id),
        };
        CreationOptions {
            rp: RelyingPartyEntity {
                id: self.id.clone(),
                name: NAME,
            },
            user: UserEntity {
                id: Base64Url(user.id.as_bytes().to_vec()),
                display_name: user.display_name.clone().unwrap_or_else(|| email.clone()),
                name: email,
            },
            challenge,
            pub_key_cred_params: ALGORITHMS
                .map(|alg| CredentialParameters {
                    kind: PUBLIC_KEY,
                    alg,
                })
                .into(),
            timeout: CEREMONY.as_secs() * 1000,
            exclude_credentials: existing.into_iter().map(descriptor).collect(),
            authenticator_selection: AuthenticatorSelection {
                resident_key: REQUIRED,
                require_resident_key: true,
                user_verification: REQUIRED,
            },
            attestation: "none",
        }
    }

    /// What a client uses a passkey by, any that it has for us.
    pub(crate) fn request_options(&self, challenge: OpaqueToken) -> RequestOptions {
        RequestOptions {
            rp_id: self.id.clone(),
            challenge,
            timeout: CEREMONY.as_secs() * 1000,
            user_verification: REQUIRED,
        }
    }

    /// Checks a passkey that was made (Web Authentication, 7.1). Whether its challenge was given, and to whom, is the
    /// caller's to check.
    pub(crate) fn register(&self, registration: &Registration) -> Result<NewPasskey, PasskeyError> {
        let response = &registration.response;
        let challenge = client_data::challenge(&response.client_data_json.0, Ceremony::Create, |origin| {
            self.is_allowed(origin)
        })?;
        let data = authenticator_data_of(&response.attestation_object.0)?;
        let data = AuthenticatorData::read(&data, &self.id)?;
        let (id, key) = data.credential.ok_or(PasskeyError::AuthenticatorData)?;
        if id != registration.raw_id.0 {
            return Err(PasskeyError::AuthenticatorData);
        }
        Ok(NewPasskey {
            challenge,
            credential_id: BASE64_URL_SAFE_NO_PAD.encode(id),
            public_key: BASE64_URL_SAFE_NO_PAD.encode(key.write()?),
            sign_count: data.sign_count.into(),
        })
    }

    /// Checks the answer of a passkey (Web Authentication, 7.2), but for its challenge and its count, which take the
    /// database.
    pub(crate) fn authenticate(
        &self,
        assertion: &Assertion,
        stored: &StoredPasskey,
    ) -> Result<UsedPasskey, PasskeyError> {
        let response = &assertion.response;
        if response.user_handle.0 != stored.user_id.as_bytes() {
            return Err(PasskeyError::Owner);
        }
        let client_data = &response.client_data_json.0;
        let challenge = client_data::challenge(client_data, Ceremony::Get, |origin| self.is_allowed(origin))?;
        let data = AuthenticatorData::read(&response.authenticator_data.0, &self.id)?;
        let key = BASE64_URL_SAFE_NO_PAD
            .decode(&stored.public_key)
            .map_err(|_| PasskeyError::PublicKey)?;
        let hash = digest::digest(&digest::SHA256, client_data);
        let message = [&response.authenticator_data.0, hash.as_ref()].concat();
        PublicKey::read(&key)?.verify(&message, &response.signature.0)?;
        let counts = data.sign_count != 0 || stored.sign_count != 0;
        Ok(UsedPasskey {
            challenge,
            sign_count: counts.then(|| data.sign_count.into()),
        })
    }

    fn is_allowed(&self, origin: &str) -> bool {
        self.origins.iter().any(|allowed| allowed == origin)
    }
}

impl Assertion {
    /// Id of the passkey, in base64url.
    pub(crate) fn credential_id(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(&self.raw_id.0)
    }
}

/// The authenticator data in an attestation object.
fn authenticator_data_of(object: &[u8]) -> Result<Vec<u8>, PasskeyError> {
    const MALFORMED: PasskeyError = PasskeyError::AuthenticatorData;
    let value: Value = ciborium::from_reader(object).map_err(|_| MALFORMED)?;
    let entries = value.into_map().map_err(|_| MALFORMED)?;
    entries
        .into_iter()
        .find(|(name, _)| name.as_text() == Some("authData"))
        .and_then(|(_, data)| data.into_bytes().ok())
        .ok_or(MALFORMED)
}

#[cfg(test)]
mod tests;
