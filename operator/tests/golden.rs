//! Golden files: every example's objects, as `tracewell-operator render` prints them.
//!
//! To accept a change, run with `UPDATE_GOLDEN=1` and read the difference before you commit it.

use std::path::{Path, PathBuf};

use platform_operator::render::render;
use platform_testkit::{example, examples, settings};

fn golden_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.yaml"))
}

#[test]
fn every_example_renders_as_its_golden_file() {
    let mut different = Vec::new();
    for name in examples() {
        let rendered = render(example(&name), &settings()).expect("an example is accepted");
        let file = golden_file(&name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&file, &rendered).expect("the golden file can be written");
        }
        let golden = std::fs::read_to_string(&file).unwrap_or_default();
        if let Some(difference) = first_difference(&golden, &rendered) {
            different.push(format!("{name}.yaml {difference}"));
        }
    }
    assert!(
        different.is_empty(),
        "UPDATE_GOLDEN=1 accepts these changes:\n{}",
        different.join("\n")
    );
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
