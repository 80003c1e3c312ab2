//! What the API server checks of a manifest before any rule across fields: types, bounds, patterns, choices, entries
//! that are listed twice, fields that do not exist.
//!
//! It is read from the CRD itself, so the two cannot drift apart. A general validator of JSON Schema does not know what
//! is Kubernetes' own in it (lists with keys, fields that are refused because nothing declares them, null for a default),
//! and would make the program larger by more than its image has room for.

use std::{collections::BTreeSet, sync::LazyLock};

use kube::CustomResourceExt as _;
use platform_core::api::Platform;
use regex::bytes::RegexBuilder;
use serde_json::Value;

/// Characters of a refused text that are repeated.
const SHOWN: usize = 60;

/// The schema of a spec.
static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let mut crd = serde_json::to_value(Platform::crd()).unwrap_or_default();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].take()
});

/// A value that the schema refuses: where, what was given, and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct Refusal {
    /// The field, for example `spec.exposure.nodePort.gateway`.
    pub path: String,
    /// What was given, and what is allowed.
    pub problem: String,
}

/// Everything in the manifest of a Platform, as it was written, that its schema refuses.
pub fn refusals(written: &Value) -> Vec<Refusal> {
    let mut found = Found(Vec::new());
    for field in written.as_object().into_iter().flat_map(|fields| fields.keys()) {
        // The API server passes over a status that comes with a spec.
        if !["apiVersion", "kind", "metadata", "spec", "status"].contains(&field.as_str()) {
            found.add(field, "there is no such field; allowed is spec".to_owned());
        }
    }
    if written["spec"].is_null() {
        found.add("spec", "required".to_owned());
    } else {
        found.visit(&SCHEMA, &written["spec"], "spec");
    }
    found.0
}

