//! What waits.

use platform_core::kinds::Kind;
use platform_core::labels;
use platform_core::references::{Reference, references};
use platform_core::step::{Facts, Live};
use serde_json::{Value, json};

use crate::fixture::{
    applied, conditions, decide, decide_with, deployment_mut, key, platform, serving, state, with_pod,
};

fn names(live: &Live, spec: Value) -> (Vec<String>, Vec<String>) {
    let changes = decide(&platform(spec), live).changes;
    let now = changes.waves.iter().flat_map(|wave| &wave.applies);
    let held = changes.held.iter().map(|held| held.apply.key.name.clone());
    (now.map(|apply| apply.key.name.clone()).collect(), held.collect())
}

#[test]
fn a_service_is_made_once_those_it_depends_on_serve() {
    let spec = json!({"services": [{"name": "auth"}, {"name": "billing"}]});
    let mut live = applied(&platform(spec.clone()));
    live.objects.remove(&key(Kind::Deployment, "demo-billing"));
    assert_eq!(
        names(&live, spec.clone()),
        (vec![], vec!["demo-billing".to_owned()])
    );

    let mut live = serving(&platform(spec.clone()));
    live.objects.remove(&key(Kind::Deployment, "demo-billing"));
    assert_eq!(names(&live, spec), (vec!["demo-billing".to_owned()], vec![]));
}

#[test]
fn a_service_that_runs_is_not_held_by_one_that_is_on_its_way() {
    let before = platform(json!({"services": [{"name": "auth"}, {"name": "billing"}]}));
    let live = applied(&before);
    let after = json!({"services": [{"name": "auth"}, {"name": "billing", "replicas": 0}]});
    assert_eq!(names(&live, after), (vec!["demo-billing".to_owned()], vec![]));
}

#[test]
fn one_that_fails_is_not_waited_for() {
    let spec = json!({"services": [{"name": "auth"}, {"name": "billing"}]});
    let mut live = applied(&platform(spec.clone()));
    live.objects.remove(&key(Kind::Deployment, "demo-billing"));
    let waiting = json!({"waiting": {"reason": "ImagePullBackOff"}});
    let status = json!({"containerStatuses": [
        {"name": "auth", "image": "auth:typo", "imageID": "", "ready": false, "restartCount": 0, "state": waiting},
    ]});
    with_pod(&mut live, "auth", &status);
    assert_eq!(names(&live, spec), (vec!["demo-billing".to_owned()], vec![]));
}

fn with_secret(replicas: i32) -> Value {
    let env = json!([{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "vendor", "key": "key"}}}]);
    json!({"services": [
        {"name": "auth", "env": env, "replicas": replicas},
        {"name": "gateway", "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "vendor", "key": "a"}}}]},
    ]})
}

fn facts(secret: Option<&str>) -> Facts {
    Facts {
        references: [
            (Reference::secret("vendor"), secret.map(str::to_owned)),
            (Reference::config_map("vendor"), Some("1".to_owned())),
        ]
        .into(),
        ..Facts::default()
    }
}

#[test]
fn what_a_platform_refers_to_is_known_before_it_is_read() {
    let mut spec = with_secret(1);
    spec["telemetry"] = json!({"errors": {"dsnSecretRef": {"name": "sentry", "key": "dsn"}}});
    let names: Vec<_> = references(&platform(spec))
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(names, ["ConfigMap vendor", "Secret sentry", "Secret vendor"]);
}

#[test]
fn a_missing_secret_is_named_and_only_its_user_waits() {
    let platform = platform(with_secret(1));
    let output = decide_with(&platform, &Live::default(), &facts(None));
    let held: Vec<_> = output
        .changes
        .held
        .iter()
        .map(|held| held.apply.key.name.as_str())
        .collect();
    assert_eq!(held, ["demo-auth"]);
    assert_eq!(
        state(&output.status, "SecretsResolved"),
        ("False", "ReferenceMissing")
    );
    assert_eq!(state(&output.status, "Stalled"), ("True", "ReferenceMissing"));
    let message = conditions(&output.status)["Ready"].2;
    assert_eq!(
        message,
        "Deployment shop/demo-auth waits: Secret vendor is missing in namespace shop"
    );
}

#[test]
fn a_secret_that_nobody_may_look_at_is_not_checked_and_nothing_waits_for_it() {
    let platform = platform(with_secret(1));
    let mut facts = facts(None);
    facts.references.remove(&Reference::secret("vendor"));
    let hidden = Live {
        secrets_are_hidden: true,
        ..serving(&platform)
    };
    let output = decide_with(&platform, &hidden, &facts);
    assert!(output.changes.held.is_empty());
    let (status, reason, message) = conditions(&output.status)["SecretsResolved"];
    assert_eq!((status, reason), ("Unknown", "SecretsNotChecked"));
    assert_eq!(
        message,
        "not checked, since the operator may not look at Secrets in namespace shop: Secret vendor; a change of one restarts \
         no pod; allow it with: kubectl create rolebinding tracewell-secrets --namespace shop --clusterrole \
         tracewell-secrets --serviceaccount tracewell-system:tracewell"
    );
}

