//! Reasons that a person can read.

use serde_json::Value;

use super::fields::WITHHELD;
use super::{Apply, Cause, FieldChange};
use crate::step::{EventNote, EventType};

/// Fields named in a reason; the others are counted.
const FIELDS_SHOWN: usize = 3;
/// Longest value shown, in characters.
const VALUE_SHOWN: usize = 60;

impl Apply {
    /// Why it is applied, in one line.
    pub fn reason(&self) -> String {
        match self.cause {
            Cause::Created => "it does not exist yet".to_owned(),
            Cause::Deleted => "it was deleted by hand".to_owned(),
            Cause::Left => "an earlier Platform of this name left it".to_owned(),
            Cause::Changed if self.fields.is_empty() => {
                "fields that are no longer wanted are released".to_owned()
            }
            Cause::Changed => self.list_fields(|field| format!("{} changed{}", short(field), from_to(field))),
            Cause::Edited => {
                self.list_fields(|field| format!("{} was edited by hand{}", short(field), from_to(field)))
            }
        }
    }

    /// The event that tells of a repair, or of data that was taken over: publish it once the object is applied. None
    /// for intended changes.
    pub fn event(&self) -> Option<EventNote> {
        let (reason, what) = match self.cause {
            Cause::Created | Cause::Changed => return None,
            Cause::Edited | Cause::Deleted => ("DriftRepaired", "Restored"),
            Cause::Left => ("StorageAdopted", "Took over"),
        };
        Some(EventNote {
            type_: EventType::Normal,
            reason: reason.to_owned(),
            message: format!("{what} {} {}: {}", self.key.kind, self.key.name, self.reason()),
        })
    }

    fn list_fields(&self, describe: impl Fn(&FieldChange) -> String) -> String {
        let mut fields: Vec<&FieldChange> = self.fields.iter().collect();
        // A variable often follows from something that says more: the release from the image.
        fields.sort_by_key(|field| field.to == WITHHELD);
        let mut shown: Vec<String> = fields.into_iter().take(FIELDS_SHOWN).map(describe).collect();
        let hidden = self.fields.len().saturating_sub(FIELDS_SHOWN);
        if hidden > 0 {
            shown.push(format!("and {hidden} more"));
        }
        shown.join(", ")
    }
}

/// The path without what everybody knows.
fn short(field: &FieldChange) -> &str {
    ["spec.template.spec.", "spec."]
        .iter()
        .find_map(|prefix| field.path.strip_prefix(prefix))
        .unwrap_or(&field.path)
}

/// `: 3 → 1`; nothing for what is withheld.
fn from_to(field: &FieldChange) -> String {
    if field.to == WITHHELD {
        return String::new();
    }
    format!(": {} → {}", show(field.from.as_ref()), show(Some(&field.to)))
}

fn show(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => return "nothing".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    match text.char_indices().nth(VALUE_SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