/// The manifest as the API server reads it: a field that may be null, or has a default in its place, counts as left out
/// where it is null.
pub fn without_nulls(written: Value) -> Value {
    match written {
        Value::Object(fields) => {
            let given = fields.into_iter().filter(|(_, value)| !value.is_null());
            given.map(|(name, value)| (name, without_nulls(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        scalar => scalar,
    }
}

struct Found(Vec<Refusal>);

impl Found {
    fn add(&mut self, path: &str, problem: String) {
        self.0.push(Refusal {
            path: path.to_owned(),
            problem,
        });
    }

    fn visit(&mut self, schema: &Value, value: &Value, path: &str) {
        let is_null = value.is_null() && schema["nullable"] == true;
        if let Some(expected) = other_type(schema, value).filter(|_| !is_null) {
            return self.add(path, format!("{} must be {expected}", shown(value)));
        }
        // Null is a choice only where it is listed.
        if let Some(choices) = schema["enum"].as_array()
            && !choices.contains(value)
        {
            let names: Vec<_> = choices.iter().filter_map(Value::as_str).collect();
            return self.add(
                path,
                format!("{} must be one of {}", shown(value), names.join(", ")),
            );
        }
        match value {
            Value::Number(number) => {
                if let Some(allowed) = outside(schema, ["minimum", "maximum"], number.as_i64()) {
                    self.add(path, format!("{number} must be {allowed}"));
                }
            }
            Value::String(text) => self.visit_text(schema, text, path),
            Value::Array(items) => self.visit_items(schema, items, path),
            Value::Object(_) => self.visit_fields(schema, value, path),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn visit_text(&mut self, schema: &Value, text: &str, path: &str) {
        let length = text.chars().count();
        if let Some(allowed) = outside(schema, ["minLength", "maxLength"], i64::try_from(length).ok()) {
            self.add(
                path,
                format!("it has {length} characters, and must have {allowed}"),
            );
        } else if let Some(pattern) = schema["pattern"].as_str()
            && !matches(pattern, text)
        {
            let text = shown(&text.into());
            self.add(path, format!("{text} must match {pattern}"));
        }
    }

    fn visit_items(&mut self, schema: &Value, items: &[Value], path: &str) {
        if let Some(allowed) = outside(schema, ["minItems", "maxItems"], i64::try_from(items.len()).ok()) {
            self.add(
                path,
                format!("it has {} entries, and must have {allowed}", items.len()),
            );
        }
        // Entries are told apart by their key or, in a set, by themselves.
        let key = schema["x-kubernetes-list-map-keys"][0].as_str();
        let is_set = schema["x-kubernetes-list-type"] == "set";
        let mut seen = BTreeSet::new();
        for (index, item) in items.iter().enumerate() {
            let identity = key.map_or_else(|| is_set.then_some(item), |key| item.get(key));
            let name = identity.and_then(Value::as_str);
            let path = format!(
                "{path}[{}]",
                name.map_or_else(|| index.to_string(), str::to_owned)
            );
            if name.is_some_and(|name| !seen.insert(name)) {
                self.add(
                    &path,
                    "it is listed more than once, and each may be listed once".to_owned(),
                );
            }
            self.visit(&schema["items"], item, &path);
        }
    }

    fn visit_fields(&mut self, schema: &Value, value: &Value, path: &str) {
        let known = schema["properties"].as_object();
        for (name, given) in value.as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            match known.and_then(|known| known.get(name)) {
                // Its default takes its place.
                Some(field) if given.is_null() && !field["default"].is_null() => {}
                Some(field) => self.visit(field, given, &path),
                None => {
                    let fields: Vec<_> = known
                        .into_iter()
                        .flatten()
                        .map(|(name, _)| name.as_str())
                        .collect();
                    self.add(
                        &path,
                        format!("there is no such field; allowed are {}", fields.join(", ")),
                    );
                }
            }
        }
        for name in schema["required"].as_array().into_iter().flatten() {
            let name = name.as_str().unwrap_or_default();
            // What has a default is filled in before anybody looks.
            if value.get(name).is_none() && schema["properties"][name]["default"].is_null() {
                self.add(&format!("{path}.{name}"), "required".to_owned());
            }
        }
    }
}

/// The type that a value should have, where it has another.
fn other_type(schema: &Value, value: &Value) -> Option<&'static str> {
    let (is_so, name) = match schema["type"].as_str()? {
        "string" => (value.is_string(), "a text"),
        "integer" => (value.is_i64() || value.is_u64(), "a whole number"),
        "boolean" => (value.is_boolean(), "true or false"),
        "array" => (value.is_array(), "a list"),
        "object" => (value.is_object(), "an object with fields"),
        _ => return None,
    };
    (!is_so).then_some(name)
}

/// What is allowed, where the number is outside of it; a number that is none is larger than all.
fn outside(schema: &Value, [least, most]: [&str; 2], number: Option<i64>) -> Option<String> {
    // Bounds of numbers stand in the schema with a fraction, those of lengths without.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the bounds of a Platform are whole numbers of 32 bits"
    )]
    let bound = |name: &str| schema[name].as_f64().map(|bound| bound as i64);
    let (least, most) = (bound(least), bound(most));
    let number = number.unwrap_or(i64::MAX);
    let is_inside = least.is_none_or(|least| number >= least) && most.is_none_or(|most| number <= most);
    (!is_inside).then(|| match (least, most) {
        (Some(least), Some(most)) if least == most => format!("exactly {least}"),
        (Some(least), Some(most)) => format!("between {least} and {most}"),
        (Some(least), None) => format!("at least {least}"),
        (None, Some(most)) => format!("at most {most}"),
        (None, None) => String::new(),
    })
}

/// As Go's regular expressions do: by bytes, and with `\s` for the spaces of ASCII alone.
fn matches(pattern: &str, text: &str) -> bool {
    match RegexBuilder::new(pattern).unicode(false).build() {
        Ok(regex) => regex.is_match(text.as_bytes()),
        // The API server checks that one alone; a test sees to it that there is none.
        Err(_) => true,
    }
}

/// A value as it was written, shortened.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(spec: &Value) -> Vec<String> {
        let written = json!({"apiVersion": "v", "kind": "Platform", "metadata": {}, "spec": spec});
        refusals(&written).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_refusal_says_where_what_was_given_and_what_is_allowed() {
        let services: Vec<_> = (0..40).map(|n| json!({"name": format!("s{n}")})).collect();
        for (spec, told) in [
            (
                json!({"exposure": {"nodePort": {"gateway": 80}}}),
                "spec.exposure.nodePort.gateway: 80 must be between 30000 and 32767",
            ),
            (
                json!({"telemetry": {"collector": {"mode": "Sideway"}}}),
                "spec.telemetry.collector.mode: \"Sideway\" must be one of Sidecar, Gateway, None",
            ),
            (
                json!({"services": services}),
                "spec.services: it has 40 entries, and must have between 1 and 32",
            ),
            (
                json!({"services": [{"name": "auth"}, {"name": "auth"}]}),
                "spec.services[auth]: it is listed more than once, and each may be listed once",
            ),
            (
                json!({"services": [{"name": "auth", "dependsOn": ["chat", "chat"]}]}),
                "spec.services[auth].dependsOn[chat]: it is listed more than once, and each may be listed once",
            ),
            (
                json!({"services": [{"name": "auth", "port": "high"}]}),
                "spec.services[auth].port: \"high\" must be a whole number",
            ),
            (
                json!({"services": [{"port": 80}]}),
                "spec.services[0].name: required",
            ),
            (
                json!({"services": [{"name": "a".repeat(64)}]}),
                "characters, and must have between",
            ),
            (
                json!({"security": {"colour": "red"}}),
                "spec.security.colour: there is no such field; allowed are networkPolicy",
            ),
        ] {
            let refused = refused(&spec);
            assert!(
                refused.len() == 1 && refused[0].contains(told),
                "{refused:?}\nshould say\n{told}"
            );
        }
        assert_eq!(
            refusals(&json!({"sepc": {}})).len(),
            2,
            "no spec, and a field that is none"
        );
    }

    #[test]
    fn null_counts_as_left_out_where_there_is_a_default_or_no_need() {
        let nothing = Vec::<String>::new();
        assert_eq!(
            refused(&json!({"profile": null, "services": [{"name": "auth", "image": null}]})),
            nothing
        );
        assert_eq!(
            refused(&json!({"services": [{"name": null}]})),
            ["spec.services[0].name: null must be a text"]
        );
        assert_eq!(
            refused(&json!({"services": null})),
            ["spec.services: null must be a list"]
        );
        assert_eq!(
            refused(&json!({"services": [null]})),
            ["spec.services[0]: null must be an object with fields"]
        );
    }

    /// Keywords that are looked at, and such as say nothing about a value.
    const KNOWN: [&str; 17] = [
        "default",
        "description",
        "enum",
        "format",
        "items",
        "maxItems",
        "maxLength",
        "maximum",
        "minItems",
        "minLength",
        "minimum",
        "nullable",
        "pattern",
        "properties",
        "required",
        "type",
        "x-kubernetes-validations",
    ];

    fn check_keywords(schema: &Value, path: &str) {
        for (keyword, value) in schema.as_object().expect("a schema is an object") {
            match keyword.as_str() {
                "properties" => value
                    .as_object()
                    .into_iter()
                    .flatten()
                    .for_each(|(name, field)| check_keywords(field, &format!("{path}.{name}"))),
                "items" => check_keywords(value, &format!("{path}[]")),
                "pattern" => {
                    let pattern = value.as_str().unwrap_or_default();
                    let built = RegexBuilder::new(pattern).unicode(false).build();
                    assert!(built.is_ok(), "{path}: {pattern} is not understood");
                }
                "minimum" | "maximum" => {
                    let bound = value.as_f64().unwrap_or(f64::NAN);
                    assert!(bound.fract() == 0.0, "{path}: {value} is no whole number");
                }
                "format" => {
                    let has_bounds = schema["minimum"].is_number() && schema["maximum"].is_number();
                    assert!(has_bounds, "{path}: {value} alone is not looked at");
                }
                "x-kubernetes-list-map-keys" => {
                    assert_eq!(
                        value.as_array().map(Vec::len),
                        Some(1),
                        "{path}: one key is looked at"
                    );
                }
                "x-kubernetes-list-type" => {
                    let is_looked_at = ["map", "set", "atomic"].map(Value::from).contains(value);
                    assert!(is_looked_at, "{path}: {value}");
                }
                keyword => assert!(KNOWN.contains(&keyword), "{path}: nobody looks at {keyword}"),
            }
        }
    }

    #[test]
    fn every_keyword_of_the_schema_is_looked_at() {
        check_keywords(&SCHEMA, "spec");
    }
}
