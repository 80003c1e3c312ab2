//! A report as a tree.

use super::{ConditionReport, Place, PlatformReport, PodReport, WorkloadReport};
use crate::{
    paint::{BAD, BOLD, DIM, GOOD, WARN, paint},
    tree::Node,
};

impl PlatformReport {
    /// The tree.
    pub fn draw(&self) -> String {
        let (style, word) = if self.ready {
            (GOOD, "ready")
        } else {
            (BAD, "not ready")
        };
        let head = format!(
            "{} {} ({}): {}",
            paint(BOLD, format!("{}/{}", self.namespace, self.name)),
            paint(style, word),
            self.reason,
            self.message
        );
        let mut children: Vec<_> = self
            .services
            .iter()
            .chain(&self.parts)
            .map(WorkloadReport::node)
            .collect();
        if !self.conditions.is_empty() {
            let conditions = self.conditions.iter().map(ConditionReport::node);
            children.push(Node::new(paint(BOLD, "conditions"), conditions.collect()));
        }
        let width = self
            .places
            .iter()
            .map(|place| place.name.len())
            .max()
            .unwrap_or(0);
        let places = self.places.iter().map(|place| place.node(width));
        children.push(Node::new(paint(BOLD, "where"), places.collect()));
        Node::new(head, children).draw()
    }
}

impl WorkloadReport {
    fn node(&self) -> Node {
        let mut words = vec![paint(BOLD, &self.name)];
        if let Some(status) = &self.status {
            let all = status.ready_replicas >= status.desired_replicas;
            let count = format!("{}/{}", status.ready_replicas, status.desired_replicas);
            words.push(paint(if all { GOOD } else { BAD }, count));
            words.push(paint(DIM, &status.image));
            words.extend(match status.traces_seen {
                Some(true) => Some(paint(DIM, "traces arrive")),
                Some(false) => Some(paint(BAD, "traces do not arrive")),
                None => None,
            });
            words.extend(
                status
                    .migration
                    .iter()
                    .map(|migration| paint(DIM, format!("migration {:?}", migration.state))),
            );
        }
        Node::new(words.join("  "), self.pods.iter().map(PodReport::node).collect())
    }
}

impl PodReport {
    fn node(&self) -> Node {
        let is_whole = self.ready_containers == self.containers;
        let style = match (is_whole, &self.cause) {
            (true, _) => GOOD,
            (false, None) => WARN,
            (false, Some(_)) => BAD,
        };
        let text = format!(
            "{}  {}  {}",
            self.name,
            paint(
                style,
                format!("{} {}/{}", self.phase, self.ready_containers, self.containers)
            ),
            paint(
                DIM,
                format!("restarts {}  age {}", self.restarts, age(self.age_seconds))
            ),
        );
        let cause = self.cause.iter().flat_map(|cause| {
            let what = format!("{}: {}", paint(BAD, &cause.reason), cause.message);
            [Node::leaf(what), Node::leaf(format!("fix: {}", cause.fix))]
        });
        Node::new(text, cause.collect())
    }
}

impl ConditionReport {
    fn node(&self) -> Node {
        let (style, mark) = match (self.status.as_str(), &self.fix) {
            ("True", _) => (GOOD, "✓"),
            (_, Some(_)) => (BAD, "✗"),
            _ => (DIM, "–"),
        };
        let text = format!("{} {}  {}", paint(style, mark), self.type_, self.message);
        let fix = self.fix.iter().map(|fix| Node::leaf(format!("fix: {fix}")));
        Node::new(text, fix.collect())
    }
}

impl Place {
    fn node(&self, width: usize) -> Node {
        let url = self.url.iter().cloned();
        let note = self.note.iter().map(|note| paint(DIM, note));
        let words: Vec<_> = url.chain(note).collect();
        Node::leaf(format!("{:<width$}  {}", self.name, words.join("  ")))
    }
}

/// The two largest units, as kubectl has them: `3d4h`.
fn age(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m"),
        (0, _, _) => format!("{hours}h{}m", minutes % 60),
        _ => format!("{days}d{}h", hours % 24),
    }
}
