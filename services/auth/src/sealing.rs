//! Sealing: private keys lie in the database encrypted, so that its copy alone signs nothing.
//!
//! The key that seals can be changed: what was sealed by one before it is opened by that, and sealed again by the new one
//! (`store::signing_keys`, `resealing`).

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

/// The keys that sealed before, in the environment separated by commas: they open, and seal no more.
#[derive(Clone, Debug, Default)]
pub(crate) struct PreviousKeys(Vec<SealingKey>);

/// The key that seals, and those that only open.
#[derive(Clone, Debug)]
pub(crate) struct Sealing {
    current: SealingKey,
    previous: PreviousKeys,
}

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

impl FromStr for PreviousKeys {
    type Err = InvalidSealingKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split(',')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl fmt::Display for PreviousKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "" } else { "***" })
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
        "a stored key was sealed with another key: add the KEY_ENCRYPTION_KEY that it was sealed with, or what the file \
         beside the database held, to KEY_ENCRYPTION_KEY_PREVIOUS"
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

    fn seal(&self, name: &str, secret: &[u8]) -> Result<String, SealError> {
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

    fn open(&self, name: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
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

impl Sealing {
    pub(crate) fn new(current: SealingKey, previous: PreviousKeys) -> Self {
        Self { current, previous }
    }

    /// Whether something may be sealed by another key than the one that seals.
    pub(crate) fn is_changing(&self) -> bool {
        !self.previous.0.is_empty()
    }

    /// Seals `secret`, bound to its `name`: put under another name it does not open.
    pub(crate) fn seal(&self, name: &str, secret: &[u8]) -> Result<String, SealError> {
        self.current.seal(name, secret)
    }

    /// Opens what was sealed under this `name`.
    pub(crate) fn open(&self, name: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let mut opened = self.current.open(name, sealed);
        for key in &self.previous.0 {
            if !matches!(opened, Err(SealError::OtherKey)) {
                break;
            }
            opened = key.open(name, sealed);
        }
        opened
    }

    /// The same secret sealed by the key that seals; `None` if it is already.
    pub(crate) fn seal_again(&self, name: &str, sealed: &str) -> Result<Option<String>, SealError> {
        match self.current.open(name, sealed) {
            Ok(_) => Ok(None),
            Err(SealError::OtherKey) => self.seal(name, &self.open(name, sealed)?).map(Some),
            Err(error) => Err(error),
        }
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
    fn what_a_previous_key_sealed_opens_and_is_sealed_again_by_the_current_one() {
        let key = |byte| BASE64_STANDARD.encode([byte; 32]);
        let sealing = |current: u8, previous: &str| {
            let previous = match previous {
                "" => PreviousKeys::default(),
                keys => keys.parse().unwrap(),
            };
            Sealing::new(key(current).parse().unwrap(), previous)
        };
        let before = sealing(1, "");
        let sealed = before.seal("k1", b"secret").unwrap();
        assert!(before.seal_again("k1", &sealed).unwrap().is_none());
        let during = sealing(3, &format!("{}, {}", key(2), key(1)));
        assert!(during.is_changing() && !before.is_changing());
        assert_eq!(during.open("k1", &sealed).unwrap().as_slice(), b"secret");
        assert!(matches!(
            during.seal_again("k2", &sealed),
            Err(SealError::OtherKey)
        ));
        let again = during.seal_again("k1", &sealed).unwrap().unwrap();
        let after = sealing(3, "");
        assert_eq!(after.open("k1", &again).unwrap().as_slice(), b"secret");
        assert!(matches!(after.open("k1", &sealed), Err(SealError::OtherKey)));
    }

    #[test]
    fn previous_keys_are_all_good_and_are_not_shown() {
        let key = BASE64_STANDARD.encode([7; 32]);
        let keys: PreviousKeys = format!("{key},{key}").parse().unwrap();
        assert_eq!(keys.to_string(), "***");
        assert!(!format!("{keys:?}").contains(&key));
        for text in [
            format!("{key},"),
            format!("{key},c2hvcnQ="),
            format!("{key} {key}"),
        ] {
            assert!(text.parse::<PreviousKeys>().is_err(), "{text}");
        }
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
