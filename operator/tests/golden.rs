//! Golden files: every example's objects, as `tracewell-operator render` prints them, and the page of reasons.
//!
//! To accept a change, run with `UPDATE_GOLDEN=1` and read the difference before you commit it.

#![expect(clippy::expect_used, reason = "a failed step is a failed test")]

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use platform_core::reason::Reason;
use platform_operator::render::render;
use platform_testkit::{example, examples, settings};

fn golden_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.yaml"))
}

/// Where the file differs from what it should be; None if it does not, or if it has just been written.
fn check(file: &Path, expected: &str) -> Option<String> {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(file, expected).expect("the golden file can be written");
    }
    let golden = std::fs::read_to_string(file).unwrap_or_default();
    first_difference(&golden, expected).map(|difference| format!("{} {difference}", file.display()))
}

#[test]
fn every_example_renders_as_its_golden_file() {
    let mut different = Vec::new();
    for name in examples() {
        let rendered = render(example(&name), &settings()).expect("an example is accepted");
        different.extend(check(&golden_file(&name), &rendered));
    }
    assert!(
        different.is_empty(),
        "UPDATE_GOLDEN=1 accepts these changes:\n{}",
        different.join("\n")
    );
}

/// The pages of the reasons that are problems.
const RUNBOOKS: &str = "runbooks/reasons";

#[test]
fn the_page_of_reasons_has_every_reason() {
    const HEAD: &str = "# Reasons
What the `reason` of a Platform's conditions and events means, and what to do about it; the most urgent first. The `message`
beside it has the particulars. What somebody has to look at has a page of its own: how to see it, what to do, how it goes away.
This table is written from `operator/core/src/reason.rs` by
`UPDATE_GOLDEN=1 cargo test -p platform-operator --test golden`.

| reason | what it means, and what to do |
|---|---|
";
    let row = |reason: &Reason| {
        let name = if reason.is_problem() {
            format!("[`{reason}`]({RUNBOOKS}/{reason}.md)")
        } else {
            format!("`{reason}`")
        };
        format!("| {name} | {} |\n", reason.meaning())
    };
    let page: String = [HEAD.to_owned()]
        .into_iter()
        .chain(Reason::ALL.iter().map(row))
        .collect();
    let file = docs("reasons.md");
    assert_eq!(check(&file, &page), None, "UPDATE_GOLDEN=1 accepts this change");
}

/// A file of the documentation.
fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)
}

#[test]
fn every_problem_has_a_page_that_says_what_to_do_and_no_page_is_left_over() {
    let problems: BTreeSet<String> = Reason::ALL
        .iter()
        .filter(|reason| reason.is_problem())
        .map(|reason| format!("{reason}.md"))
        .collect();
    let files = std::fs::read_dir(docs(RUNBOOKS)).expect("the directory is there");
    let pages: BTreeSet<String> = files
        .map(|file| file.expect("the directory can be listed").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    assert_eq!(pages, problems);
    for name in pages {
        let page = std::fs::read_to_string(docs(RUNBOOKS).join(&name)).expect("the page can be read");
        assert!(
            page.starts_with(&format!("# {}\n", name.trim_end_matches(".md"))),
            "{name}"
        );
        let parts = [
            "\n**Means:** ",
            "\n**See:** ",
            "\n```sh\nkubectl ",
            "\n**Do:**\n1. ",
            "\n**Goes away:** ",
        ];
        let places: Vec<_> = parts.iter().map(|part| page.find(part)).collect();
        assert!(
            places.iter().all(Option::is_some) && places.is_sorted(),
            "{name} has not all of {parts:?}, in this order"
        );
    }
}

#[test]
fn every_golden_file_has_its_example() {
    let files = std::fs::read_dir(golden_file("").with_file_name("")).expect("the directory is there");
    for file in files {
        let path = file.expect("the directory can be listed").path();
        let name = path
            .file_stem()
            .expect("a file has a name")
            .to_string_lossy()
            .into_owned();
        assert!(
            examples().contains(&name),
            "{} belongs to no example",
            path.display()
        );
    }
}

fn first_difference(golden: &str, rendered: &str) -> Option<String> {
    let mut lines = (1..).zip(golden.lines().zip(rendered.lines()));
    match lines.find(|(_, (old, new))| old != new) {
        Some((number, (old, new))) => Some(format!("line {number}:\n  - {old}\n  + {new}")),
        None if golden == rendered => None,
        None => Some(format!(
            "has {} lines, now {}",
            golden.lines().count(),
            rendered.lines().count()
        )),
    }
}
