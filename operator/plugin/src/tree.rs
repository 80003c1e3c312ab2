//! A tree as lines.

/// A line with the lines below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    text: String,
    children: Vec<Self>,
}

impl Node {
    /// A line with others below it.
    pub fn new(text: impl Into<String>, children: Vec<Self>) -> Self {
        Self {
            text: text.into(),
            children,
        }
    }

    /// A line with nothing below it.
    pub fn leaf(text: impl Into<String>) -> Self {
        Self::new(text, Vec::new())
    }

    /// The whole tree, each line with its end.
    pub fn draw(&self) -> String {
        let mut lines = format!("{}\n", self.text);
        self.draw_children("", &mut lines);
        lines
    }

    fn draw_children(&self, indent: &str, lines: &mut String) {
        for (position, child) in self.children.iter().enumerate() {
            let is_last = position + 1 == self.children.len();
            let (branch, below) = if is_last {
                ("└─ ", "   ")
            } else {
                ("├─ ", "│  ")
            };
            lines.extend([indent, branch, &child.text, "\n"]);
            child.draw_children(&format!("{indent}{below}"), lines);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_end_at_the_last_child() {
        let tree = Node::new(
            "a",
            vec![
                Node::new("b", vec![Node::leaf("c")]),
                Node::new("d", vec![Node::leaf("e"), Node::leaf("f")]),
            ],
        );
        assert_eq!(tree.draw(), "a\n├─ b\n│  └─ c\n└─ d\n   ├─ e\n   └─ f\n");
    }
}
