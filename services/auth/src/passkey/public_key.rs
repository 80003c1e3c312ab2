//! The public key of a passkey, as COSE writes it (RFC 9052, 7; RFC 9053, 7), and what its signatures are verified by.

use std::fmt;

use ciborium::Value;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};

use super::PasskeyError;

/// Algorithms that are asked for, the one we like best first: Ed25519, ECDSA on P-256, which nearly all have, and RSA,
/// which is all that some TPMs under Windows have.
pub(super) const ALGORITHMS: [i64; 3] = [EDDSA, ES256, RS256];

const EDDSA: i64 = -8;
const ES256: i64 = -7;
const RS256: i64 = -257;

/// Labels of a COSE key's parameters.
const KEY_TYPE: i64 = 1;
const ALGORITHM: i64 = 3;

/// A key of one of [`ALGORITHMS`].
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum PublicKey {
    Ed25519(Vec<u8>),
    /// An uncompressed point.
    P256(Vec<u8>),
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
}

impl PublicKey {
    /// The key that stands at the beginning of `bytes`; extensions may follow it.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, PasskeyError> {
        let value: Value = ciborium::from_reader(bytes).map_err(|_| PasskeyError::PublicKey)?;
        let map = value.into_map().map_err(|_| PasskeyError::PublicKey)?;
        let parameters = Parameters(map);
        let key = match (parameters.integer(KEY_TYPE)?, parameters.integer(ALGORITHM)?) {
            (1, EDDSA) if parameters.integer(-1)? == 6 => Self::Ed25519(parameters.bytes(-2, 32)?),
            (2, ES256) if parameters.integer(-1)? == 1 => {
                let (x, y) = (parameters.bytes(-2, 32)?, parameters.bytes(-3, 32)?);
                Self::P256([&[4][..], &x, &y].concat())
            }
            (3, RS256) => Self::Rsa {
                n: parameters.any_bytes(-1)?,
                e: parameters.any_bytes(-2)?,
            },
            _ => return Err(PasskeyError::PublicKey),
        };
        Ok(key)
    }

    /// The key as it is stored: COSE again, with nothing else in it.
    pub(super) fn write(&self) -> Result<Vec<u8>, PasskeyError> {
        let entry = |label: i64, value: Value| (Value::from(label), value);
        let map = match self {
            Self::Ed25519(x) => vec![
                entry(KEY_TYPE, 1.into()),
                entry(ALGORITHM, EDDSA.into()),
                entry(-1, 6.into()),
                entry(-2, Value::Bytes(x.clone())),
            ],
            Self::P256(point) => vec![
                entry(KEY_TYPE, 2.into()),
                entry(ALGORITHM, ES256.into()),
                entry(-1, 1.into()),
                entry(-2, Value::Bytes(point[1..33].to_vec())),
                entry(-3, Value::Bytes(point[33..].to_vec())),
            ],
            Self::Rsa { n, e } => vec![
                entry(KEY_TYPE, 3.into()),
                entry(ALGORITHM, RS256.into()),
                entry(-1, Value::Bytes(n.clone())),
                entry(-2, Value::Bytes(e.clone())),
            ],
        };
        let mut bytes = Vec::new();
        ciborium::into_writer(&Value::Map(map), &mut bytes).map_err(|_| PasskeyError::PublicKey)?;
        Ok(bytes)
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), PasskeyError> {
        match self {
            Self::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature),
            Self::P256(key) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key).verify(message, signature)
            }
            Self::Rsa { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
        }
        .map_err(|_| PasskeyError::Signature)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ed25519(_) => "PublicKey(Ed25519)",
            Self::P256(_) => "PublicKey(P-256)",
            Self::Rsa { .. } => "PublicKey(RSA)",
        })
    }
}

/// The parameters of a COSE key by their labels.
struct Parameters(Vec<(Value, Value)>);

impl Parameters {
    fn get(&self, label: i64) -> Result<&Value, PasskeyError> {
        self.0
            .iter()
            .find(|(key, _)| key.as_integer() == Some(label.into()))
            .map(|(_, value)| value)
            .ok_or(PasskeyError::PublicKey)
    }

    fn integer(&self, label: i64) -> Result<i64, PasskeyError> {
        self.get(label)?
            .as_integer()
            .and_then(|integer| integer.try_into().ok())
            .ok_or(PasskeyError::PublicKey)
    }

    fn any_bytes(&self, label: i64) -> Result<Vec<u8>, PasskeyError> {
        self.get(label)?
            .as_bytes()
            .cloned()
            .ok_or(PasskeyError::PublicKey)
    }

    fn bytes(&self, label: i64, length: usize) -> Result<Vec<u8>, PasskeyError> {
        let bytes = self.any_bytes(label)?;
        if bytes.len() == length {
            Ok(bytes)
        } else {
            Err(PasskeyError::PublicKey)
        }
    }
}
