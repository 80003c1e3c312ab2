//! Two Platforms of one namespace that mean the same object: the first keeps it.

use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::{
    faulty::Faulty,
    fixture::{World, world},
};

/// With this name and this service, both Platforms mean `shop-eu-auth`: its claim, its Service, its Deployment.
async fn both(world: &World) {
    let spec = |service: &str| {
        json!({
            "services": [{"name": service, "image": "shop.test/auth:1", "port": 3001, "database": "Enabled"}],
            "telemetry": {"tracing": {"jaeger": {"type": "Disabled"}}},
        })
    };
    world.apply("shop-eu", spec("auth")).await;
    world.bring_up("shop-eu").await.unwrap();
    world.apply("shop", spec("eu-auth")).await;
}

/// The objects that both Platforms mean.
async fn shared(world: &World) -> Vec<(String, Value)> {
    let objects = world.snapshot().await;
    objects
        .into_iter()
        .filter(|(name, _)| name.contains("/shop-eu-auth"))
        .collect()
}

#[tokio::test]
async fn an_object_of_another_platform_is_left_alone_and_named() {
    let Some(world) = world("collisions").await else {
        return;
    };
    both(&world).await;
    let before = shared(&world).await;
    assert!(before.len() >= 4, "{before:?}");

    world.reconcile("shop").await.unwrap_err();
    world.reconcile("shop").await.unwrap_err();
    assert_eq!(shared(&world).await, before);
    let stalled = world.condition("shop", "Stalled").await;
    assert_eq!(
        (&stalled["status"], &stalled["reason"]),
        (&json!("True"), &json!("ApplyConflict"))
    );
    let message = stalled["message"].as_str().unwrap();
    assert!(message.contains("tracewell-operator/shop-eu"), "{message}");

    let undisturbed = Faulty::counting(&world);
    world.reconcile_with(&undisturbed, "shop-eu").await.unwrap();
    assert_eq!(undisturbed.writes(), 0, "the first does not even notice");

    // What the second one is given up for must not take the first one's data with it.
    let gone = DeleteParams::default();
    world.platforms().delete("shop", &gone).await.unwrap();
    assert_eq!(shared(&world).await, before);
}
