//! `render` and `plan`: what the operator would make of a file, and of what the cluster has.

mod assess;
mod draw;
mod images;

use anyhow::{Context as _, Result};
use platform_operator::{diff::diff, manifest::Manifest, render, settings::ManifestArgs};

pub use self::assess::{Action, Change, Effect, Plan, assess};
use self::images::operator_images;
use crate::{
    cli::PlanArgs,
    connection::Connection,
    output::{Outcome, tell},
};

/// The objects of the file's Platform as YAML.
pub fn render(arguments: &ManifestArgs) -> Result<String> {
    let manifest = Manifest::read(&arguments.file)?;
    Ok(render::render(
        manifest.platform,
        &arguments.settings.to_settings(),
    )?)
}

/// Shows what applying the file would change.
pub async fn run(connection: &Connection, arguments: &PlanArgs) -> Result<Outcome> {
    let manifest = Manifest::read(&arguments.manifest.file)?;
    let named = &arguments.manifest.settings;
    let settings = if arguments.has_images {
        named.to_settings()
    } else {
        match operator_images(connection).await {
            Ok(images) => images.to_settings(),
            Err(error) => {
                anstream::eprintln!("Images are those of this plugin's release: {error:#}");
                named.to_settings()
            }
        }
    };
    let compared = diff(&connection.cluster(), &manifest, &connection.namespace, &settings)
        .await
        .with_context(|| arguments.manifest.file.display().to_string())?;
    let plan = assess(&compared);
    tell(arguments.output, &plan, Plan::draw)?;
    Ok(plan.changes.is_empty().into())
}
