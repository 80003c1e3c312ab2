//! Server-side apply, as far as one field manager needs it: what it applied before and does not apply now goes, what
//! it applies comes, and what others wrote stays.

use serde_json::{Map, Value};

/// Applies `now` over `target`, where `before` is what the same manager applied last.
pub(crate) fn apply(target: &mut Value, before: &Value, now: &Value) {
    release("", target, before, now);
    merge("", target, now);
}

/// Keys by which lists are merged, as in the OpenAPI document of the API server.
fn list_key(field: &str, items: &[Value]) -> Option<&'static str> {
    let has = |key: &str| items.iter().any(|item| item.get(key).is_some());
    match field {
        "containers" | "initContainers" | "volumes" | "env" => Some("name"),
        "volumeMounts" => Some("mountPath"),
        "ownerReferences" => Some("uid"),
        "ports" if has("containerPort") => Some("containerPort"),
        "ports" => Some("port"),
        _ => None,
    }
}

fn find<'a>(items: &'a mut [Value], key: &str, wanted: &Value) -> Option<&'a mut Value> {
    items.iter_mut().find(|item| item.get(key) == wanted.get(key))
}

/// Removes from `target` what is in `before` and not in `now`.
fn release(field: &str, target: &mut Value, before: &Value, now: &Value) {
    match (target, before, now) {
        (Value::Object(target), Value::Object(before), Value::Object(now)) => {
            for (name, value) in before {
                match (now.get(name), target.get_mut(name)) {
                    (Some(now), Some(target)) => release(name, target, value, now),
                    (None, _) => release_whole(target, name, value),
                    (Some(_), None) => {}
                }
            }
        }
        (Value::Array(target), Value::Array(before), Value::Array(now)) => {
            let Some(key) = list_key(field, before) else {
                return;
            };
            for item in before {
                let still = now.iter().find(|candidate| candidate.get(key) == item.get(key));
                match (still, find(target, key, item)) {
                    (Some(still), Some(target)) => release("", target, item, still),
                    (None, _) => target.retain(|candidate| candidate.get(key) != item.get(key)),
                    (Some(_), None) => {}
                }
            }
        }
        _ => {}
    }
}

/// Removes a whole field; of an object, only what was applied, so that what others wrote into it stays.
fn release_whole(target: &mut Map<String, Value>, name: &str, before: &Value) {
    if let (Some(Value::Object(inner)), Value::Object(before)) = (target.get_mut(name), before) {
        before
            .iter()
            .for_each(|(name, value)| release_whole(inner, name, value));
        if !inner.is_empty() {
            return;
        }
    }
    target.remove(name);
}

fn merge(field: &str, target: &mut Value, now: &Value) {
    match (target, now) {
        (Value::Object(target), Value::Object(now)) => {
            for (name, value) in now {
                merge(name, target.entry(name).or_insert(Value::Null), value);
            }
        }
        (Value::Array(target), Value::Array(now)) if list_key(field, now).is_some() => {
            let key = list_key(field, now).unwrap_or_default();
            for item in now {
                match find(target, key, item) {
                    Some(twin) => merge("", twin, item),
                    None => target.push(item.clone()),
                }
            }
        }
        (target, now) => *target = now.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_applied_any_more_goes_and_what_others_wrote_stays() {
        let before = json!({"a": 1, "b": {"mine": 1}, "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "1"}]});
        let mut target = before.clone();
        target["b"]["theirs"] = json!(2);
        target["env"]
            .as_array_mut()
            .expect("a list")
            .push(json!({"name": "Z", "value": "9"}));
        apply(
            &mut target,
            &before,
            &json!({"a": 2, "env": [{"name": "Y", "value": "2"}]}),
        );
        let expected = json!({"a": 2, "b": {"theirs": 2}, "env": [{"name": "Y", "value": "2"}, {"name": "Z", "value": "9"}]});
        assert_eq!(target, expected);
    }

    #[test]
    fn plain_lists_are_replaced() {
        let mut target = json!({"args": ["a", "b"]});
        apply(&mut target, &json!({"args": ["a", "b"]}), &json!({"args": ["c"]}));
        assert_eq!(target, json!({"args": ["c"]}));
    }
}
