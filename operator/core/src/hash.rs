//! Hashes of what the operator wants: stable across runs, machines and the order of keys.

use std::fmt::Write;

use serde_json::Value;
use sha2::{Digest, Sha256};

/// Hash of a JSON value, 16 hexadecimal digits.
pub fn hash_of(value: &Value) -> String {
    let mut hasher = Sha256::new();
    feed(&mut hasher, value);
    hexadecimal(&hasher.finalize(), 8)
}

/// Hash of a JSON value, 8 hexadecimal digits: for people.
pub fn short_hash_of(value: &Value) -> String {
    let mut hash = hash_of(value);
    hash.truncate(8);
    hash
}

/// Hash of a text, 8 hexadecimal digits: for names.
pub fn short_hash_of_text(text: &str) -> String {
    hexadecimal(&Sha256::digest(text.as_bytes()), 4)
}

/// Objects are fed in the order of their keys, whatever order the map has; each text is fed with its length, so
/// that no two values feed the same bytes.
fn feed(hasher: &mut Sha256, value: &Value) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            hasher.update(format!("{{{}", entries.len()));
            for (key, value) in entries {
                hasher.update(format!("{}:{key}", key.len()));
                feed(hasher, value);
            }
        }
        Value::Array(items) => {
            hasher.update(format!("[{}", items.len()));
            for item in items {
                feed(hasher, item);
            }
        }
        Value::String(text) => hasher.update(format!("{}:{text}", text.len())),
        scalar => hasher.update(format!("={scalar};")),
    }
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
                assert_eq!(hash_of(one) == hash_of(other), i == j, "{one} {other}");
            }
        }
    }
}
