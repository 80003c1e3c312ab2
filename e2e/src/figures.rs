//! What a bench prints: what was measured, and what it should have been.

use std::fmt::Display;

/// One row of the table.
#[derive(Debug)]
pub struct Figure {
    what: String,
    measured: String,
    target: String,
    holds: bool,
}

impl Figure {
    /// Whether it `holds` is for the caller to say.
    pub fn new(
        what: impl Into<String>,
        measured: impl Display,
        target: impl Into<String>,
        holds: bool,
    ) -> Self {
        Self {
            what: what.into(),
            measured: measured.to_string(),
            target: target.into(),
            holds,
        }
    }

    /// `value` must not exceed `limit`.
    pub fn at_most(
        what: impl Into<String>,
        value: f64,
        limit: f64,
        target: impl Into<String>,
        measured: impl Display,
    ) -> Self {
        Self::new(what, measured, target, value <= limit)
    }

    /// For reading: it has no target.
    pub fn plain(what: impl Into<String>, measured: impl Display) -> Self {
        Self::new(what, measured, "", true)
    }

    /// Whether it is as it should be.
    pub fn holds(&self) -> bool {
        self.holds
    }
}

/// Prints the table, the missed ones marked.
pub fn print(figures: &[Figure]) {
    println!("{:<66} {:>22}  {:<12}", "figure", "measured", "target");
    for Figure {
        what,
        measured,
        target,
        holds,
    } in figures
    {
        let verdict = if *holds { "" } else { "MISSED" };
        println!("{what:<66} {measured:>22}  {target:<12} {verdict}");
    }
}
