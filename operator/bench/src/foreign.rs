//! Objects that are nobody's business.

use std::time::Duration;

use anyhow::Result;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client, api::PostParams, core::ObjectMeta};
use platform_envtest::{Operator, create_namespace};
use tracewell_e2e::figures::Figure;

use crate::{
    platforms::CONCURRENCY,
    units::{mebibytes, percent},
    world::World,
};

const NAMESPACE: &str = "foreign";

/// How long the CPU time is taken, with and without them.
const WINDOW: Duration = Duration::from_secs(30);

/// What so many `ConfigMap`s and Secrets of others cost the operator.
pub(crate) async fn cost(world: &World, operator: &Operator, count: usize) -> Result<Vec<Figure>> {
    let before = idle(operator).await?;
    let memory = operator.usage()?.resident;
    create(&world.client, count).await?;
    world.settled().await?;
    let more_memory = mebibytes(operator.usage()?.resident) - mebibytes(memory);
    let more_cpu = idle(operator).await? - before;
    let of = |what: &str| format!("{count} objects of others: {what}");
    Ok(vec![
        Figure::at_most(
            of("more resident memory"),
            more_memory,
            1.0,
            "<= 1 MiB",
            format!("{more_memory:.1} MiB"),
        ),
        Figure::at_most(
            of("more CPU"),
            more_cpu,
            1.0,
            "<= 1 %",
            format!("{more_cpu:.2} %"),
        ),
    ])
}

/// CPU of the operator in percent of a core while nothing happens.
async fn idle(operator: &Operator) -> Result<f64> {
    let before = operator.usage()?;
    // A window of time is what is measured here.
    tokio::time::sleep(WINDOW).await;
    Ok(percent(&before, &operator.usage()?, WINDOW))
}

async fn create(client: &Client, count: usize) -> Result<()> {
    create_namespace(client, NAMESPACE).await?;
    let config_maps = Api::<ConfigMap>::namespaced(client.clone(), NAMESPACE);
    let secrets = Api::<Secret>::namespaced(client.clone(), NAMESPACE);
    stream::iter(0..count)
        .map(|number| {
            let (config_maps, secrets) = (&config_maps, &secrets);
            let metadata = ObjectMeta {
                name: Some(format!("foreign-{number}")),
                ..ObjectMeta::default()
            };
            let data = Some([("key".to_owned(), "x".repeat(200))].into());
            async move {
                let params = PostParams::default();
                if number % 2 == 0 {
                    let config_map = ConfigMap {
                        metadata,
                        data,
                        ..ConfigMap::default()
                    };
                    config_maps.create(&params, &config_map).await.map(drop)
                } else {
                    let secret = Secret {
                        metadata,
                        string_data: data,
                        ..Secret::default()
                    };
                    secrets.create(&params, &secret).await.map(drop)
                }
            }
        })
        .buffer_unordered(CONCURRENCY)
        .try_collect::<()>()
        .await?;
    Ok(())
}
