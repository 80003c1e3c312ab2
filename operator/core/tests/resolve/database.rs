//! What is said of databases, and what they are.

use platform_core::api::Storage;
use platform_core::resolve::{Database, Scale};
use serde_json::{Value, json};

use super::{accept, assert_named, refuse};

#[test]
fn rules_about_databases_are_named() {
    let violations = refuse(json!({
        "services": [
            {"name": "gateway", "migrations": {"args": ["migrate"]}},
            {"name": "auth", "databaseURLSecretRef": {"name": "n", "key": "k"}, "migrations": {"deadlineSeconds": 5}},
        ],
        "database": {
            "type": "Postgres",
            "embedded": {},
            "external": {"urlSecretRef": {"name": "n"}},
            "postgres": {
                "storage": {"size": "1Mi"},
                "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}},
                "backup": {"retainCount": 0, "storage": {"size": "much"}},
            },
        },
    }));
    let expected = [
        "services[gateway].migrations: allowed only for a service with a database",
        "services[auth].databaseURLSecretRef: allowed only when database.type is External",
        "services[auth].migrations: command or args is required",
        "migrations.deadlineSeconds: 5 must be between 10 and 86400",
        "spec.database.embedded: allowed only when database.type is of the same name; left out, it is Embedded with profile Local, Postgres with profile Production",
        "spec.database.external: allowed only when database.type is of the same name; left out, it is Embedded with profile Local, Postgres with profile Production",
        "spec.database.postgres.storage.size: `1Mi` must be a quantity such as 1Gi, at least 128Mi",
        "spec.database.postgres.backup.storage.size: `much` must be a quantity",
        "spec.database.postgres.resources: requests.cpu must be less than or equal to limits.cpu",
        "backup.retainCount: 0 must be between 1 and 365",
    ];
    assert_named(&violations, &expected);
}

#[test]
fn a_profile_chooses_the_database_that_the_spec_leaves_out() {
    let database = |profile: &str, database: Value| {
        let resolved =
            accept(json!({"profile": profile, "services": [{"name": "auth"}], "database": database}));
        let auth = resolved.service("auth").unwrap().clone();
        (resolved.postgres.is_some(), auth.database, auth.scale)
    };
    let embedded = Some(Database::File(Storage::default()));
    let server = (true, Some(Database::Managed), Scale::Fixed(2));
    assert_eq!(
        database("Local", json!({})),
        (false, embedded.clone(), Scale::Fixed(1))
    );
    assert_eq!(database("Production", json!({})), server);
    assert_eq!(database("Production", json!({"postgres": {}})), server);
    assert_eq!(
        database("Production", json!({"type": "Embedded"})),
        (false, embedded, Scale::Fixed(1))
    );
    assert_eq!(
        database("Local", json!({"type": "Postgres"})),
        (true, Some(Database::Managed), Scale::Fixed(1))
    );
}

#[test]
fn each_external_database_has_its_url() {
    let url = |spec: Value, name: &str| match accept(spec).service(name).and_then(|s| s.database.clone()) {
        Some(Database::External(reference)) => (reference.name, reference.key),
        other => panic!("{other:?}"),
    };
    let external = |reference: Value| json!({"type": "External", "external": {"urlSecretRef": reference}});
    let shared = json!({
        "services": [{"name": "auth"}, {"name": "chat", "databaseURLSecretRef": {"name": "own", "key": "url"}}],
        "database": external(json!({"name": "all"})),
    });
    assert_eq!(url(shared.clone(), "auth"), ("all".to_owned(), "auth".to_owned()));
    assert_eq!(url(shared.clone(), "chat"), ("own".to_owned(), "url".to_owned()));

    let mut with_key = shared;
    with_key["database"] = external(json!({"name": "all", "key": "url"}));
    assert_eq!(
        url(with_key.clone(), "auth"),
        ("all".to_owned(), "url".to_owned())
    );
    with_key["services"] = json!([{"name": "auth"}, {"name": "chat"}]);
    assert_eq!(
        refuse(with_key),
        [
            "spec.database.external.urlSecretRef.key: auth, chat would use one database; without the key, each uses the \
          key of its own name"
        ]
    );
    assert_eq!(
        refuse(json!({"services": [{"name": "auth"}], "database": {"type": "External"}})),
        [
            "spec.services[auth]: its database is External, so spec.database.external or databaseURLSecretRef is required"
        ]
    );
}

#[test]
fn schemas_are_brought_up_to_date_by_what_the_image_has() {
    let args = |spec: Value, name: &str| {
        let migrations = accept(spec).service(name).and_then(|s| s.migrations.clone());
        migrations.map(|m| m.command.into_iter().chain(m.args).flatten().collect::<Vec<_>>())
    };
    let migrate = Some(vec!["migrate".to_owned()]);
    let postgres = json!({"type": "Postgres"});
    assert_eq!(args(json!({"database": postgres}), "auth"), migrate);
    assert_eq!(args(json!({"database": postgres}), "gateway"), None);
    assert_eq!(
        args(json!({}), "auth"),
        None,
        "a file is brought forward by its service"
    );
    let mine = |more: Value| {
        let mut service = json!({"name": "mine", "image": "x", "port": 80, "database": "Enabled"});
        service
            .as_object_mut()
            .expect("an object")
            .extend(more.as_object().cloned().unwrap_or_default());
        json!({"services": [service], "database": postgres})
    };
    assert_eq!(args(mine(json!({})), "mine"), None);
    assert_eq!(
        args(
            mine(json!({"migrations": {"command": ["/up"], "args": ["--all"]}})),
            "mine"
        ),
        Some(vec!["/up".to_owned(), "--all".to_owned()])
    );
}
