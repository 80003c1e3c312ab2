//! Figures with their targets, and whether each was met.

/// One line of the verdict. Without a target it is for reading.
#[derive(Debug)]
pub struct Figure {
    what: &'static str,
    measured: String,
    target: String,
    holds: bool,
}

impl Figure {
    /// A figure that is met if it `holds`; `target` says in words what it is held against.
    pub fn against(what: &'static str, measured: String, target: impl Into<String>, holds: bool) -> Self {
        Self {
            what,
            measured,
            target: target.into(),
            holds,
        }
    }

    /// A figure to read.
    pub fn plain(what: &'static str, measured: String) -> Self {
        Self::against(what, measured, String::new(), true)
    }

    /// Whether its target was met.
    pub fn holds(&self) -> bool {
        self.holds
    }

    /// What a missed target is, in a sentence.
    fn complaint(&self) -> String {
        let Self {
            what,
            measured,
            target,
            ..
        } = self;
        format!("{what} is {measured}, and should be {target}")
    }
}

/// Prints the figures as a table, then a sentence for each that missed its target, and tells whether none did.
pub fn print(figures: &[Figure]) -> bool {
    let width = |column: fn(&Figure) -> &str| {
        let widths = figures.iter().map(|figure| column(figure).chars().count());
        widths.max().unwrap_or_default()
    };
    let what = width(|figure| figure.what);
    let measured = width(|figure| &figure.measured);
    let target = width(|figure| &figure.target);
    println!(
        "\n{:<what$}  {:>measured$}  {:<target$}",
        "figure", "measured", "target"
    );
    for figure in figures {
        let verdict = match (figure.target.is_empty(), figure.holds) {
            (true, _) => "",
            (false, true) => "met",
            (false, false) => "MISSED",
        };
        println!(
            "{:<what$}  {:>measured$}  {:<target$}  {verdict}",
            figure.what, figure.measured, figure.target
        );
    }
    for missed in figures.iter().filter(|figure| !figure.holds) {
        eprintln!("target missed: {}", missed.complaint());
    }
    figures.iter().all(Figure::holds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_missed_target_is_a_failure_and_a_sentence() {
        let plain = || Figure::plain("idle RSS", "9 MiB".into());
        let missed = Figure::against("p99", "3.1 ms".into(), "<= 2 ms", false);
        assert_eq!(missed.complaint(), "p99 is 3.1 ms, and should be <= 2 ms");
        assert!(print(&[plain()]));
        assert!(!print(&[plain(), missed]));
    }
}
