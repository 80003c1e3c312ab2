//! Pages of messages, cut by `seq`: a cursor stays right while messages keep coming.

use super::Message;

/// Which messages of a conversation are asked for: those between two places, both exclusive, from one
/// end on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) after_seq: i64,
    pub(crate) before_seq: i64,
    pub(crate) from: End,
}

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Oldest,
    Newest,
}

impl Range {
    /// The range that a client asks for. Who names only where to stop reads backwards from there.
    pub(crate) fn new(after_seq: Option<i64>, before_seq: Option<i64>) -> Self {
        let from = if after_seq.is_none() && before_seq.is_some() {
            End::Newest
        } else {
            End::Oldest
        };
        Self {
            after_seq: after_seq.unwrap_or(0),
            before_seq: before_seq.unwrap_or(i64::MAX),
            from,
        }
    }
}

/// Some messages in order, and how to go on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) messages: Vec<Message>,
    /// `after_seq` of the next page, if there is one and this one began with the oldest.
    pub(crate) next_after_seq: Option<i64>,
    /// `before_seq` of the next page, if there is one and this one began with the newest.
    pub(crate) next_before_seq: Option<i64>,
}

impl Page {
    /// The page of at most `limit` messages out of `found`: up to one more than `limit`, those at the
    /// page's beginning first. The one too many says that there is a further page.
    pub(crate) fn cut(from: End, limit: usize, mut found: Vec<Message>) -> Self {
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().map(|message| message.seq).filter(|_| more);
        match from {
            End::Oldest => Self {
                messages: found,
                next_after_seq: next,
                next_before_seq: None,
            },
            End::Newest => {
                found.reverse();
                Self {
                    messages: found,
                    next_after_seq: None,
                    next_before_seq: next,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn page(from: End, seqs: &[i64]) -> (Vec<i64>, Option<i64>, Option<i64>) {
        let message = |&seq: &i64| Message {
            id: format!("msg_{seq}"),
            conversation_id: "cnv_1".into(),
            seq,
            sender_id: "usr_1".into(),
            client_msg_id: seq.to_string(),
            body: "hi".into(),
            created_at: Timestamp::UNIX_EPOCH,
        };
        let page = Page::cut(from, 2, seqs.iter().map(message).collect());
        (
            page.messages.iter().map(|message| message.seq).collect(),
            page.next_after_seq,
            page.next_before_seq,
        )
    }

    #[test]
    fn a_page_from_the_oldest_goes_on_after_its_last() {
        assert_eq!(page(End::Oldest, &[5, 6, 7]), (vec![5, 6], Some(6), None));
    }

    #[test]
    fn a_page_from_the_newest_is_in_order_and_goes_on_before_its_first() {
        assert_eq!(page(End::Newest, &[7, 6, 5]), (vec![6, 7], None, Some(6)));
    }

    #[test]
    fn the_last_page_says_so() {
        assert_eq!(page(End::Oldest, &[5, 6]), (vec![5, 6], None, None));
        assert_eq!(page(End::Newest, &[]), (vec![], None, None));
    }

    #[test]
    fn only_a_lone_before_seq_reads_backwards() {
        assert_eq!(
            Range::new(None, Some(9)),
            Range {
                after_seq: 0,
                before_seq: 9,
                from: End::Newest
            }
        );
        assert_eq!(
            Range::new(Some(3), Some(9)),
            Range {
                after_seq: 3,
                before_seq: 9,
                from: End::Oldest
            }
        );
        assert_eq!(
            Range::new(None, None),
            Range {
                after_seq: 0,
                before_seq: i64::MAX,
                from: End::Oldest
            }
        );
    }
}
