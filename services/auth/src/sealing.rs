//! Sealing: private keys lie in the database encrypted, so that its copy alone signs nothing.

use std::{
    fmt,
    io::ErrorKind,
    path::{Path, PathBuf},
    str::FromStr,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom as _, SystemRandom},
};
use tracewell_kit::private_file;
use zeroize::Zeroizing;

use crate::opaque::NoRandomness;

/// What sealed texts begin with; what does not is from before there was sealing.
const MARK: &str = "v1.";

/// The key that seals keys: 32 bytes, base64 in the environment.
#[derive(Clone)]
pub(crate) struct SealingKey(Zeroizing<[u8; 32]>);

/// The text is no sealing key.
#[derive(Debug, thiserror::Error)]
#[error("not 32 bytes in base64")]
pub(crate) struct InvalidSealingKey;

impl FromStr for SealingKey {
    type Err = InvalidSealingKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = Zeroizing::new(
            BASE64_STANDARD
                .decode(text.trim())
                .map_err(|_| InvalidSealingKey)?,
        );
        let bytes: [u8; 32] = bytes.as_slice().try_into().map_err(|_| InvalidSealingKey)?;
        Ok(Self(Zeroizing::new(bytes)))
    }
}

impl fmt::Display for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(***)")
    }
}

/// A key could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealError {
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    #[error("a stored key is malformed")]
    Malformed,
    #[error(
        "a stored key was sealed with another key: bring back the KEY_ENCRYPTION_KEY, or the file beside the \
         database, that it was sealed with"
    )]
    OtherKey,
    #[error("cannot use the key file {path}")]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "set KEY_ENCRYPTION_KEY, 32 random bytes in base64: only beside a database that is a file is one made"
    )]
    NoFolder,
    #[error("the key file {path} does not hold 32 bytes in base64")]
    FileContent { path: PathBuf },
}

impl SealingKey {
    /// The key in the file beside the database, made on first use and readable by its owner only.
    pub(crate) fn beside(database: &Path) -> Result<Self, SealError> {
        let mut path = database.as_os_str().to_owned();
        path.push(".seal");
        let path = PathBuf::from(path);
        let file_error = |source| SealError::File {
            path: path.clone(),
            source,
        };
        match std::fs::read_to_string(&path).map(Zeroizing::new) {
            Ok(text) => text.parse().map_err(|_| SealError::FileContent { path }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let mut bytes = Zeroizing::new([0; 32]);
                SystemRandom::new()
                    .fill(bytes.as_mut_slice())
                    .map_err(|_| NoRandomness)?;
                let text = Zeroizing::new(BASE64_STANDARD.encode(bytes.as_slice()));
                private_file::create(&path, text.as_bytes()).map_err(file_error)?;
                Ok(Self(bytes))
            }
            Err(error) => Err(file_error(error)),
        }
    }

    /// Seals `secret`, bound to its `name`: put under another name it does not open.
    pub(crate) fn seal(&self, name: &str, secret: &[u8]) -> Result<String, SealError> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| NoRandomness)?;
        let mut sealed = secret.to_vec();
        self.cipher()?
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(name.as_bytes()),
                &mut sealed,
            )
            .map_err(|_| SealError::Malformed)?;
        Ok(format!(
            "{MARK}{}",
            BASE64_STANDARD.encode([&nonce[..], &sealed].concat())
        ))
    }

    /// Opens what was sealed under this `name`.
    pub(crate) fn open(&self, name: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let text = sealed.strip_prefix(MARK).ok_or(SealError::Malformed)?;
        let bytes = BASE64_STANDARD.decode(text).map_err(|_| SealError::Malformed)?;
        let (nonce, rest) = bytes.split_at_checked(NONCE_LEN).ok_or(SealError::Malformed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Malformed)?;
        let mut buffer = Zeroizing::new(rest.to_vec());
        let secret = self
            .cipher()?
            .open_in_place(nonce, Aad::from(name.as_bytes()), &mut buffer)
            .map_err(|_| SealError::OtherKey)?;
        Ok(Zeroizing::new(secret.to_vec()))
    }

    fn cipher(&self) -> Result<LessSafeKey, SealError> {
        UnboundKey::new(&AES_256_GCM, self.0.as_slice())
            .map(LessSafeKey::new)
            .map_err(|_| SealError::Malformed)
    }
}

/// Whether the text is sealed at all.
pub(crate) fn is_sealed(text: &str) -> bool {
    text.starts_with(MARK)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_is_sealed_opens_under_its_name_and_key_only() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("auth.db");
        let key = SealingKey::beside(&database).unwrap();
        let other = SealingKey::beside(&folder.path().join("other.db")).unwrap();
        let sealed = key.seal("k1", b"secret").unwrap();
        assert!(is_sealed(&sealed) && sealed != key.seal("k1", b"secret").unwrap());
        assert_eq!(key.open("k1", &sealed).unwrap().as_slice(), b"secret");
        assert!(matches!(key.open("k2", &sealed), Err(SealError::OtherKey)));
        assert!(matches!(other.open("k1", &sealed), Err(SealError::OtherKey)));
        assert!(matches!(key.open("k1", "v1.AAAA"), Err(SealError::Malformed)));
        // The file is there the next time, for its owner only.
        let again = SealingKey::beside(&database).unwrap();
        assert_eq!(again.open("k1", &sealed).unwrap().as_slice(), b"secret");
        let mode = std::fs::metadata(folder.path().join("auth.db.seal"))
            .unwrap()
            .permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
    }

    #[test]
    fn a_sealing_key_is_32_bytes_and_is_not_shown() {
        let text = BASE64_STANDARD.encode([7; 32]);
        let key: SealingKey = text.parse().unwrap();
        assert_eq!(
            (key.to_string(), format!("{key:?}")),
            ("***".into(), "SealingKey(***)".into())
        );
        assert!("c2hvcnQ=".parse::<SealingKey>().is_err());
    }
}
