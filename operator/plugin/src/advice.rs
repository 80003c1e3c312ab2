//! What a reason means and what to do about it, as the operator's own table says.

use platform_core::reason::Reason;

/// The reason with this word; None for one of another version.
pub fn reason(word: &str) -> Option<Reason> {
    Reason::ALL.iter().copied().find(|reason| reason.as_str() == word)
}

/// What the reason means, and what to do about it.
pub fn meaning(word: &str) -> &'static str {
    reason(word).map_or(
        "This reason is of another version of the operator; its docs/reasons.md explains it.",
        Reason::meaning,
    )
}

/// Whether a condition with this reason is what the spec asks for, though it is not true.
pub fn is_chosen(word: &str) -> bool {
    matches!(
        reason(word),
        Some(Reason::TracingDisabled | Reason::ErrorTrackingDisabled)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_meaning_and_others_say_so() {
        assert_eq!(meaning("ImagePullFailed"), Reason::ImagePullFailed.meaning());
        assert!(meaning("OfTomorrow").contains("another version"));
        assert!(is_chosen("ErrorTrackingDisabled") && !is_chosen("ReferenceMissing"));
    }
}
