//! A plan as a person reads it.

use platform_operator::diff::explain_field;

use super::{Action, Change, Effect, Plan};
use crate::paint::{BAD, DIM, GOOD, WARN, paint};

impl Effect {
    const fn explain(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Roll => "restart one after another, each once its successor serves",
            Self::Restart => {
                "restart, away meanwhile: they end before their successors start, and stay away where these cannot"
            }
            Self::Scale => "change in number",
            Self::End => "end",
        }
    }
}

impl Plan {
    /// The plan for a person: an object per paragraph, then a line that counts.
    pub fn draw(&self) -> String {
        let paragraphs: String = self.changes.iter().map(Change::draw).collect();
        let count = |action| {
            self.changes
                .iter()
                .filter(|change| change.action == action)
                .count()
        };
        let restarts = self.changes.iter().filter_map(|change| change.pods.as_ref());
        let restarted: usize = restarts
            .filter(|pods| matches!(pods.effect, Effect::Roll | Effect::Restart | Effect::End))
            .map(|pods| pods.names.len())
            .sum();
        let at_risk = self
            .changes
            .iter()
            .filter(|change| !change.data.is_empty())
            .count();
        format!(
            "{paragraphs}{} to create, {} to update, {} to delete, {} unchanged; pods that restart or end: {restarted}; {}\n",
            count(Action::Create),
            count(Action::Update),
            count(Action::Delete),
            self.unchanged,
            match at_risk {
                0 => "no data is concerned".to_owned(),
                objects => paint(WARN, format!("{objects} changes concern data")),
            },
        )
    }
}

impl Change {
    fn draw(&self) -> String {
        let (style, sign) = match self.action {
            Action::Create => (GOOD, '+'),
            Action::Update => (WARN, '~'),
            Action::Delete => (BAD, '-'),
        };
        let head = format!("{sign} {} {}/{}", self.kind, self.namespace, self.name);
        let fields = self.fields.iter().map(|field| paint_field(&explain_field(field)));
        let pods = self.pods.iter().map(|pods| {
            let names: Vec<_> = pods.names.iter().map(String::as_str).collect();
            let what = pods.effect.explain();
            if names.is_empty() {
                format!("    pods {what}\n")
            } else {
                format!("    pods {what}: {}\n", names.join(", "))
            }
        });
        let waits = self.waits.iter().map(|cause| format!("    waits: {cause}\n"));
        let data = self
            .data
            .iter()
            .map(|sentence| format!("    {} {sentence}\n", paint(BAD, "data:")));
        let head = format!("{}: {}\n", paint(style, head), self.why);
        std::iter::once(head)
            .chain(fields)
            .chain(pods)
            .chain(waits)
            .chain(data)
            .collect()
    }
}

fn paint_field(text: &str) -> String {
    let paint_line = |line: &str| {
        let style = match line.trim_start().get(..1) {
            Some("+") => GOOD,
            Some("-") => BAD,
            _ => DIM,
        };
        paint(style, line) + "\n"
    };
    text.lines().map(paint_line).collect()
}
