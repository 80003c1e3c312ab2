//! Kubernetes quantities, as far as they have to be compared: the API server writes `1000m` as `1`.

/// Multiples and fractions of one, in billionths.
const SUFFIXES: &[(&str, i128)] = &[
    ("Ki", 1_000_000_000 << 10),
    ("Mi", 1_000_000_000 << 20),
    ("Gi", 1_000_000_000 << 30),
    ("Ti", 1_000_000_000 << 40),
    ("Pi", 1_000_000_000 << 50),
    ("Ei", 1_000_000_000 << 60),
    ("n", 1),
    ("u", 1_000),
    ("m", 1_000_000),
    ("k", 1_000_000_000_000),
    ("M", 1_000_000_000_000_000),
    ("G", 1_000_000_000_000_000_000),
    ("T", 1_000_000_000_000_000_000_000),
    ("P", 1_000_000_000_000_000_000_000_000),
    ("E", 1_000_000_000_000_000_000_000_000_000),
    ("", 1_000_000_000),
];

/// Value of a quantity in billionths. None if it is not one, or in the notation with an exponent.
///
/// Source of the notation: `k8s.io/apimachinery/pkg/api/resource`, `Quantity`.
pub fn parse_quantity(text: &str) -> Option<i128> {
    let (number, unit) = SUFFIXES
        .iter()
        .find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, *unit)))?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let scaled: i128 = format!("{whole}{fraction}").parse().ok()?;
    let divisor = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    Some(scaled.checked_mul(unit)? / divisor)
}

#[cfg(test)]
mod tests {
    use super::parse_quantity;

    #[test]
    fn equal_amounts_are_equal_however_they_are_written() {
        for (one, other) in [
            ("1", "1000m"),
            ("0.5", "500m"),
            ("1Gi", "1024Mi"),
            ("1k", "1000"),
            ("1.5Gi", "1536Mi"),
        ] {
            assert_eq!(parse_quantity(one), parse_quantity(other), "{one} {other}");
            assert!(parse_quantity(one).is_some());
        }
        assert!(parse_quantity("1Mi") > parse_quantity("1M"));
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for bad in ["", "m", "a", "1.2.3", "-1", "1e3", "1 Gi", ".5"] {
            assert_eq!(parse_quantity(bad), None, "{bad}");
        }
    }
}
