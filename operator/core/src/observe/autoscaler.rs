//! Autoscalers that do not scale, because nobody tells them of the load.

use serde_json::Value;

use crate::kinds::{Kind, ObjectKey};
use crate::step::Live;

/// Why the autoscaler of a workload keeps the number of pods as it is; None if it scales, or there is none.
pub(super) fn blindness(workload: &ObjectKey, live: &Live) -> Option<String> {
    let key = ObjectKey {
        kind: Kind::HorizontalPodAutoscaler,
        ..workload.clone()
    };
    let conditions = live
        .objects
        .get(&key)?
        .data
        .pointer("/status/conditions")?
        .as_array()?;
    let inactive = conditions
        .iter()
        .find(|condition| condition["type"] == "ScalingActive" && condition["status"] == "False")?;
    // It is off on purpose where a workload has no pods (`ScalingDisabled`).
    let is_blind = inactive["reason"]
        .as_str()
        .is_some_and(|reason| reason.starts_with("FailedGet"));
    is_blind.then(|| {
        inactive
            .get("message")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    })
}
