//! Backup codes: what lets in who has lost the device of the second factor. Each is good once.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use data_encoding::BASE32_NOPAD;
use ring::{
    digest,
    rand::{SecureRandom as _, SystemRandom},
};
use zeroize::ZeroizeOnDrop;

use crate::opaque::NoRandomness;

/// How many are given at a time.
const COUNT: usize = 10;
/// Characters of a code without its hyphens: 80 bits, which cannot be guessed from their hash either.
const LENGTH: usize = 16;

/// A backup code in its normal form: lower case, no hyphens.
#[derive(Clone, PartialEq, Eq, ZeroizeOnDrop)]
pub(crate) struct BackupCode(String);

impl BackupCode {
    /// A set of codes for an account.
    pub(crate) fn generate_set() -> Result<Vec<Self>, NoRandomness> {
        (0..COUNT).map(|_| Self::generate()).collect()
    }

    fn generate() -> Result<Self, NoRandomness> {
        let mut bytes = [0; LENGTH * 5 / 8];
        SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandomness)?;
        Ok(Self(BASE32_NOPAD.encode(&bytes).to_lowercase()))
    }

    /// The code that somebody typed, with or without hyphens, spaces and capitals; `None` if it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let code: String = text
            .chars()
            .filter(|character| !matches!(character, '-' | ' '))
            .map(|character| character.to_ascii_lowercase())
            .collect();
        let is_code =
            code.len() == LENGTH && code.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'));
        is_code.then_some(Self(code))
    }

    /// The code as it is shown, in groups of four.
    pub(crate) fn expose(&self) -> String {
        let groups: Vec<_> = (0..LENGTH).step_by(4).map(|at| &self.0[at..at + 4]).collect();
        groups.join("-")
    }

    /// What is stored of it.
    pub(crate) fn hash(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, self.0.as_bytes()))
    }
}

impl fmt::Debug for BackupCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BackupCode(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_people_type_it() {
        let code = BackupCode::generate().unwrap();
        let shown = code.expose();
        assert_eq!((shown.len(), shown.split('-').count()), (19, 4));
        for typed in [shown.clone(), shown.to_uppercase(), shown.replace('-', " ")] {
            assert_eq!(BackupCode::parse(&typed).unwrap().hash(), code.hash(), "{typed}");
        }
        for text in ["", "123456", "aaaa-bbbb-cccc-ddd1", "aaaa-bbbb-cccc-dddd-eeee"] {
            assert!(BackupCode::parse(text).is_none(), "{text}");
        }
    }
}
