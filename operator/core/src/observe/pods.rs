//! What pods say about why they do not serve.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{
    Container, ContainerStateTerminated, ContainerStatus, Pod, PodCondition, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use serde_json::Value;

use super::Cause;
use crate::labels;
use crate::reason::Reason;
use crate::step::Live;

/// A pod that no node takes, or whose probe fails, is left in peace for so long: at first that is quite normal.
const PATIENCE: SignedDuration = SignedDuration::from_secs(20);
/// Label of a pod: name of its Job. The Job controller sets it.
const JOB_NAME: &str = "batch.kubernetes.io/job-name";
/// Longest text taken from a pod, in characters.
const TEXT_SHOWN: usize = 512;

/// The most urgent cause among the pods of `app`; None if all of them serve, or are on the way.
pub(super) fn find_cause(live: &Live, app: &str, now: Timestamp) -> Option<Cause> {
    live.pods
        .iter()
        .filter(|pod| pod.labels().get(labels::NAME).is_some_and(|name| name == app))
        .filter_map(|pod| pod_cause(pod, now))
        .min()
}

/// How the last attempt of a Job ended; None if no pod of it ended with an error.
pub(super) fn find_end(live: &Live, job: &str) -> Option<String> {
    live.pods
        .iter()
        .filter(|pod| pod.labels().get(JOB_NAME).is_some_and(|name| name == job))
        .filter_map(|pod| {
            let containers = pod.status.as_ref()?.container_statuses.as_ref()?;
            let end = containers
                .iter()
                .find_map(|container| crash_cause(pod, container))?;
            Some((pod.creation_timestamp(), end.message))
        })
        .max_by(|one, other| one.0.cmp(&other.0))
        .map(|(_, message)| message)
}

/// Why a pod does not serve; None if it serves, or is on the way. One that is going, or that was evicted, is replaced by
/// another.
pub fn pod_cause(pod: &Pod, now: Timestamp) -> Option<Cause> {
    let status = pod.status.as_ref()?;
    if pod.metadata.deletion_timestamp.is_some()
        || status.phase.as_deref() == Some("Failed")
        || condition(status, "Ready").is_some_and(|ready| ready.status == "True")
    {
        return None;
    }
    let containers = status
        .init_container_statuses
        .iter()
        .flatten()
        .chain(status.container_statuses.iter().flatten());
    let of_containers = containers
        .filter(|container| !container.ready)
        .filter_map(|container| {
            waiting_cause(container)
                .or_else(|| crash_cause(pod, container))
                .or_else(|| probe_cause(pod, container, now))
        });
    of_containers.chain(scheduling_cause(status, now)).min()
}

/// A container that cannot start.
fn waiting_cause(container: &ContainerStatus) -> Option<Cause> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let said = waiting.message.as_deref().unwrap_or_default();
    let (reason, what) = match waiting.reason.as_deref()? {
        "ErrImagePull"
        | "ImagePullBackOff"
        | "InvalidImageName"
        | "ErrImageNeverPull"
        | "RegistryUnavailable"
        | "ImageInspectError" => (
            Reason::ImagePullFailed,
            format!("image {} cannot be pulled", container.image),
        ),
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" | "StartError" => {
            (Reason::ContainerConfigInvalid, "cannot be started".to_owned())
        }
        _ => return None,
    };
    Some(Cause {
        reason,
        message: sentence(&container.name, &what, without_back_off(said)),
    })
}

/// A container that ended with an error, whether it waits for its next start or has started again.
fn crash_cause(pod: &Pod, container: &ContainerStatus) -> Option<Cause> {
    let state = |state: &Option<k8s_openapi::api::core::v1::ContainerState>| {
        state.as_ref().and_then(|state| state.terminated.clone())
    };
    let end: ContainerStateTerminated = state(&container.state)
        .or_else(|| state(&container.last_state))
        .filter(|end| end.exit_code != 0)?;
    if end.reason.as_deref() == Some("OOMKilled") {
        let message = sentence(
            &container.name,
            "was killed for using more memory than its limit",
            "",
        );
        return Some(Cause {
            reason: Reason::OutOfMemory,
            message,
        });
    }
    let what = format!("ended with exit code {}", end.exit_code);
    let last_words = end.message.as_deref().map(last_words).unwrap_or_default();
    if let Some(missing) = missing_key(pod, &container.name, &last_words) {
        return Some(Cause {
            reason: Reason::ContainerConfigInvalid,
            message: sentence(&container.name, "cannot be started", &missing),
        });
    }
    Some(Cause {
        reason: Reason::ContainerCrashed,
        message: sentence(&container.name, &what, &last_words),
    })
}

/// The key of a Secret that a program missed as a file, in the kubelet's words about one that is missed as a variable. The
/// operator knows no Secret's keys; where each is mounted it does.
fn missing_key(pod: &Pod, container: &str, said: &str) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let mut containers = spec.init_containers.iter().flatten().chain(&spec.containers);
    let mounts = containers
        .find(|spec| spec.name == container)?
        .volume_mounts
        .as_ref()?;
    mounts.iter().find_map(|mount| {
        let mut volumes = spec.volumes.iter().flatten();
        let source = volumes
            .find(|volume| volume.name == mount.name)?
            .secret
            .as_ref()?;
        let is_missed = |path: &str| said.contains(&format!("{}/{path}: no such file", mount.mount_path));
        let item = source.items.iter().flatten().find(|item| is_missed(&item.path))?;
        let (namespace, secret) = (pod.namespace()?, source.secret_name.as_ref()?);
        Some(format!(
            "couldn't find key {} in Secret {namespace}/{secret}",
            item.key
        ))
    })
}

