//! Colours. They are always written; whoever prints leaves them out where nobody sees them.

use std::fmt::Display;

use anstyle::{AnsiColor, Style};

/// All is well.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Something has to be done.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// Somebody should look.
pub const WARN: Style = AnsiColor::Yellow.on_default();
/// What the eye may pass over.
pub const DIM: Style = Style::new().dimmed();
/// What the eye should find.
pub const BOLD: Style = Style::new().bold();

/// Told apart at a glance on a dark and on a light background.
const DISTINCT: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::Green,
    AnsiColor::Yellow,
    AnsiColor::BrightRed,
];

/// The text in this style.
pub fn paint(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// A style for each of several things, again and again the same for the same position.
pub fn distinct(position: usize) -> Style {
    let colours = DISTINCT.iter().cycle();
    colours
        .skip(position % DISTINCT.len())
        .map(|colour| colour.on_default())
        .next()
        .unwrap_or_default()
}
