//! The conversation.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// People and the order of what they say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Conversation {
    /// Id of the conversation.
    #[schema(example = "cnv_0198f3c1a5b27c3e9d4f5a6b7c8d9e0f")]
    pub(crate) id: String,
    /// What it is about.
    #[schema(example = "Lunch")]
    pub(crate) title: String,
    /// Ids of the members, sorted; its maker is one.
    #[schema(example = json!(["usr_0198f3c1a5b27c3e9d4f5a6b7c8d9e0f"]))]
    pub(crate) member_ids: Vec<String>,
    /// `seq` of the last message; 0 before the first.
    #[schema(example = 42)]
    pub(crate) last_seq: i64,
    /// When it was made.
    pub(crate) created_at: Timestamp,
}

impl Conversation {
    /// A conversation of `owner_id` with `others`, each counted once.
    pub(crate) fn start(
        id: String,
        title: String,
        owner_id: &str,
        others: Vec<String>,
        now: Timestamp,
    ) -> Self {
        let mut member_ids = others;
        member_ids.push(owner_id.to_owned());
        member_ids.sort_unstable();
        member_ids.dedup();
        Self {
            id,
            title,
            member_ids,
            last_seq: 0,
            created_at: now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_a_member_and_nobody_is_twice() {
        let others = vec!["usr_c".to_owned(), "usr_a".to_owned(), "usr_c".to_owned()];
        let made = Conversation::start(
            "cnv_1".into(),
            "Lunch".into(),
            "usr_b",
            others.clone(),
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!(made.member_ids, ["usr_a", "usr_b", "usr_c"]);
        let made = Conversation::start(
            "cnv_1".into(),
            "Lunch".into(),
            "usr_a",
            others,
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!(made.member_ids, ["usr_a", "usr_c"]);
    }
}