/// A container that runs but does not pass its probe.
fn probe_cause(pod: &Pod, container: &ContainerStatus, now: Timestamp) -> Option<Cause> {
    let running = container.state.as_ref()?.running.as_ref()?;
    let spec = lasting_containers(pod).find(|spec| spec.name == container.name)?;
    // Until the startup probe has passed once, the kubelet asks for nothing else.
    let startup = spec
        .startup_probe
        .as_ref()
        .filter(|_| container.started != Some(true));
    let probe = startup.or(spec.readiness_probe.as_ref());
    let path = probe
        .and_then(|probe| probe.http_get.as_ref())
        .and_then(|get| get.path.as_deref())
        .unwrap_or("its probe");
    is_past_patience(running.started_at.as_ref(), now).then(|| Cause {
        reason: Reason::ProbeFailing,
        message: sentence(
            &container.name,
            &format!("runs, but does not answer {path} with success"),
            "",
        ),
    })
}

/// The containers that have to be ready: the pod's own and its native sidecars. Any other init container is not ready
/// while it runs, and ends by itself.
fn lasting_containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    let spec = pod.spec.iter();
    spec.flat_map(|spec| {
        let init_containers = spec.init_containers.iter().flatten();
        let sidecars =
            init_containers.filter(|container| container.restart_policy.as_deref() == Some("Always"));
        sidecars.chain(&spec.containers)
    })
}

/// A pod that no node takes.
fn scheduling_cause(status: &PodStatus, now: Timestamp) -> Option<Cause> {
    let scheduled = condition(status, "PodScheduled").filter(|scheduled| {
        scheduled.status == "False" && is_past_patience(scheduled.last_transition_time.as_ref(), now)
    })?;
    let message = cut(scheduled.message.as_deref().unwrap_or("no node takes the pod")).to_owned();
    let said = message.to_ascii_lowercase();
    // The scheduler's own words: unbound claims, and claims that its volume binder waits for.
    let is_volume = said.contains("persistentvolumeclaim") || said.contains("binding volumes");
    let reason = if is_volume {
        Reason::VolumePending
    } else {
        Reason::Unschedulable
    };
    Some(Cause { reason, message })
}

fn condition<'a>(status: &'a PodStatus, type_: &str) -> Option<&'a PodCondition> {
    status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == type_)
}

fn is_past_patience(since: Option<&Time>, now: Timestamp) -> bool {
    since.is_some_and(|since| now.duration_since(since.0) > PATIENCE)
}

fn sentence(container: &str, what: &str, said: &str) -> String {
    if said.is_empty() {
        format!("container {container} {what}")
    } else {
        format!("container {container} {what}: {}", cut(said))
    }
}

/// The kubelet's message without the words that come and go between two attempts, so that the status stays the same.
fn without_back_off(message: &str) -> &str {
    let detail = match message.strip_prefix("Back-off pulling image ") {
        Some(rest) => rest.split_once(": ").map_or("", |(_, detail)| detail),
        None => message,
    };
    detail.strip_prefix("ErrImagePull: ").unwrap_or(detail)
}

/// The last line that says something. A log line in JSON is reduced to its message and error: the rest, such as
/// the time, differs with each attempt.
fn last_words(message: &str) -> String {
    let line = message
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default()
        .trim();
    let Ok(Value::Object(fields)) = serde_json::from_str(line) else {
        return line.to_owned();
    };
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let error = fields.get("err").and_then(|err| text(err.get("message")));
    match (text(fields.get("msg")), error) {
        (Some(message), Some(error)) => format!("{message}: {error}"),
        (Some(text), None) | (None, Some(text)) => text,
        (None, None) => line.to_owned(),
    }
}

fn cut(text: &str) -> &str {
    text.char_indices()
        .nth(TEXT_SHOWN)
        .and_then(|(end, _)| text.get(..end))
        .unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pull_that_is_tried_again_says_the_same() {
        let first = r#"failed to pull and unpack image "x:1": not found"#;
        let again = format!(r#"Back-off pulling image "x:1": ErrImagePull: {first}"#);
        assert_eq!(without_back_off(&again), first);
        assert_eq!(without_back_off(first), first);
        assert_eq!(without_back_off(r#"Back-off pulling image "x:1""#), "");
    }

    #[test]
    fn last_words_are_those_of_the_error() {
        assert_eq!(
            last_words("starting\nError: no such table\n\n"),
            "Error: no such table"
        );
        let line = r#"{"level":50,"time":17,"msg":"cannot start","err":{"message":"port 3000 is in use"}}"#;
        assert_eq!(last_words(line), "cannot start: port 3000 is in use");
        assert_eq!(last_words(""), "");
    }

    #[test]
    fn texts_are_cut_at_a_character() {
        assert_eq!(cut(&"ä".repeat(600)).chars().count(), TEXT_SHOWN);
        assert_eq!(cut("short"), "short");
    }
}
