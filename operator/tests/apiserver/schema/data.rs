//! What says where data is, and cannot be changed.

use serde_json::{Value, json};

use super::cases::CASES_OF_THEIR_OWN;
use crate::fixture::world;

#[tokio::test]
async fn where_data_is_cannot_be_changed() {
    let Some(world) = world("storage").await else {
        return;
    };
    let postgres = |postgres: Value| json!({"database": {"type": "Postgres", "postgres": postgres}});
    let embedded = |size: &str| json!({"database": {"embedded": {"storage": {"size": size}}}});
    let class = |class: &str| postgres(json!({"storage": {"storageClassName": class}}));
    let backup = |size: &str, count: i32| {
        postgres(json!({"backup": {"retainCount": count, "storage": {"size": size}}}))
    };
    // Before, after, and a part of the refusal; None where it is taken.
    let changes = [
        (
            json!({}),
            json!({"database": {"type": "Postgres"}}),
            Some(CASES_OF_THEIR_OWN[1]),
        ),
        // What stands for a type that is left out changes with the profile.
        (
            json!({}),
            json!({"profile": "Production"}),
            Some(CASES_OF_THEIR_OWN[1]),
        ),
        (
            json!({}),
            json!({"profile": "Production", "database": {"type": "Embedded"}}),
            None,
        ),
        (
            json!({"profile": "Production"}),
            json!({"database": {"type": "Postgres"}}),
            None,
        ),
        (json!({}), embedded("2Gi"), Some(CASES_OF_THEIR_OWN[2])),
        (json!({}), embedded("1Gi"), None),
        (embedded("2Gi"), json!({}), Some(CASES_OF_THEIR_OWN[2])),
        (postgres(json!({})), class("fast"), Some(CASES_OF_THEIR_OWN[2])),
        (class("fast"), postgres(json!({})), Some(CASES_OF_THEIR_OWN[2])),
        (class("fast"), class("fast"), None),
        (backup("1Gi", 3), backup("2Gi", 3), Some(CASES_OF_THEIR_OWN[3])),
        (backup("1Gi", 3), backup("1Gi", 4), None),
        (postgres(json!({})), backup("2Gi", 3), None),
    ];
    for (number, (before, after, refusal)) in changes.into_iter().enumerate() {
        let name = format!("demo-{number}");
        world.apply(&name, before).await;
        let answer = world.try_apply(&name, after.clone()).await;
        match refusal {
            None => drop(answer.unwrap_or_else(|error| panic!("{after}: {error}"))),
            Some(sentence) => {
                let said = answer.expect_err(sentence).to_string();
                assert!(said.contains(sentence), "{said}\nshould say\n{sentence}");
            }
        }
    }
}
