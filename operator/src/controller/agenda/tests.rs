use super::{
    super::edits::{END_OF_ROW, LONGEST_REST_OF_EDITS},
    *,
};

const HOUR: Duration = Duration::from_hours(1);
const ANEW: Result<Look, Duration> = Ok(Look::Anew);

/// After news of a Deployment.
fn after_news() -> Look {
    Look::After([Kind::Deployment].into())
}

fn key() -> PlatformKey {
    PlatformKey::new("shop", "demo")
}

fn mark(version: &str) -> Mark {
    Mark::new(Some(Kind::Deployment), "demo-auth", version)
}

fn wrote(version: &str) -> Outcome {
    Outcome {
        written: vec![mark(version)],
        ..Outcome::default()
    }
}

/// One that was looked at, wrote version 7, and is due in an hour.
fn looked_at() -> (Agenda, Instant) {
    let (agenda, start) = (Agenda::default(), Instant::now());
    assert_eq!(agenda.begin(&key(), start), ANEW, "it was never looked at");
    agenda.end(&key(), wrote("7"), start, start + HOUR);
    (agenda, start + PACE)
}

#[test]
fn where_nothing_happens_nobody_looks_until_it_is_due() {
    let (agenda, now) = looked_at();
    assert_eq!(agenda.begin(&key(), now), Err(HOUR.saturating_sub(PACE)));
    assert_eq!(agenda.begin(&key(), now + HOUR), ANEW);
}

#[test]
fn a_spec_that_changes_is_an_edit_until_it_is_acted_on() {
    let (agenda, now) = looked_at();
    assert!(!agenda.has_edit(&key()), "none was told of");
    // Another operator may have acted on it, and this one finds that out.
    for (generation, is_edit) in [(1, true), (2, true), (3, false), (4, true)] {
        agenda.told_of_spec(&key(), Some(generation));
        assert!(agenda.has_edit(&key()));
        agenda.end(&key(), Outcome::default(), now, now + HOUR);
        assert!(agenda.has_edit(&key()), "that look failed");
        let acted = Outcome {
            generation: Some(generation),
            is_edit,
            ..Outcome::default()
        };
        agenda.end(&key(), acted, now, now + HOUR);
        assert!(!agenda.has_edit(&key()));
    }
}

#[test]
fn its_own_writes_are_no_news_and_anything_else_is() {
    let (agenda, now) = looked_at();
    agenda.told_of(&key(), mark("7"));
    assert!(agenda.begin(&key(), now).is_err());
    agenda.told_of(&key(), mark("7"));
    assert_eq!(
        agenda.begin(&key(), now),
        Ok(after_news()),
        "the echo came already"
    );

    let (agenda, now) = looked_at();
    agenda.told_of(&key(), mark("8"));
    assert_eq!(agenda.begin(&key(), now), Ok(after_news()));
    agenda.end(&key(), Outcome::default(), now, now + HOUR);
    assert!(agenda.begin(&key(), now + PACE).is_err(), "it is news once");
}

#[test]
fn what_is_told_before_the_write_is_answered_is_no_news_either() {
    let (agenda, now) = looked_at();
    agenda.told_of(&key(), mark("8"));
    assert_eq!(agenda.begin(&key(), now), Ok(after_news()));
    agenda.told_of(&key(), mark("9"));
    agenda.end(&key(), wrote("9"), now, now + HOUR);
    assert!(agenda.begin(&key(), now + PACE).is_err());
}

#[test]
fn news_during_a_look_lead_to_another_one_at_the_pace() {
    let (agenda, now) = looked_at();
    agenda.ask_for(&key());
    assert_eq!(agenda.begin(&key(), now), ANEW);
    agenda.told_of(&key(), mark("8"));
    agenda.end(&key(), Outcome::default(), now, now + HOUR);
    let half = PACE / 2;
    assert_eq!(agenda.begin(&key(), now + half), Err(half));
    assert_eq!(agenda.begin(&key(), now + PACE), Ok(after_news()));
}

#[test]
fn news_name_their_kind_and_a_platform_none() {
    let (agenda, now) = looked_at();
    let service = Mark::new(Some(Kind::Service), "demo-auth", "7");
    assert_ne!(service, mark("7"));
    for mark in [service, mark("7"), Mark::new(None, "demo", "8")] {
        agenda.told_of(&key(), mark);
    }
    let look = agenda.begin(&key(), now);
    assert_eq!(
        look,
        Ok(Look::After([Kind::Service].into())),
        "the Deployment is its own"
    );
}

#[test]
fn a_status_that_could_wait_is_no_reason_to_list() {
    let (agenda, now) = looked_at();
    agenda.ask_for(&key());
    assert_eq!(agenda.begin(&key(), now), ANEW);
    for is_to_tell in [true, false] {
        let outcome = Outcome {
            is_to_tell,
            ..Outcome::default()
        };
        agenda.end(&key(), outcome, now, now + PROGRESS_PACE);
        let look = agenda.begin(&key(), now + PROGRESS_PACE);
        let nothing = Look::After(BTreeSet::new());
        assert_eq!(look, Ok(if is_to_tell { nothing } else { Look::Anew }));
    }
}

#[test]
fn whatever_the_news_are_everything_is_listed_once_a_minute() {
    let (agenda, mut now) = looked_at();
    let mut anew = 0;
    for second in 1..=180 {
        now += Duration::from_secs(1);
        agenda.told_of(
            &key(),
            Mark::new(Some(Kind::Pod), "demo-auth-1", &second.to_string()),
        );
        anew += u32::from(agenda.begin(&key(), now) == ANEW);
        agenda.end(&key(), Outcome::default(), now, now + HOUR);
    }
    assert_eq!(anew, 3);
}

