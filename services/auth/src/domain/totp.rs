//! Time-based one-time passwords (RFC 6238) as every authenticator app has them: HMAC-SHA-1, six digits, 30 seconds.
//!
//! Written out here and not taken from a crate, for two reasons: a code that was taken must not be taken again, which
//! needs the time step that it belongs to; and the hash is `ring`'s, as all hashes of keys are.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use ring::{
    hmac,
    rand::{SecureRandom as _, SystemRandom},
};
use zeroize::Zeroizing;

use super::Email;
use crate::opaque::NoRandomness;

/// Length of the secret, that of SHA-1's output, as RFC 4226, 4 recommends.
const SECRET_LENGTH: usize = 20;
/// Seconds that a code is good for.
const PERIOD: i64 = 30;
/// Codes of so many steps before and after the current one are taken too: clocks differ, and typing takes time
/// (RFC 6238, 5.2).
const TOLERANCE: i64 = 1;
/// One more than the largest code of six digits.
const CODES: u32 = 1_000_000;
/// Who the codes are for, in the app's list.
const ISSUER: &str = "Tracewell";

/// What the device and the service share.
pub(crate) struct TotpSecret(Zeroizing<[u8; SECRET_LENGTH]>);

impl TotpSecret {
    pub(crate) fn generate() -> Result<Self, NoRandomness> {
        let mut bytes = Zeroizing::new([0; SECRET_LENGTH]);
        SystemRandom::new()
            .fill(bytes.as_mut_slice())
            .map_err(|_| NoRandomness)?;
        Ok(Self(bytes))
    }

    /// The secret of these bytes, if they are as many as there must be.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(bytes.try_into().ok()?)))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// The secret as it is typed in.
    pub(crate) fn to_base32(&self) -> String {
        BASE32_NOPAD.encode(self.as_bytes())
    }

    /// The secret as it is scanned (Google Authenticator's key URI format). What is left out is what every app
    /// supposes.
    pub(crate) fn to_uri(&self, account: &Email) -> String {
        format!(
            "otpauth://totp/{ISSUER}:{}?secret={}&issuer={ISSUER}",
            utf8_percent_encode(account.as_str(), NON_ALPHANUMERIC),
            self.to_base32()
        )
    }

    /// The step that `code` belongs to, if it is a current one and later than `last`, the step of the last code taken.
    pub(crate) fn step_of(&self, code: &str, last: i64, now: Timestamp) -> Option<i64> {
        if code.len() != 6 || !code.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let code: u32 = code.parse().ok()?;
        let current = now.as_second().div_euclid(PERIOD);
        (current - TOLERANCE..=current + TOLERANCE).find(|step| *step > last && self.code_at(*step) == code)
    }

    /// What an app shows.
    #[cfg(test)]
    pub(crate) fn code(&self, now: Timestamp) -> String {
        format!("{:06}", self.code_at(now.as_second().div_euclid(PERIOD)))
    }

    /// RFC 4226, 5.3.
    fn code_at(&self, step: i64) -> u32 {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.as_bytes());
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let digest = tag.as_ref();
        let offset = usize::from(digest[SECRET_LENGTH - 1] & 0xf);
        let chosen = [
            digest[offset],
            digest[offset + 1],
            digest[offset + 2],
            digest[offset + 3],
        ];
        (u32::from_be_bytes(chosen) & 0x7fff_ffff) % CODES
    }
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpSecret(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> TotpSecret {
        TotpSecret::from_bytes(b"12345678901234567890").unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn codes_are_those_of_the_standard() {
        // RFC 6238, appendix B, of which we take the last six digits.
        for (second, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(
                secret().step_of(code, 0, at(second)),
                Some(second / 30),
                "{second}"
            );
        }
    }

    #[test]
    fn a_code_is_good_a_step_early_and_late_and_once() {
        let code = "005924";
        let step = 1_234_567_890 / 30;
        for (second, found) in [
            (1_234_567_890 - 60, None),
            (1_234_567_890 - 30, Some(step)),
            (1_234_567_890 + 30, Some(step)),
            (1_234_567_890 + 60, None),
        ] {
            assert_eq!(secret().step_of(code, 0, at(second)), found, "{second}");
        }
        assert_eq!(secret().step_of(code, step, at(1_234_567_890)), None);
        assert_eq!(secret().step_of(code, step - 1, at(1_234_567_890)), Some(step));
    }

    #[test]
    fn what_is_not_six_digits_is_no_code() {
        for text in ["", "5924", "+05924", "0059240", "00592４", "005 24"] {
            assert_eq!(secret().step_of(text, 0, at(1_234_567_890)), None, "{text}");
        }
    }

    #[test]
    fn an_app_is_told_the_secret_and_whose_it_is() {
        let uri = secret().to_uri(&"ada@example.com".to_owned().into());
        assert_eq!(
            uri,
            "otpauth://totp/Tracewell:ada%40example%2Ecom?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Tracewell"
        );
        assert!(TotpSecret::from_bytes(b"short").is_none());
    }
}
