//! The auth service's own settings.

use std::{fmt, num::NonZeroU16, str::FromStr, thread};

use argon2::Params;
use tracewell_kit::config::{Env, Flag};

use crate::{
    mail::MailConfig,
    memory_limit::memory_limit,
    passkey::{PasskeyOrigins, RelyingPartyId},
    sealing::{PreviousKeys, SealingKey},
};

/// What only the auth service is configured with.
#[derive(Debug, Clone)]
pub struct Config {
    /// How many passwords are hashed at the same time; each takes one core and the memory of `hash_cost`.
    pub(crate) hash_concurrency: NonZeroU16,
    /// What one hash costs.
    pub(crate) hash_cost: HashCost,
    /// The key that seals what is stored and must stay secret; without it, one in a file beside the database.
    pub(crate) key_encryption_key: Option<SealingKey>,
    /// Keys that open what they sealed, which is then sealed again by the one above.
    pub(crate) previous_keys: PreviousKeys,
    /// How mail is sent.
    pub(crate) mail: MailConfig,
    /// Whether the outbox can be read at `/debug/mail`, beside the metrics. Apart from `DEBUG_ENDPOINTS`: the mails have
    /// tokens in them, and who reads one has the account.
    pub(crate) debug_mail: bool,
    /// The domain that passkeys are made for.
    pub(crate) passkey_rp_id: RelyingPartyId,
    /// The origins in it whose pages may use them.
    pub(crate) passkey_origins: PasskeyOrigins,
}

/// What one password hash costs: `m=<KiB>,t=<passes>`, as a PHC string writes it. The lanes are always 1: a sign-in
/// takes one core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HashCost(Params);

impl HashCost {
    pub(crate) fn params(&self) -> Params {
        self.0.clone()
    }
}

impl Default for HashCost {
    fn default() -> Self {
        Self(Params::DEFAULT)
    }
}

/// The text is no cost that argon2 can have.
#[derive(Debug, thiserror::Error)]
#[error("not m=<KiB>,t=<passes>")]
pub(crate) struct InvalidHashCost;

impl FromStr for HashCost {
    type Err = InvalidHashCost;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (memory, passes) = text
            .strip_prefix("m=")
            .and_then(|rest| rest.split_once(",t="))
            .ok_or(InvalidHashCost)?;
        let number = |text: &str| text.parse::<u32>().map_err(|_| InvalidHashCost);
        let (memory, passes) = (number(memory)?, number(passes)?);
        if memory > MOST_MEMORY {
            return Err(InvalidHashCost);
        }
        Params::new(memory, passes, 1, None)
            .map(Self)
            .map_err(|_| InvalidHashCost)
    }
}

impl fmt::Display for HashCost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m={},t={}", self.0.m_cost(), self.0.t_cost())
    }
}

/// 1 GiB: more would take seconds for each sign-in, and is a slip of a unit.
const MOST_MEMORY: u32 = 1024 * 1024;

/// As many hashes at a time as there are cores, but no more than fit into half of the memory: on a large node a
/// container's limit is reached long before its cores are.
fn hash_slots(cores: NonZeroU16, memory_limit: Option<u64>, cost: &HashCost) -> NonZeroU16 {
    let hash = u64::from(cost.0.m_cost()) * 1024;
    let fitting = memory_limit.map_or(u64::MAX, |limit| limit / 2 / hash);
    let fitting = u16::try_from(fitting).unwrap_or(u16::MAX);
    NonZeroU16::new(fitting).map_or(NonZeroU16::MIN, |fitting| fitting.min(cores))
}

impl Config {
    pub(crate) fn read(env: &mut Env) -> Self {
        let cores = thread::available_parallelism()
            .ok()
            .and_then(|n| NonZeroU16::try_from(n).ok())
            .unwrap_or(NonZeroU16::MIN);
        let hash_cost = env.or(
            "HASH_COST",
            HashCost::default(),
            "m=<KiB, 8 to 1048576>,t=<passes, at least 1>, such as m=19456,t=2",
        );
        let slots = hash_slots(cores, memory_limit(), &hash_cost);
        Self {
            hash_concurrency: env.or("HASH_CONCURRENCY", slots, "a number from 1 to 65535"),
            hash_cost,
            key_encryption_key: env.optional("KEY_ENCRYPTION_KEY", "32 bytes in base64"),
            previous_keys: env.or(
                "KEY_ENCRYPTION_KEY_PREVIOUS",
                PreviousKeys::default(),
                "earlier values of KEY_ENCRYPTION_KEY, each 32 bytes in base64, separated by commas",
            ),
            mail: MailConfig::read(env),
            debug_mail: env.or("DEBUG_MAIL", Flag(false), Flag::EXPECTED).0,
            passkey_rp_id: env.or(
                "PASSKEY_RP_ID",
                RelyingPartyId::localhost(),
                "the domain that passkeys are made for, such as example.com",
            ),
            passkey_origins: env.or(
                "PASSKEY_ORIGINS",
                RelyingPartyId::localhost_origins(),
                "origins in that domain such as https://app.example.com, separated by commas",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_not_shown_and_a_bad_one_is_named_without_its_value() {
        let key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
        let read = |previous: String| {
            let mut env = Env::from_pairs([
                ("KEY_ENCRYPTION_KEY", key),
                ("KEY_ENCRYPTION_KEY_PREVIOUS", &previous),
            ]);
            Config::read(&mut env);
            env.finish()
        };
        let shown: Vec<_> = read(format!("{key},{key}"))
            .unwrap()
            .into_iter()
            .filter(|setting| setting.name.starts_with("KEY_ENCRYPTION_KEY"))
            .map(|setting| setting.value.unwrap())
            .collect();
        assert_eq!(shown, ["***", "***"]);
        assert_eq!(
            read(format!("{key},hunter2")).unwrap_err().to_string(),
            "invalid configuration\n  KEY_ENCRYPTION_KEY_PREVIOUS: expected earlier values of KEY_ENCRYPTION_KEY, each 32 \
             bytes in base64, separated by commas"
        );
    }

    #[test]
    fn hashes_at_a_time_fit_into_the_memory() {
        let slots = |cores, limit: Option<u64>| {
            let cores = NonZeroU16::new(cores).unwrap();
            hash_slots(
                cores,
                limit.map(|mebibytes| mebibytes << 20),
                &HashCost::default(),
            )
            .get()
        };
        assert_eq!(slots(2, Some(256)), 2);
        assert_eq!(slots(64, Some(256)), 6);
        assert_eq!(slots(64, None), 64);
        assert_eq!(slots(4, Some(16)), 1);
    }
}
