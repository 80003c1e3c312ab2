//! A Platform from a file, with errors that name the line or the field.

use std::{io::Read as _, path::Path};

use platform_core::api::Platform;
use serde_json::Value;

use crate::schema::{refusals, without_nulls};

/// Why a file gives no Platform.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It cannot be read.
    #[error("{file} cannot be read: {source}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is not YAML, or a field has a value of the wrong type.
    #[error("{file}: {message}")]
    Malformed {
        /// The file, with the line where it is known.
        file: String,
        /// What is wrong.
        message: String,
    },
    /// The schema of a Platform refuses it.
    #[error("{file}: {refusals} (tracewell-operator crd prints all fields)")]
    Refused {
        /// The file.
        file: String,
        /// What is refused, and what is allowed.
        refusals: String,
    },
    /// It holds no Platform, or several.
    #[error(
        "{file} must hold exactly one document with kind Platform and apiVersion tracewell.dev/v1alpha1; it holds {found}"
    )]
    Count {
        /// The file.
        file: String,
        /// How many it holds.
        found: usize,
    },
}

/// A Platform as it was written, and as it was understood.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// Every field that stands in the file, and no default: what an apply would send.
    pub written: Value,
    /// The same with defaults filled in.
    pub platform: Platform,
}

impl Manifest {
    /// Reads the one Platform of a file, or of the standard input where the file is `-`.
    pub fn read(file: &Path) -> Result<Self, ManifestError> {
        Self::parse(&file.display().to_string(), &text_of(file)?)
    }

    /// The one Platform of a YAML text; `file` is its name in errors.
    pub fn parse(file: &str, text: &str) -> Result<Self, ManifestError> {
        let (document, written) = find(file, text)?;
        let refusals: Vec<_> = refusals(&written).iter().map(ToString::to_string).collect();
        let understood = serde_json::from_value(without_nulls(written.clone()));
        match understood {
            Ok(platform) if refusals.is_empty() => Ok(Self { written, platform }),
            _ => {
                // Reading the text says the line.
                let _: Platform =
                    serde_saphyr::from_str(&document).map_err(|error| malformed(file, &error))?;
                Err(ManifestError::Refused {
                    file: file.to_owned(),
                    refusals: refusals.join("; "),
                })
            }
        }
    }
}

/// The one Platform of a file, whatever is wrong with it.
pub fn read_written(file: &Path) -> Result<Value, ManifestError> {
    let (_, written) = find(&file.display().to_string(), &text_of(file)?)?;
    Ok(written)
}

fn text_of(file: &Path) -> Result<String, ManifestError> {
    let name = file.display().to_string();
    let text = if name == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(file)
    };
    text.map_err(|source| ManifestError::Read { file: name, source })
}

/// The document that is a Platform, as text and as a value.
fn find(file: &str, text: &str) -> Result<(String, Value), ManifestError> {
    let mut found = Vec::new();
    for document in documents(text) {
        let value: Value = serde_saphyr::from_str(&document).map_err(|error| malformed(file, &error))?;
        if value["kind"] == "Platform" && value["apiVersion"] == "tracewell.dev/v1alpha1" {
            found.push((document, value));
        }
    }
    match <[_; 1]>::try_from(found) {
        Ok([only]) => Ok(only),
        Err(found) => Err(ManifestError::Count {
            file: file.to_owned(),
            found: found.len(),
        }),
    }
}

fn malformed(file: &str, error: &serde_saphyr::Error) -> ManifestError {
    ManifestError::Malformed {
        file: match error.location() {
            Some(location) => format!("{file}:{}", location.line()),
            None => file.to_owned(),
        },
        message: error.without_snippet().to_string(),
    }
}

/// The documents of a YAML stream. Each is preceded by as many empty lines as stand before it in the stream, so that
/// the lines of its errors are those of the file.
fn documents(text: &str) -> Vec<String> {
    let mut documents = vec![String::new()];
    for (number, line) in text.lines().enumerate() {
        if line == "---" || line.starts_with("--- ") {
            documents.push("\n".repeat(number + 1));
        } else if let Some(current) = documents.last_mut() {
            current.push_str(line);
            current.push('\n');
        }
    }
    documents.retain(|document| {
        document
            .lines()
            .any(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
    });
    documents
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "apiVersion: tracewell.dev/v1alpha1\nkind: Platform\nmetadata: {name: demo}\n";

    fn refusal(text: &str) -> String {
        Manifest::parse("p.yaml", text).unwrap_err().to_string()
    }

    #[test]
    fn other_documents_are_passed_over() {
        let text = format!("# a comment\n---\napiVersion: v1\nkind: Namespace\n---\n{HEAD}spec: {{}}\n");
        let manifest = Manifest::parse("p.yaml", &text).unwrap();
        assert_eq!(manifest.platform.metadata.name.as_deref(), Some("demo"));
        assert_eq!(
            manifest.written["spec"],
            serde_json::json!({}),
            "defaults are not written"
        );
        assert!(
            !manifest.platform.spec.services.is_empty(),
            "but they are understood"
        );
    }

    #[test]
    fn a_field_without_a_value_counts_as_left_out() {
        let text = format!("{HEAD}spec:\n  profile:\n  services: [{{name: auth, probes: }}]\n");
        let manifest = Manifest::parse("p.yaml", &text).unwrap();
        assert_eq!(manifest.platform.spec.services.len(), 1);
    }

    #[test]
    fn one_platform_it_must_be() {
        assert!(refusal("kind: Namespace\n").contains("exactly one document with kind Platform"));
        assert!(refusal("").ends_with("it holds 0"));
        assert!(refusal(&format!("{HEAD}spec: {{}}\n---\n{HEAD}spec: {{}}\n")).ends_with("it holds 2"));
    }

    #[test]
    fn errors_name_the_line_in_the_file() {
        let broken = refusal("kind: Namespace\n---\na: [1\nb: 2\n");
        assert!(
            broken.starts_with("p.yaml:") && !broken.contains('\n'),
            "{broken}"
        );
        let wrong_type = refusal(&format!(
            "kind: Namespace\n---\n{HEAD}spec:\n  services:\n    - name: auth\n      port: high\n"
        ));
        assert!(wrong_type.starts_with("p.yaml:9: "), "{wrong_type}");
    }

    #[test]
    fn what_the_schema_refuses_is_named_by_its_path() {
        let refusal = refusal(&format!(
            "{HEAD}spec:\n  services: [{{name: auth, imgae: x, dependsOn: []}}]\n  colour: red\n"
        ));
        for told in [
            "spec.colour: there is no such field",
            "spec.services[auth].imgae: there is no such field",
        ] {
            assert!(refusal.contains(told), "{refusal}\nshould say\n{told}");
        }
    }
}