#[test]
fn a_password_that_nobody_may_make_is_waited_for_with_the_command_that_allows_it() {
    let platform = platform(json!({
        "services": [{"name": "auth"}, {"name": "gateway"}],
        "database": {"type": "Postgres"},
    }));
    let hidden = Live {
        secrets_are_hidden: true,
        ..Live::default()
    };
    let output = decide_with(&platform, &hidden, &Facts::default());
    let held = output.changes.held.iter().map(|held| &held.apply.key);
    let secrets = held.filter(|key| key.kind == Kind::Secret).count();
    assert_eq!(secrets, 3, "of the server, of its role, and the key that seals");
    let applied = output.changes.waves.iter().flat_map(|wave| &wave.applies);
    assert!(applied.clone().all(|apply| apply.key.kind != Kind::Secret));
    assert!(
        applied.clone().any(|apply| apply.key.name == "demo-jaeger"),
        "what needs none goes on"
    );
    assert_eq!(state(&output.status, "Stalled"), ("True", "SecretsForbidden"));
    assert!(
        conditions(&output.status)["Ready"]
            .2
            .contains("allow it with: kubectl create rolebinding")
    );
}

#[test]
fn a_secret_that_goes_later_takes_nothing_down() {
    let running = platform(with_secret(1));
    let mut live = serving(&running);
    // What runs was made while the Secret was there.
    let with_versions = decide_with(&running, &live, &facts(Some("1"))).changes;
    for apply in with_versions.waves.into_iter().flat_map(|wave| wave.applies) {
        let status = live.objects[&apply.key].data["status"].clone();
        let stored = live.objects.get_mut(&apply.key).expect("it is there");
        stored.metadata.annotations = apply.object.metadata.annotations;
        stored.data = apply.object.data;
        stored.data["status"] = status;
    }
    assert!(decide_with(&running, &live, &facts(Some("1"))).changes.is_empty());

    let gone = decide_with(&running, &live, &facts(None));
    assert!(gone.changes.waves.is_empty() && gone.changes.prunes.is_empty());
    assert_eq!(state(&gone.status, "ServicesAvailable").0, "True");
    assert_eq!(
        state(&gone.status, "SecretsResolved"),
        ("False", "ReferenceMissing")
    );
}

#[test]
fn a_changed_secret_rolls_the_pods_that_read_it_and_no_others() {
    let platform = platform(with_secret(1));
    let template = |version: &str, name: &str| {
        let changes = decide_with(&platform, &serving(&platform), &facts(Some(version))).changes;
        let applies = changes.waves.into_iter().flat_map(|wave| wave.applies);
        let mut found = applies.filter(|apply| apply.key == key(Kind::Deployment, name));
        let object = found.next().expect("it differs from one without versions").object;
        object.data["spec"]["template"].clone()
    };
    assert_ne!(template("1", "demo-auth"), template("2", "demo-auth"));
    assert_eq!(template("1", "demo-gateway"), template("2", "demo-gateway"));
    let annotations = &template("1", "demo-auth")["metadata"]["annotations"];
    assert!(annotations[labels::INPUTS_HASH].is_string(), "{annotations}");
}

#[test]
fn an_authority_is_waited_for_and_a_changed_one_rolls_the_collectors() {
    let platform = platform(
        json!({"services": [{"name": "auth"}], "telemetry": {"tracing": {"exporters": [{
            "name": "vendor", "endpoint": "https://vendor.example:4318", "caSecretRef": {"name": "vendor", "key": "ca"},
        }]}}}),
    );
    let output = decide_with(&platform, &Live::default(), &facts(None));
    assert_eq!(
        conditions(&output.status)["Ready"].2,
        "Deployment shop/demo-auth waits: Secret vendor is missing in namespace shop"
    );
    let inputs = |version: &str| {
        let changes = decide_with(&platform, &serving(&platform), &facts(Some(version))).changes;
        let mut applies = changes.waves.into_iter().flat_map(|wave| wave.applies);
        let object = applies
            .next()
            .expect("it differs from one without versions")
            .object;
        object.data["spec"]["template"]["metadata"]["annotations"][labels::INPUTS_HASH].clone()
    };
    assert_ne!(inputs("1"), inputs("2"));
}

#[test]
fn other_variables_do_not_move_the_version_of_the_inputs() {
    let live = serving(&platform(with_secret(1)));
    let annotation = |replicas| {
        let mut live = live.clone();
        deployment_mut(&mut live, "demo-auth").data["spec"]["replicas"] = json!(7);
        let changes = decide_with(&platform(with_secret(replicas)), &live, &facts(Some("1"))).changes;
        let applies = changes.waves.into_iter().flat_map(|wave| wave.applies);
        let mut found = applies.filter(|apply| apply.key == key(Kind::Deployment, "demo-auth"));
        let object = found.next().expect("it differs").object;
        object.data["spec"]["template"]["metadata"]["annotations"][labels::INPUTS_HASH].clone()
    };
    assert_eq!(annotation(0), annotation(1));
}

#[test]
fn whether_secrets_can_be_seen_matters_to_who_has_to_do_with_some() {
    let needs = |spec| {
        let platform = platform(spec);
        decide(&platform, &applied(&platform)).needs_secrets
    };
    assert!(!needs(json!({})));
    assert!(needs(json!({"database": {"type": "Postgres"}})));
    let sentry = json!({"dsnSecretRef": {"name": "sentry", "key": "dsn"}});
    assert!(needs(json!({"telemetry": {"errors": sentry}})));
    let refused = platform(json!({"services": [{"name": "auth", "dependsOn": ["nobody"]}]}));
    assert!(
        decide(&refused, &Live::default()).needs_secrets,
        "it is not known"
    );
}
