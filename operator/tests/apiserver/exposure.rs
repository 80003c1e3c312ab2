//! Ways in: two Platforms never share a host, and what opens the way is waited for.

use kube::api::{DeleteParams, Patch, PatchParams};
use platform_core::kinds::Kind;
use serde_json::{Value, json};

use crate::fixture::world;

#[tokio::test]
async fn a_host_belongs_to_the_older_platform_until_that_is_gone() {
    let Some(world) = world("hosts").await else { return };
    let spec = json!({
        "services": [{"name": "gateway"}],
        "exposure": {"type": "Ingress", "ingress": {"host": "hosts.example.com"}},
    });
    world.apply("older", spec.clone()).await;
    world.bring_up("older").await.unwrap();
    world.apply("younger", spec).await;
    world.reconcile("younger").await.unwrap();
    let accepted = world.condition("younger", "Accepted").await;
    assert_eq!(accepted["status"], "False");
    assert_eq!(
        accepted["message"],
        "spec.exposure: host hosts.example.com is taken by Platform hosts/older; choose another"
    );
    world.bring_up("older").await.unwrap();
    assert_eq!(world.condition("older", "Ready").await["status"], "True");

    world
        .platforms()
        .delete("older", &DeleteParams::default())
        .await
        .unwrap();
    world.bring_up("younger").await.unwrap();
}

/// The default of `exposure.nodePort` is everybody's: these are of this test alone.
fn on_nodes(gateway: u16, jaeger: u16) -> Value {
    json!({
        "services": [{"name": "gateway"}],
        "exposure": {"type": "NodePort", "nodePort": {"gateway": gateway, "jaeger": jaeger}},
    })
}

#[tokio::test]
async fn a_node_port_belongs_to_the_platform_that_has_it_until_that_is_gone() {
    let Some(world) = world("ports").await else { return };
    let inside = json!({"services": [{"name": "gateway"}]});
    world.apply("older", inside).await;
    world.apply("younger", on_nodes(32101, 32102)).await;
    for name in ["older", "younger"] {
        world.bring_up(name).await.unwrap();
    }
    // It is the younger one that has the port, and the older one that comes too late.
    world.apply("older", on_nodes(32102, 32103)).await;
    world.reconcile("older").await.unwrap();
    let accepted = world.condition("older", "Accepted").await;
    assert_eq!(
        accepted["message"],
        "spec.exposure: node port 32102 is taken by Platform ports/younger; choose another"
    );
    world.bring_up("younger").await.unwrap();
    assert_eq!(world.condition("younger", "Ready").await["status"], "True");

    world.delete_everything("younger").await;
    world.bring_up("older").await.unwrap();
    assert_eq!(world.condition("older", "Ready").await["status"], "True");

    // And the younger one of two, the usual way round.
    world.apply("late", on_nodes(32103, 32104)).await;
    world.reconcile("late").await.unwrap();
    assert_eq!(
        world.condition("late", "Accepted").await["message"],
        "spec.exposure: node port 32103 is taken by Platform ports/older; choose another"
    );
    world.delete_everything("older").await;
    world.bring_up("late").await.unwrap();
}

/// Neither has heard of the other when it is accepted: of the first nothing is told yet when the second, which is older, comes.
#[tokio::test]
async fn of_two_platforms_that_were_accepted_at_once_the_one_whose_service_has_the_port_keeps_it() {
    let Some(world) = world("at-once").await else {
        return;
    };
    world
        .apply("older", json!({"services": [{"name": "gateway"}]}))
        .await;
    world.apply("younger", on_nodes(32111, 32112)).await;
    world.reconcile("younger").await.unwrap();
    let untold = json!({"status": null});
    world
        .platforms()
        .patch_status("younger", &PatchParams::default(), &Patch::Merge(&untold))
        .await
        .unwrap();
    world.apply("older", on_nodes(32111, 32113)).await;
    let refused = world.reconcile("older").await.unwrap_err().to_string();
    assert!(refused.contains("older-gateway"), "{refused}");
    let status = world.platforms().get("older").await.unwrap().status.unwrap();
    assert_eq!(status.url, None, "it would lead to the other Platform");

    world.bring_up("younger").await.unwrap();
    world.reconcile("older").await.unwrap();
    let accepted = world.condition("older", "Accepted").await;
    assert_eq!(
        accepted["message"],
        "spec.exposure: node port 32111 is taken by Platform at-once/younger; choose another"
    );
    world.delete_everything("younger").await;
    world.bring_up("older").await.unwrap();
    world.delete_everything("older").await;
}

#[tokio::test]
async fn an_ingress_is_open_once_a_controller_gave_it_an_address() {
    let Some(world) = world("ingress").await else {
        return;
    };
    let spec = json!({
        "services": [{"name": "gateway"}],
        "exposure": {"type": "Ingress", "ingress": {"host": "ingress.example.com", "tlsSecretRef": {"name": "tls"}}},
    });
    world.apply("demo", spec).await;
    world.bring_up("demo").await.unwrap();
    let exposed = world.condition("demo", "Exposed").await;
    assert_eq!(
        (&exposed["status"], &exposed["reason"]),
        (&json!("False"), &json!("EntranceWaiting"))
    );

    let address = json!({"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}});
    world
        .objects(Kind::Ingress)
        .patch_status("demo-gateway", &PatchParams::default(), &Patch::Merge(&address))
        .await
        .unwrap();
    world.reconcile("demo").await.unwrap();
    assert_eq!(world.condition("demo", "Exposed").await["status"], "True");
    let status = world.platforms().get("demo").await.unwrap().status.unwrap();
    assert_eq!(status.url.as_deref(), Some("https://ingress.example.com"));
}
