//! A check, and how it came out.

use serde::Serialize;

use crate::paint::{BAD, DIM, GOOD, paint};

/// One thing that has to work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What is checked.
    pub check: &'static str,
    /// Of what: a service, or the Platform where it is empty.
    pub subject: String,
    /// How it is.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// How something is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "result")]
pub enum Verdict {
    /// It works.
    Ok {
        /// What was seen.
        detail: String,
    },
    /// It does not.
    Failed {
        /// What was seen instead.
        detail: String,
        /// How to mend it.
        fix: String,
    },
    /// It was not asked for, or nobody could be asked.
    Skipped {
        /// Why.
        detail: String,
    },
}

pub(super) fn ok(detail: impl Into<String>) -> Verdict {
    Verdict::Ok {
        detail: detail.into(),
    }
}

pub(super) fn failed(detail: impl Into<String>, fix: impl Into<String>) -> Verdict {
    Verdict::Failed {
        detail: detail.into(),
        fix: fix.into(),
    }
}

pub(super) fn skipped(detail: impl Into<String>) -> Verdict {
    Verdict::Skipped {
        detail: detail.into(),
    }
}

impl Check {
    /// A line, and below a failure another one with its fix.
    pub(super) fn draw(&self) -> String {
        let (style, word, detail) = match &self.verdict {
            Verdict::Ok { detail } => (GOOD, "ok", detail),
            Verdict::Failed { detail, .. } => (BAD, "failed", detail),
            Verdict::Skipped { detail } => (DIM, "-", detail),
        };
        let what = format!("{} {}", self.check, self.subject);
        let line = format!("{}  {what:<24}  {detail}\n", paint(style, format!("{word:<6}")));
        match &self.verdict {
            Verdict::Failed { fix, .. } => format!("{line}        fix: {fix}\n"),
            _ => line,
        }
    }
}
