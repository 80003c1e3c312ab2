//! The law by which traces are chosen.

use opentelemetry::TraceId;

/// A share of all traces. A trace is in it or not, whichever process asks; two kinds of share are independent
/// of each other and of the OpenTelemetry ratio sampler, which looks at the id's last bits themselves.
///
/// Other services agree only as long as this law stays as it is: a change of it is a change for users.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    rate: f64,
    salt: u64,
}

impl Share {
    /// The traces that become transactions, `rate` of all (0 to 1).
    pub(super) fn of_transactions(rate: f64) -> Self {
        Self { rate, salt: 1 }
    }

    /// The traces that are profiled if they become transactions, `rate` of those (0 to 1).
    pub(super) fn of_profiles(rate: f64) -> Self {
        Self { rate, salt: 2 }
    }

    pub(super) fn contains(self, trace: TraceId) -> bool {
        let bytes = trace.to_bytes();
        let (halves, _) = bytes.as_chunks();
        let hash = halves
            .iter()
            .fold(mix(self.salt), |hash, half| mix(hash ^ u64::from_be_bytes(*half)));
        let [a, b, c, d, ..] = hash.to_be_bytes();
        f64::from(u32::from_be_bytes([a, b, c, d])) < self.rate * TWO_POW_32
    }
}

const TWO_POW_32: f64 = 4_294_967_296.0;

/// Makes every bit depend on every other: ids that are not random must be chosen as evenly as those that are.
/// Source: the 64-bit finaliser of `MurmurHash3` (Austin Appleby, public domain).
fn mix(mut bits: u64) -> u64 {
    bits ^= bits >> 33;
    bits = bits.wrapping_mul(0xff51_afd7_ed55_8ccd);
    bits ^= bits >> 33;
    bits = bits.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    bits ^ (bits >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `ids` are in the share.
    fn chosen(share: Share, ids: impl Iterator<Item = u128>) -> usize {
        ids.filter(|id| share.contains(TraceId::from(*id))).count()
    }

    #[test]
    fn the_law_is_the_same_in_every_process_and_version() {
        // Computed apart from this code, by a script that follows its words.
        let ids = (1_u128..).map(|step| step.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
        let first: Vec<_> = (1..)
            .zip(ids)
            .filter(|(_, id)| Share::of_transactions(0.1).contains(TraceId::from(*id)))
            .map(|(place, _)| place)
            .take(8)
            .collect();
        assert_eq!(first, [6_u32, 12, 47, 56, 58, 59, 71, 95]);
    }

    #[test]
    fn the_share_is_as_large_as_the_rate_also_for_ids_that_are_not_random() {
        for rate in [0.01, 0.1, 0.5, 0.9] {
            for shift in [0, 40, 64, 100] {
                let share = Share::of_transactions(rate);
                let count = chosen(share, (1..=20_000).map(|id: u128| id << shift));
                let expected = rate * 20_000.0;
                let deviation = (20_000.0 * rate * (1.0 - rate)).sqrt();
                assert!(
                    (f64::from(u32::try_from(count).unwrap()) - expected).abs() < 5.0 * deviation,
                    "{count} of 20000 ids << {shift} at rate {rate}"
                );
            }
        }
    }

    #[test]
    fn rates_0_and_1_are_none_and_all() {
        assert_eq!(chosen(Share::of_transactions(0.0), 1..=20_000), 0);
        assert_eq!(chosen(Share::of_transactions(1.0), 1..=20_000), 20_000);
    }

    #[test]
    fn a_larger_rate_keeps_what_a_smaller_one_has() {
        let (small, large) = (Share::of_transactions(0.1), Share::of_transactions(0.2));
        assert!(
            (1..=20_000_u128)
                .map(TraceId::from)
                .all(|id| !small.contains(id) || large.contains(id))
        );
    }

    #[test]
    fn profiles_are_a_share_of_the_transactions() {
        let (transactions, profiles) = (Share::of_transactions(0.1), Share::of_profiles(0.1));
        let both = (1..=200_000_u128)
            .map(TraceId::from)
            .filter(|id| transactions.contains(*id) && profiles.contains(*id))
            .count();
        assert!((1750..2250).contains(&both), "{both} of 200000, not about 2000");
    }
}
