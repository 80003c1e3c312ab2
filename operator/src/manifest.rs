//! A Platform from a file, with errors that name the line or the field.

use std::{io::Read as _, path::Path};

use platform_core::api::Platform;
use serde_json::Value;

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
    /// It has fields that a Platform does not have.
    #[error("{file}: {fields} is not a field of a Platform (tracewell-operator crd prints all fields)")]
    UnknownFields {
        /// The file.
        file: String,
        /// Their paths.
        fields: String,
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
        let name = file.display().to_string();
        let text = if name == "-" {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map(|_| text)
        } else {
            std::fs::read_to_string(file)
        };
        let text = text.map_err(|source| ManifestError::Read {
            file: name.clone(),
            source,
        })?;
        Self::parse(&name, &text)
    }

    /// The one Platform of a YAML text; `file` is its name in errors.
    pub fn parse(file: &str, text: &str) -> Result<Self, ManifestError> {
        let malformed = |error: serde_saphyr::Error| ManifestError::Malformed {
            file: match error.location() {
                Some(location) => format!("{file}:{}", location.line()),
                None => file.to_owned(),
            },
            message: error.without_snippet().to_string(),
        };
        let mut found = Vec::new();
        for document in documents(text) {
            let value: Value = serde_saphyr::from_str(&document).map_err(malformed)?;
            if value["kind"] == "Platform" && value["apiVersion"] == "tracewell.dev/v1alpha1" {
                found.push((document, value));
            }
        }
        let [(document, written)] = found.as_slice() else {
            return Err(ManifestError::Count {
                file: file.to_owned(),
                found: found.len(),
            });
        };
        let platform: Platform = serde_saphyr::from_str(document).map_err(malformed)?;
        let understood = serde_json::to_value(&platform).unwrap_or_default();
        let mut unknown = Vec::new();
        collect_unknown("spec", &written["spec"], &understood["spec"], &mut unknown);
        if !unknown.is_empty() {
            return Err(ManifestError::UnknownFields {
                file: file.to_owned(),
                fields: unknown.join(", "),
            });
        }
        Ok(Self {
            written: written.clone(),
            platform,
        })
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

/// Paths of what was written but got lost on the way into the types, which pass over what they do not know.
fn collect_unknown(path: &str, written: &Value, understood: &Value, unknown: &mut Vec<String>) {
    match (written, understood) {
        (Value::Object(written), Value::Object(understood)) => {
            for (field, value) in written {
                let path = format!("{path}.{field}");
                match understood.get(field) {
                    Some(known) => collect_unknown(&path, value, known, unknown),
                    // An empty value may be left out when it is written again.
                    None if is_empty(value) => {}
                    None => unknown.push(path),
                }
            }
        }
        (Value::Array(written), Value::Array(understood)) => {
            for (index, (written, understood)) in written.iter().zip(understood).enumerate() {
                collect_unknown(&format!("{path}[{index}]"), written, understood, unknown);
            }
        }
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
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
    fn unknown_fields_are_named_by_their_path() {
        let refusal = refusal(&format!(
            "{HEAD}spec:\n  services: [{{name: auth, imgae: x, dependsOn: []}}]\n  colour: red\n"
        ));
        assert!(
            refusal.contains("spec.colour, spec.services[0].imgae is not a field"),
            "{refusal}"
        );
    }
}
