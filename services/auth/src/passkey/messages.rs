//! What goes to and comes from a browser: the JSON of `PublicKeyCredential.parseCreationOptionsFromJSON`,
//! `parseRequestOptionsFromJSON` and `toJSON` (Web Authentication, 5.1.8 to 5.1.10).

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use utoipa::ToSchema;

use crate::opaque::OpaqueToken;

/// Bytes, in base64url without padding.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
#[schema(
    value_type = String,
    // The last character of two or three carries bits that must be zero.
    pattern = "^(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-][AQgw]|[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048])?$",
    max_length = 32768,
    example = "dGhlIGJ5dGVz"
)]
pub(crate) struct Base64Url(pub(crate) Vec<u8>);

impl Serialize for Base64Url {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_URL_SAFE_NO_PAD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64Url {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text);
        bytes
            .map(Self)
            .map_err(|_| D::Error::custom("not base64url without padding"))
    }
}

/// For `navigator.credentials.create({publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(…)})`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CreationOptions {
    pub(super) rp: RelyingPartyEntity,
    pub(super) user: UserEntity,
    /// Good once, for five minutes.
    pub(super) challenge: OpaqueToken,
    pub(super) pub_key_cred_params: Vec<CredentialParameters>,
    /// Milliseconds.
    #[schema(example = 300_000)]
    pub(super) timeout: i64,
    /// Those that the account has: an authenticator makes no second one.
    pub(super) exclude_credentials: Vec<CredentialDescriptor>,
    pub(super) authenticator_selection: AuthenticatorSelection,
    #[schema(example = "none")]
    pub(super) attestation: &'static str,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RelyingPartyEntity {
    #[schema(example = "app.example.com")]
    pub(super) id: String,
    #[schema(example = "Tracewell")]
    pub(super) name: &'static str,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserEntity {
    pub(super) id: Base64Url,
    #[schema(example = "ada@example.com")]
    pub(super) name: String,
    #[schema(example = "Ada")]
    pub(super) display_name: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CredentialParameters {
    #[serde(rename = "type")]
    #[schema(example = "public-key")]
    pub(super) kind: &'static str,
    /// COSE's number of the algorithm.
    #[schema(example = -7)]
    pub(super) alg: i64,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CredentialDescriptor {
    #[serde(rename = "type")]
    #[schema(example = "public-key")]
    pub(super) kind: &'static str,
    pub(super) id: Base64Url,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuthenticatorSelection {
    #[schema(example = "required")]
    pub(super) resident_key: &'static str,
    pub(super) require_resident_key: bool,
    #[schema(example = "required")]
    pub(super) user_verification: &'static str,
}

/// For `navigator.credentials.get({publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(…)})`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RequestOptions {
    #[schema(example = "app.example.com")]
    pub(super) rp_id: String,
    /// Good once, for five minutes.
    pub(super) challenge: OpaqueToken,
    /// Milliseconds.
    #[schema(example = 300_000)]
    pub(super) timeout: i64,
    #[schema(example = "required")]
    pub(super) user_verification: &'static str,
}

// What a browser adds to these in later versions of the standard is let through: it is not the client's to leave out.

/// A passkey that was just made, as its `toJSON()` gives it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Registration {
    /// Id of the passkey.
    pub(super) raw_id: Base64Url,
    #[serde(rename = "type")]
    pub(super) _kind: CredentialKind,
    pub(super) response: AttestationResponse,
    #[serde(default, rename = "clientExtensionResults")]
    pub(super) _extensions: ExtensionResults,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AttestationResponse {
    #[serde(rename = "clientDataJSON")]
    pub(super) client_data_json: Base64Url,
    pub(super) attestation_object: Base64Url,
}

/// The answer of a passkey, as its `toJSON()` gives it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Assertion {
    /// Id of the passkey.
    pub(super) raw_id: Base64Url,
    #[serde(rename = "type")]
    pub(super) _kind: CredentialKind,
    pub(super) response: AssertionResponse,
    #[serde(default, rename = "clientExtensionResults")]
    pub(super) _extensions: ExtensionResults,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AssertionResponse {
    #[serde(rename = "clientDataJSON")]
    pub(super) client_data_json: Base64Url,
    pub(super) authenticator_data: Base64Url,
    pub(super) signature: Base64Url,
    /// The account that the passkey was made for; a discoverable one always knows.
    pub(super) user_handle: Base64Url,
}

/// What extensions of the standard gave; none is asked for.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(example = json!({"credProps": {"rk": true}}))]
pub(crate) struct ExtensionResults {}

#[derive(Debug, Deserialize, ToSchema)]
pub(crate) enum CredentialKind {
    #[serde(rename = "public-key")]
    PublicKey,
}
