//! `tracewell-operator render`: the objects of a Platform, decided without a cluster.

use platform_core::{
    api::Platform,
    desired::Desired,
    resolve::resolve,
    settings::Settings,
    step::{Facts, Output},
};

/// Stands for the uid that the API server would give the Platform.
const NO_UID: &str = "00000000-0000-0000-0000-000000000000";

/// Why nothing was rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The Platform asks for something that cannot be built.
    #[error("{0}")]
    NotAccepted(String),
    /// An object could not be written as YAML.
    #[error("an object cannot be written as YAML: {0}")]
    Yaml(#[from] serde_saphyr::SerializeError),
}

/// Every object of the Platform in a cluster that has none of them, in the order of applying, as a YAML stream.
pub fn render(mut platform: Platform, settings: &Settings) -> Result<String, RenderError> {
    platform
        .metadata
        .namespace
        .get_or_insert_with(|| "default".to_owned());
    platform.metadata.uid.get_or_insert_with(|| NO_UID.to_owned());
    let resolved = resolve(&platform, &Facts::default(), settings).map_err(|violations| {
        let texts: Vec<_> = violations.iter().map(ToString::to_string).collect();
        RenderError::NotAccepted(texts.join("; "))
    })?;
    let mut stream = String::new();
    for (_, object) in Desired::new(&resolved).iter() {
        stream.push_str("---\n");
        stream.push_str(&serde_saphyr::to_string(object)?);
    }
    Ok(stream)
}

/// An error where the Platform is not [`Accepted`](platform_core::api::PlatformStatus::conditions).
pub(crate) fn refuse_unaccepted(output: &Output) -> Result<(), RenderError> {
    let accepted = output
        .status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "Accepted");
    match accepted {
        Some(condition) if condition.status == "False" => {
            Err(RenderError::NotAccepted(condition.message.clone()))
        }
        _ => Ok(()),
    }
}
