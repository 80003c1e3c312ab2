//! Whether the time of an answer tells if an address has an account.
//!
//! Known and unknown addresses are tried in turn. For the differences within pairs a permutation test asks whether they
//! could as well have the other sign. The machine is noisy, so the test first shows what it would see: a fifth of a
//! request, added to one side, must be found; as long as it is not, more pairs are taken.

use std::time::{Duration, Instant};

use http::Method;
use rstest::rstest;
use serde_json::json;
use tracewell_kit::{
    db::Engine::{self, Postgres, Sqlite},
    testing::{Running, Setup},
};

use crate::{sign_up, start};

/// Chance of a false alarm.
const SIGNIFICANCE: f64 = 0.001;
/// The share of a request's time that must be found.
const FOUND: f64 = 0.2;
const PERMUTATIONS: usize = 4000;
const BATCH: usize = 120;
const MOST_BATCHES: usize = 8;
/// An account may fail 50 times before it is delayed.
const TRIES_PER_ACCOUNT: usize = 40;

/// A small generator is enough here, and the same numbers come again.
struct Coins(u64);

impl Coins {
    fn toss(&mut self) -> bool {
        // SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators).
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) & 1 == 1
    }
}

fn median(values: &mut [f64]) -> f64 {
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}

/// How likely so large a median of the differences is if their signs are chance.
fn p_value(differences: &[f64]) -> f64 {
    let mut coins = Coins(7);
    let mut scratch = differences.to_vec();
    let seen = median(&mut scratch).abs();
    let as_large = (0..PERMUTATIONS)
        .filter(|_| {
            for (slot, difference) in scratch.iter_mut().zip(differences) {
                *slot = if coins.toss() { *difference } else { -difference };
            }
            median(&mut scratch).abs() >= seen
        })
        .count();
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let share = (as_large + 1) as f64 / (PERMUTATIONS + 1) as f64;
    share
}

/// Two endpoints that anybody may ask about an address.
#[derive(Debug, Clone, Copy)]
enum Asked {
    SignIn,
    SignUp,
}

impl Asked {
    /// An address without an account: one that somebody signs up with has one from then on.
    fn unknown(self, pair: usize) -> String {
        match self {
            Self::SignIn => format!("other{}@example.com", pair / TRIES_PER_ACCOUNT),
            Self::SignUp => format!("other{pair}@example.com"),
        }
    }

    async fn attempt(self, auth: &Running, email: &str, number: usize) -> Setup<Duration> {
        let (path, status) = match self {
            Self::SignIn => ("/v1/signin", 401),
            Self::SignUp => ("/v1/signup", 202),
        };
        // From everywhere: one address would soon be delayed.
        let address = format!("10.{}.{}.{}", number / 65536, number / 256 % 256, number % 256);
        let request = auth
            .request(Method::POST, path, "")
            .header("x-forwarded-for", address)
            .json(&json!({"email": email, "password": "not the password"}));
        let started = Instant::now();
        let answer = auth.send(request).await?;
        let took = started.elapsed();
        assert_eq!(answer.status, status, "{}", answer.text);
        Ok(took)
    }
}

#[rstest]
#[tokio::test]
async fn the_time_of_an_answer_does_not_tell_who_has_an_account(
    #[values(Asked::SignIn, Asked::SignUp)] asked: Asked,
    #[values(Sqlite, Postgres)] engine: Engine,
) -> Setup<()> {
    let variables = [("HASH_COST", "m=4096,t=1"), ("TRUSTED_PROXIES", "1")];
    let auth = start(engine, &variables).await?;
    let accounts = MOST_BATCHES * BATCH / TRIES_PER_ACCOUNT + 1;
    for number in 0..accounts {
        sign_up(&auth, &format!("known{number}@example.com")).await?;
    }
    // Whoever is asked first pays for caches that are still cold.
    asked.attempt(&auth, "known0@example.com", 1_000_000).await?;
    asked.attempt(&auth, "first@example.com", 1_000_001).await?;

    let (mut known, mut differences) = (Vec::new(), Vec::new());
    for batch in 1..=MOST_BATCHES {
        for _ in 0..BATCH {
            let pair = differences.len();
            let one = format!("known{}@example.com", pair / TRIES_PER_ACCOUNT);
            let other = asked.unknown(pair);
            // The order changes, so that what the first of a pair pays is paid by both sides.
            let (of_known, of_unknown) = if pair % 2 == 0 {
                let first = asked.attempt(&auth, &one, 2 * pair).await?;
                (first, asked.attempt(&auth, &other, 2 * pair + 1).await?)
            } else {
                let first = asked.attempt(&auth, &other, 2 * pair).await?;
                (asked.attempt(&auth, &one, 2 * pair + 1).await?, first)
            };
            known.push(of_known.as_secs_f64());
            differences.push(of_known.as_secs_f64() - of_unknown.as_secs_f64());
        }
        let typical = median(&mut known.clone());
        let planted: Vec<_> = differences
            .iter()
            .map(|difference| difference + FOUND * typical)
            .collect();
        let (found, seen) = (p_value(&planted), p_value(&differences));
        let said = format!(
            "after {} pairs on {engine:?}: {asked:?} takes {:.2} ms, known minus unknown is {:.3} ms (p = {seen:.4}); a planted \
             difference of {:.2} ms has p = {found:.4}",
            differences.len(),
            typical * 1e3,
            median(&mut differences.clone()) * 1e3,
            FOUND * typical * 1e3
        );
        if found < SIGNIFICANCE {
            assert!(seen >= SIGNIFICANCE, "{said}");
            println!("{said}");
            return Ok(());
        }
        assert!(batch < MOST_BATCHES, "the machine is too noisy to tell: {said}");
    }
    Ok(())
}

#[test]
fn a_difference_is_told_from_chance() {
    let mut coins = Coins(1);
    let noise: Vec<f64> = (0..200)
        .map(|_| (0..16).map(|_| if coins.toss() { 1.0 } else { -1.0 }).sum())
        .collect();
    assert!(p_value(&noise) > 0.01);
    let shifted: Vec<_> = noise.iter().map(|value| value + 3.0).collect();
    assert!(p_value(&shifted) < SIGNIFICANCE);
}
