//! Publishes events. kube's own recorder tells two events apart by their reason alone, so that a second repair or a
//! second cause within minutes would never be read; here the message counts as well.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;
use k8s_openapi::{api::events::v1::Event, apimachinery::pkg::apis::meta::v1::MicroTime};
use kube::{
    Api, Client, Error, Resource as _, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
    core::ObjectMeta,
};
use platform_core::{
    api::Platform,
    labels,
    step::{EventNote, EventType},
};
use serde_json::json;

/// The API server refuses a longer note (bytes).
const MAX_NOTE: usize = 1024;

/// Series that are counted at once; beyond it the counting begins anew, which shows in a number and nowhere else.
const MAX_SERIES: usize = 1000;

/// Publishes events in the operator's name.
pub(super) struct Publisher {
    client: Client,
    instance: String,
    repeated: Mutex<BTreeMap<String, i32>>,
}

impl Publisher {
    pub(super) fn new(client: Client, instance: String) -> Self {
        Self {
            client,
            instance,
            repeated: Mutex::default(),
        }
    }

    /// Creates the event; one with the same words about the same Platform is counted instead.
    pub(super) async fn publish(&self, platform: &Platform, note: &EventNote) -> Result<(), Error> {
        let events = Api::<Event>::namespaced(self.client.clone(), &platform.namespace().unwrap_or_default());
        let event = self.event(platform, note);
        let count = self.count(&event.name_any());
        if count > 1 {
            match count_up(&events, &event, count).await {
                // It has expired.
                Err(Error::Api(status)) if status.is_not_found() => {}
                counted => return counted,
            }
        }
        match events.create(&PostParams::default(), &event).await {
            // Another operator, or this one before it was restarted, has published it.
            Err(Error::Api(status)) if status.is_already_exists() => {
                count_up(&events, &event, count.max(2)).await
            }
            created => created.map(drop),
        }
    }

    fn event(&self, platform: &Platform, note: &EventNote) -> Event {
        Event {
            metadata: ObjectMeta {
                name: Some(event_name(platform, note)),
                namespace: platform.namespace(),
                annotations: trace(),
                ..ObjectMeta::default()
            },
            type_: Some(
                match note.type_ {
                    EventType::Normal => "Normal",
                    EventType::Warning => "Warning",
                }
                .to_owned(),
            ),
            reason: Some(note.reason.clone()),
            note: Some(truncated(&note.message, MAX_NOTE).to_owned()),
            action: Some("Reconcile".to_owned()),
            regarding: Some(platform.object_ref(&())),
            event_time: Some(MicroTime(Timestamp::now())),
            reporting_controller: Some(labels::OPERATOR.to_owned()),
            reporting_instance: Some(self.instance.clone()),
            ..Event::default()
        }
    }

    /// How often the event is published now, as far as it is remembered.
    fn count(&self, name: &str) -> i32 {
        let mut repeated = self.repeated.lock().unwrap_or_else(PoisonError::into_inner);
        if repeated.len() >= MAX_SERIES {
            repeated.clear();
        }
        let count = repeated.entry(name.to_owned()).or_default();
        *count = count.saturating_add(1);
        *count
    }
}

/// Says of an event that is there that it happened again.
async fn count_up(events: &Api<Event>, event: &Event, count: i32) -> Result<(), Error> {
    let again = json!({
        "metadata": {"annotations": event.metadata.annotations},
        "series": {"count": count, "lastObservedTime": event.event_time},
    });
    events
        .patch(&event.name_any(), &PatchParams::default(), &Patch::Merge(&again))
        .await
        .map(drop)
}

/// Where the reconcile that publishes can be seen.
fn trace() -> Option<BTreeMap<String, String>> {
    let trace_id = tracewell_telemetry::current_trace_id()?;
    Some([(labels::TRACE_ID.to_owned(), trace_id)].into())
}

/// The same words about the same Platform give the same name.
fn event_name(platform: &Platform, note: &EventNote) -> String {
    let mut hasher = DefaultHasher::new();
    (platform.uid(), &note.reason, &note.message).hash(&mut hasher);
    format!("{}.{:016x}", platform.name_any(), hasher.finish())
}

/// The longest beginning of `text` that fits into `bytes` and ends between two characters.
fn truncated(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use platform_core::api::PlatformSpec;

    use super::*;

    #[test]
    fn truncation_never_splits_a_character() {
        assert_eq!(truncated("short", 10), "short");
        assert_eq!(truncated("aé", 2), "a");
        assert_eq!(truncated("aé", 3), "aé");
    }

    #[test]
    fn other_words_are_another_event() {
        let note = |message: &str| EventNote {
            type_: EventType::Normal,
            reason: "Restored".into(),
            message: message.into(),
        };
        let platform = Platform::new("demo", PlatformSpec::default());
        assert_eq!(
            event_name(&platform, &note("a")),
            event_name(&platform, &note("a"))
        );
        assert_ne!(
            event_name(&platform, &note("a")),
            event_name(&platform, &note("b"))
        );
    }
}