#[test]
fn the_longer_a_look_takes_the_longer_is_the_rest() {
    let (agenda, mut now) = looked_at();
    for (took, rest) in [
        (Duration::from_millis(10), PACE),
        (Duration::from_millis(150), Duration::from_millis(1800)),
        (Duration::from_secs(10), LONGEST_REST),
    ] {
        now += HOUR;
        assert_eq!(agenda.begin(&key(), now), ANEW);
        let ended = now + took;
        agenda.end(&key(), Outcome::default(), ended, ended);
        assert_eq!(agenda.begin(&key(), ended), Err(rest));
    }
}

/// The watch tells of the Platform, with a spec of this generation.
fn tell_of_platform(agenda: &Agenda, generation: i64, version: &str) {
    agenda.told_of_spec(&key(), Some(generation));
    agenda.told_of(&key(), Mark::new(None, "demo", version));
}

/// Acts on an edit when it may, by a look of this length, and gives how long it waited. It is `now` when that ends.
fn act_on_edit(agenda: &Agenda, now: &mut Instant, generation: i64, took: Duration) -> Duration {
    tell_of_platform(agenda, generation, &generation.to_string());
    let wait = match agenda.begin(&key(), *now) {
        Ok(_) => Duration::ZERO,
        Err(wait) => {
            *now += wait;
            assert!(agenda.begin(&key(), *now).is_ok());
            wait
        }
    };
    *now += took;
    let outcome = Outcome {
        generation: Some(generation),
        is_edit: true,
        ..Outcome::default()
    };
    agenda.end(&key(), outcome, *now, *now + HOUR);
    wait
}

#[test]
fn whoever_edits_in_a_loop_is_followed_ever_more_slowly() {
    let (agenda, mut now) = looked_at();
    let mut waits = (0..10).map(|generation| act_on_edit(&agenda, &mut now, generation, Duration::ZERO));
    let doubled = [0, 1, 2, 4, 8, 16, 32].map(|factor| PACE * factor);
    assert!(waits.by_ref().take(7).eq(doubled));
    assert!(waits.eq([LONGEST_REST_OF_EDITS; 3]));
    now += LONGEST_REST_OF_EDITS + END_OF_ROW + PACE;
    let after_a_while = [10, 11].map(|generation| act_on_edit(&agenda, &mut now, generation, Duration::ZERO));
    assert_eq!(after_a_while, [Duration::ZERO, PACE]);
}

#[test]
fn a_loop_is_one_where_looks_take_long() {
    let (agenda, mut now) = looked_at();
    let waits = (0..6).map(|generation| act_on_edit(&agenda, &mut now, generation, LONGEST_REST * 2));
    let doubled = [0, 1, 2, 4, 8].map(|factor| LONGEST_REST * factor);
    assert!(waits.eq(doubled.into_iter().chain([LONGEST_REST_OF_EDITS])));
}

#[test]
fn looks_for_another_reason_are_as_ever_and_do_not_hide_a_loop() {
    let (agenda, mut now) = looked_at();
    for generation in 0..5 {
        act_on_edit(&agenda, &mut now, generation, Duration::ZERO);
        now += PACE;
        agenda.told_of(&key(), mark(&format!("rolled out {generation}")));
        assert_eq!(agenda.begin(&key(), now), Ok(after_news()));
        agenda.end(&key(), Outcome::default(), now, now + HOUR);
    }
    assert_eq!(act_on_edit(&agenda, &mut now, 5, Duration::ZERO), PACE * 15);
    now += PACE;
    tell_of_platform(&agenda, 5, "annotated");
    assert!(agenda.begin(&key(), now).is_ok(), "its spec is as it was");
    agenda.end(&key(), Outcome::default(), now, now + HOUR);
    now -= PACE;
    tell_of_platform(&agenda, 6, "edited");
    agenda.ask_for(&key());
    assert!(
        agenda.begin(&key(), now + PACE * 31).is_err(),
        "it would find the edit"
    );
    assert!(agenda.begin(&key(), now + PACE * 32).is_ok());
}

#[test]
fn a_status_is_fresh_for_the_longer_the_longer_its_look_took() {
    let (agenda, mut now) = looked_at();
    assert_eq!(agenda.fresh_for(&key(), now), Duration::ZERO);
    for (took, fresh) in [
        (Duration::from_millis(100), PROGRESS_PACE),
        (Duration::from_secs(1), Duration::from_secs(10)),
        (Duration::from_secs(10), LONGEST_PROGRESS_PACE),
    ] {
        for is_told in [true, false] {
            now += HOUR;
            assert_eq!(agenda.begin(&key(), now), ANEW);
            now += took;
            let outcome = Outcome {
                is_told,
                ..Outcome::default()
            };
            agenda.end(&key(), outcome, now, now);
            let fresh = if is_told { fresh } else { Duration::ZERO };
            assert_eq!(agenda.fresh_for(&key(), now), fresh);
            assert_eq!(agenda.fresh_for(&key(), now + fresh), Duration::ZERO);
        }
    }
}

#[test]
fn a_flood_of_news_stays_bounded_and_is_looked_at() {
    let (agenda, now) = looked_at();
    for version in 0..1000 {
        agenda.told_of(&key(), mark(&version.to_string()));
    }
    assert!(agenda.lock()[&key()].news.len() <= MARKS);
    assert_eq!(agenda.begin(&key(), now), ANEW);
}
