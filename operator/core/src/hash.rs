//! Hashes of what the operator wants: stable across runs, machines and the order of keys.

use std::fmt::{self, Write};

use serde_json::Value;
use sha2::{Digest, Sha256};

/// Hash of the object whose fields these two have, 16 hexadecimal digits. No copy is made that has them all.
pub fn hash_of_parts(parts: [&Value; 2]) -> String {
    let fields = parts.into_iter().filter_map(Value::as_object).flatten();
    let mut hasher = Sha256::new();
    feed_fields(&mut hasher, fields.collect());
    hexadecimal(&hasher.finalize(), 8)
}

/// Hash of a JSON value, 8 hexadecimal digits: for people.
pub fn short_hash_of(value: &Value) -> String {
    let mut hasher = Sha256::new();
    feed(&mut hasher, value);
    hexadecimal(&hasher.finalize(), 4)
}

/// Hash of a text, 8 hexadecimal digits: for names.
pub fn short_hash_of_text(text: &str) -> String {
    hexadecimal(&Sha256::digest(text.as_bytes()), 4)
}

/// Objects are fed in the order of their keys, whatever order the map has; each text is fed with its length, so
/// that no two values feed the same bytes.
fn feed(hasher: &mut Sha256, value: &Value) {
    match value {
        Value::Object(map) => feed_fields(hasher, map.iter().collect()),
        Value::Array(items) => {
            feed_args(hasher, format_args!("[{}", items.len()));
            for item in items {
                feed(hasher, item);
            }
        }
        Value::String(text) => feed_text(hasher, text),
        scalar => feed_args(hasher, format_args!("={scalar};")),
    }
}

fn feed_fields(hasher: &mut Sha256, mut fields: Vec<(&String, &Value)>) {
    fields.sort_by_key(|(key, _)| *key);
    feed_args(hasher, format_args!("{{{}", fields.len()));
    for (key, value) in fields {
        feed_text(hasher, key);
        feed(hasher, value);
    }
}

fn feed_text(hasher: &mut Sha256, text: &str) {
    feed_args(hasher, format_args!("{}:", text.len()));
    hasher.update(text);
}

/// Without a copy of what is fed: a Platform's objects have thousands of fields.
fn feed_args(hasher: &mut Sha256, text: fmt::Arguments<'_>) {
    struct Fed<'a>(&'a mut Sha256);

    impl Write for Fed<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.update(text);
            Ok(())
        }
    }

    // Feeding cannot fail.
    let _ = Fed(hasher).write_fmt(text);
}

pub(crate) fn hexadecimal(digest: &[u8], bytes: usize) -> String {
    digest.iter().take(bytes).fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_difference_changes_the_hash() {
        let values = [
            json!(null),
            json!(1),
            json!("1"),
            json!(["a", "b"]),
            json!(["ab"]),
            json!([["a"], "b"]),
            json!({"a": "b"}),
            json!({"a": {"b": 1}}),
            json!({"a": {}, "b": 1}),
        ];
        for (i, one) in values.iter().enumerate() {
            for (j, other) in values.iter().enumerate() {
                assert_eq!(
                    short_hash_of(one) == short_hash_of(other),
                    i == j,
                    "{one} {other}"
                );
            }
        }
    }

    #[test]
    fn an_object_in_two_parts_has_the_hash_of_the_whole() {
        let whole = json!({"a": 1, "b": [2], "c": {"d": 3}});
        let hash = hash_of_parts([&json!({"a": 1, "c": {"d": 3}}), &json!({"b": [2]})]);
        assert!(hash.starts_with(&short_hash_of(&whole)), "{hash}");
    }
}
