//! What a reason means and what to do about it, as the operator's own table says.

use platform_core::{api::Condition, reason::Reason};

/// The reason with this word; None for one of another version.
fn reason(word: &str) -> Option<Reason> {
    Reason::ALL.iter().copied().find(|reason| reason.as_str() == word)
}

/// What the reason means, and what to do about it.
fn meaning(word: &str) -> &'static str {
    reason(word).map_or(
        "This reason is of another version of the operator; its docs/reasons.md explains it.",
        Reason::meaning,
    )
}

/// What to do about a condition; None if there is nothing to do.
pub fn fix(condition: &Condition) -> Option<&'static str> {
    match reason(&condition.reason) {
        _ if condition.status != "False" => None,
        // What the spec asks for is nothing to mend.
        Some(Reason::TracingDisabled | Reason::ErrorTrackingDisabled) => None,
        Some(Reason::Progressing) => Some("Wait a moment: work is under way."),
        _ => Some(meaning(&condition.reason)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_wrong_has_a_fix() {
        let fix = |status: &str, reason: &str| {
            let condition = json!({"type": "X", "status": status, "reason": reason, "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z"});
            fix(&serde_json::from_value(condition).unwrap())
        };
        assert_eq!(
            fix("False", "ImagePullFailed"),
            Some(Reason::ImagePullFailed.meaning())
        );
        assert!(fix("False", "OfTomorrow").unwrap().contains("another version"));
        assert!(fix("False", "Progressing").unwrap().starts_with("Wait"));
        assert_eq!(fix("False", "ErrorTrackingDisabled"), None);
        assert_eq!(fix("True", "AllComponentsReady"), None);
        assert_eq!(fix("Unknown", "NotAskedYet"), None);
    }
}
