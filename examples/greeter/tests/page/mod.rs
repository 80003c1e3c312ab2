//! What docs/instrument-your-own-service.md says, held against what it speaks of.

use std::{collections::BTreeMap, fs, path::Path};

use super::{Greeter, get};

/// What the operator tells a service besides what is for its telemetry: who it is, and where the others are.
const OTHERS: [&str; 6] = [
    "POD_NAME",
    "POD_NAMESPACE",
    "POD_UID",
    "NODE_NAME",
    "API_DOCS",
    "AUTH_URL",
];

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join(path)).unwrap()
}

fn page() -> String {
    read("docs/instrument-your-own-service.md")
}

/// The lines of the first block of code in this language.
fn block(page: &str, language: &str) -> Vec<String> {
    let lines = page.lines().skip_while(|line| *line != format!("```{language}"));
    let lines = lines.skip(1).take_while(|line| *line != "```");
    lines.map(str::to_owned).collect()
}

/// The words in backticks.
fn words(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[tokio::test]
async fn each_curl_answers_what_is_said_beside_it() {
    let first = Greeter::start(&[("DEBUG_ENDPOINTS", "1")]);
    let elder = format!("http://127.0.0.1:{}", first.port);
    let second = Greeter::start(&[("ELDER_URL", &elder)]);
    let page = page();
    let curls = page
        .lines()
        .filter_map(|line| line.strip_prefix("curl localhost:"));
    let mut count = 0;
    for curl in curls {
        let (target, said) = curl
            .split_once(" # ")
            .unwrap_or_else(|| panic!("nothing is said beside {curl}"));
        let (port, path) = target.trim().split_once('/').unwrap();
        let port = if port == "3000" { first.port } else { second.port };
        assert_says(port, &format!("/{path}"), said).await;
        count += 1;
    }
    assert!(count >= 5, "{count} lines");
}

/// `and /path, /path`: all of them answer; `404: nobody`: the status, and after a colon the body; else the body alone.
async fn assert_says(port: u16, path: &str, said: &str) {
    let (status, body) = get(port, path).await;
    if let Some(others) = said.strip_prefix("and ") {
        assert_eq!(status, 200, "{path}");
        for path in others.split(", ") {
            assert_eq!(get(port, path).await.0, 200, "{path}");
        }
    } else if said.starts_with(|letter: char| letter.is_ascii_digit()) {
        let (code, rest) = said.split_at(3);
        assert_eq!(status.to_string(), code, "{path}");
        if let Some(expected) = rest.strip_prefix(": ") {
            assert_eq!(body, expected, "{path}");
        }
    } else {
        assert_eq!((status, body.as_str()), (200, said), "{path}");
    }
}

/// Names and values of the variables that the operator gives the service in `examples/any-image.yaml`.
fn told() -> BTreeMap<String, String> {
    let golden = read("operator/tests/golden/any-image.yaml");
    let deployment = golden.split("\n---\n").find(|object| {
        object.contains("\nkind: Deployment\n") && object.contains("\n  name: market-price-list\n")
    });
    let container = deployment.unwrap().split_once("      containers:\n").unwrap().1;
    let variables = container.split_once("\n        image: ").unwrap().0;
    let variables = variables.split("- name: ").skip(1).map(|variable| {
        let (name, rest) = variable.split_once('\n').unwrap();
        let value = rest.trim().strip_prefix("value: ").unwrap_or_default();
        (name.to_owned(), value.trim_matches('"').to_owned())
    });
    variables
        .filter(|(name, _)| !OTHERS.contains(&name.as_str()))
        .collect()
}

#[test]
fn the_table_of_variables_is_what_the_operator_tells_a_service() {
    let (page, told) = (page(), told());
    let table = page.split_once("| variable | value |\n").unwrap().1;
    let mut listed = Vec::new();
    for row in table.lines().skip(1).take_while(|line| line.starts_with('|')) {
        let cells: Vec<_> = row.split('|').collect();
        let names = words(cells[1]);
        for (name, value) in names.iter().zip(words(cells[2])) {
            assert_eq!(told.get(*name).map(String::as_str), Some(value), "{row}");
        }
        listed.extend(names.into_iter().map(str::to_owned));
    }
    listed.sort_unstable();
    assert_eq!(listed, told.into_keys().collect::<Vec<_>>());
}

#[test]
fn the_service_in_yaml_is_that_of_the_example() {
    let example = read("examples/any-image.yaml");
    let without_remark = |line: &str| line.split(" # ").next().unwrap().trim_end().to_owned();
    let example: Vec<_> = example.lines().map(without_remark).collect();
    let block: Vec<_> = block(&page(), "yaml")
        .iter()
        .map(|line| without_remark(line))
        .collect();
    let service = block
        .iter()
        .position(|line| line.starts_with("    - name: "))
        .unwrap();
    let service = &block[service..];
    assert!(
        example.windows(service.len()).any(|lines| lines == service),
        "{service:#?} is not in {example:#?}"
    );
}
