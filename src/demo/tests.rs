//! What the generated platform promises, whatever takes it to a database.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Datelike, Utc};
use chrono_tz::Tz;
use indicatif::ProgressBar;
use sea_orm::{EntityTrait, PaginatorTrait};

use super::{
    SeedError, Shape, fill,
    rows::{self, Cell, Rows, Visit},
    story::Story,
    tenants::{self, Outline, Standing},
};
use crate::{database::Database, storage::Storage};

const SMALL: Shape = Shape { tenants: 30, calls: 40, months: 2, seed: 7 };

/// The middle of an afternoon, a new year in Berlin, and the hour that its clocks skip.
const MOMENTS: [&str; 3] =
    ["2026-10-14T14:03:22.123456Z", "2025-12-31T23:00:00.000001Z", "2026-03-29T01:00:00Z"];

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn outlines(shape: &Shape, now: &str) -> Vec<Outline> {
    tenants::outlines(shape, instant(now)).unwrap()
}

fn rows_of(outline: &Outline, shape: &Shape, now: &str) -> Rows {
    let mut rows = Rows::default();
    Story::new(outline.clone(), shape.seed, instant(now)).for_each(|part| rows.append(part));
    rows
}

fn platform(shape: &Shape, now: &str) -> Rows {
    let mut rows = Rows::default();
    for outline in outlines(shape, now) {
        rows.append(rows_of(&outline, shape, now));
    }
    rows
}

#[test]
fn a_seed_and_an_instant_make_the_same_rows() {
    let rows = platform(&SMALL, MOMENTS[0]);
    assert!(rows == platform(&SMALL, MOMENTS[0]));
    assert!(rows != platform(&Shape { seed: 8, ..SMALL }, MOMENTS[0]));
    assert!(rows != platform(&SMALL, MOMENTS[1]));
}

#[test]
fn the_largest_tenant_is_far_above_the_median() {
    for seed in 0..20 {
        let outlines = outlines(&Shape { tenants: 200, calls: 1_000, months: 3, seed }, MOMENTS[0]);
        let mut calls: Vec<_> = outlines.iter().map(|outline| outline.calls).collect();
        let first = calls[0];
        calls.sort_unstable();
        assert_eq!(first, calls[199], "seed {seed}: the first is the largest");
        assert!(first > 10 * calls[100], "seed {seed}: {first} against {}", calls[100]);
    }
}

#[test]
fn tenants_make_as_many_calls_as_asked_for() {
    for (tenants, calls, months) in [(1, 10, 1), (30, 40, 2), (200, 1_667, 3), (5, 0, 3), (0, 9, 1)] {
        let shape = Shape { tenants, calls, months, seed: 3 };
        let made: u64 = outlines(&shape, MOMENTS[0]).iter().map(|outline| outline.calls).sum();
        assert_eq!(made, u64::from(tenants) * u64::from(calls) * u64::from(months), "{shape:?}");
    }
    assert_eq!(platform(&SMALL, MOMENTS[0]).calls.len(), 30 * 40 * 2);
}

#[test]
fn nothing_lies_after_now_and_ids_carry_their_rows_time() {
    struct Latest(DateTime<Utc>);
    impl Visit for Latest {
        fn table<E: EntityTrait>(&mut self, rows: &[E::Model]) -> Result<(), SeedError> {
            for cell in rows.iter().flat_map(rows::cells::<E>) {
                if let Cell::Instant(instant) = cell? {
                    self.0 = self.0.max(instant);
                }
            }
            Ok(())
        }
    }
    for now in MOMENTS {
        for seed in 0..5 {
            let rows = platform(&Shape { seed, ..SMALL }, now);
            let mut latest = Latest(DateTime::UNIX_EPOCH);
            rows.walk(&mut latest).unwrap();
            assert!(latest.0 <= instant(now), "seed {seed}: {} is after {now}", latest.0);
            for call in &rows.calls {
                assert_eq!(call.id.get_version_num(), 7);
                let (seconds, nanos) = call.id.get_timestamp().unwrap().to_unix();
                let millis = i64::try_from(seconds * 1_000 + u64::from(nanos) / 1_000_000).unwrap();
                assert_eq!(millis, call.started_at.timestamp_millis());
                let score = call.sentiment_score.unwrap_or_default();
                assert!(score.to_bits() != (-0.0_f64).to_bits(), "SQLite has no −0");
                assert!(call.ended_at.is_none_or(|end| end >= call.started_at));
            }
        }
    }
}

#[test]
fn rows_refer_to_rows_of_their_own_tenant_that_were_there_before() {
    for outline in outlines(&SMALL, MOMENTS[0]) {
        let rows = rows_of(&outline, &SMALL, MOMENTS[0]);
        let agents: HashMap<_, _> = rows.agents.iter().map(|agent| (agent.id, agent.created_at)).collect();
        assert!(rows.calls.iter().all(|call| agents[&call.agent_id] <= call.started_at));
        assert!(rows.squad_members.iter().all(|member| agents[&member.agent_id] <= member.created_at));
        assert!(rows.agents.iter().all(|agent| agent.created_at >= outline.created_at));
        let calls: HashSet<_> = rows.calls.iter().map(|call| call.id).collect();
        assert!(rows.call_recordings.iter().all(|recording| calls.contains(&recording.call_id)));
        assert!(rows.sessions.iter().filter_map(|session| session.call_id).all(|id| calls.contains(&id)));
        let numbers: HashSet<_> = rows.phone_numbers.iter().map(|number| &number.number).collect();
        assert_eq!(numbers.len(), rows.phone_numbers.len(), "numbers of {}", outline.name);
        assert!(numbers.iter().all(|number| number.starts_with('+') && (12..=13).contains(&number.len())));
    }
}

#[test]
fn even_a_small_platform_has_every_kind_of_tenant() {
    let outlines = outlines(&SMALL, MOMENTS[0]);
    let names: HashSet<_> = outlines.iter().map(|outline| &outline.name).collect();
    assert_eq!(names.len(), outlines.len());
    assert!(outlines.iter().any(|outline| outline.zone == Tz::Asia__Kathmandu));
    for standing in [Standing::New, Standing::Empty, Standing::Suspended, Standing::Inactive] {
        assert!(outlines.iter().any(|outline| outline.standing == standing), "{standing:?}");
    }
    let rows = platform(&SMALL, MOMENTS[0]);
    assert!(rows.calls.iter().any(|call| call.ended_at.is_none()));
    let empty = outlines.iter().find(|outline| outline.standing == Standing::Empty).unwrap();
    assert!(rows.agents.iter().all(|agent| agent.tenant_id != empty.id));
    let used: Vec<_> = rows
        .tenants
        .iter()
        .filter_map(|tenant| {
            let zone: Tz = tenant.time_zone.parse().unwrap();
            let month = |at: DateTime<Utc>| at.with_timezone(&zone).date_naive().with_day(1);
            let calls = rows.calls.iter().filter(|call| call.tenant_id == tenant.id);
            let used = calls.filter(|call| month(call.started_at) == month(instant(MOMENTS[0]))).count();
            tenant.monthly_call_limit.map(|limit| f64::from(u32::try_from(used).unwrap()) / f64::from(limit))
        })
        .collect();
    assert!(used.iter().any(|used| (0.85..=1.0).contains(used)), "near the limit: {used:?}");
    assert!(used.iter().any(|used| *used > 1.0), "over the limit: {used:?}");
}

#[test]
fn thousands_of_tenants_have_names_of_their_own() {
    let shape = Shape { tenants: 50_000, calls: 1, months: 1, seed: 5 };
    let names: HashSet<_> = outlines(&shape, MOMENTS[0]).into_iter().map(|outline| outline.name).collect();
    assert_eq!(names.len(), 50_000);
}

#[test]
fn a_history_before_2012_is_refused() {
    let refused = tenants::outlines(&Shape { months: 300, ..SMALL }, instant(MOMENTS[0]));
    assert!(matches!(refused, Err(SeedError::TooLong)));
    let refused = tenants::outlines(&Shape { months: u32::MAX, ..SMALL }, instant(MOMENTS[0]));
    assert!(matches!(refused, Err(SeedError::TooLong)));
}

#[tokio::test]
async fn a_seed_fills_a_database_once_and_every_object_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().display();
    let database = Database::open(&format!("sqlite://{path}/platform.db?mode=rwc")).await.unwrap();
    database.migrate_up().await.unwrap();
    let storage = Storage::open(&format!("file://{path}/objects")).unwrap();
    let bar = ProgressBar::hidden();

    let summary = fill(&database, &storage, &SMALL, instant(MOMENTS[0]), &bar).await.unwrap();
    let recordings = entity::call_recordings::Entity::find().all(&database.connection).await.unwrap();
    assert!(recordings.len() > 100);
    for recording in &recordings {
        let object =
            std::fs::metadata(directory.path().join("objects").join(&recording.storage_key)).unwrap();
        assert_eq!(i64::try_from(object.len()).unwrap(), recording.size_bytes);
    }
    let calls = summary.tables.iter().find(|(table, _)| *table == "calls").unwrap().1;
    assert_eq!(bar.position(), calls);
    assert!(summary.tables.contains(&("call_recordings", recordings.len() as u64)));

    let later = instant("2026-11-01T00:00:00Z");
    let again = fill(&database, &storage, &SMALL, later, &bar).await;
    assert!(matches!(again, Err(SeedError::AlreadyThere(_))), "{again:?}");
    assert_eq!(entity::tenants::Entity::find().count(&database.connection).await.unwrap(), 30);
    fill(&database, &storage, &Shape { seed: 8, ..SMALL }, later, &bar).await.unwrap();
}

#[tokio::test]
async fn a_seed_that_was_interrupted_is_completed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().display();
    let database = Database::open(&format!("sqlite://{path}/platform.db?mode=rwc")).await.unwrap();
    database.migrate_up().await.unwrap();
    let storage = Storage::open(&format!("file://{path}/objects")).unwrap();
    let bar = ProgressBar::hidden();
    let names = async || -> HashSet<String> {
        let tenants = entity::tenants::Entity::find().all(&database.connection).await.unwrap();
        tenants.into_iter().map(|tenant| tenant.name).collect()
    };

    // No object can be written: nothing may name one.
    let in_the_way = directory.path().join("objects/tenants");
    std::fs::write(&in_the_way, "").unwrap();
    fill(&database, &storage, &SMALL, instant(MOMENTS[0]), &bar).await.unwrap_err();
    assert_eq!(names().await.len(), 0);
    std::fs::remove_file(&in_the_way).unwrap();

    // Some tenants were not reached.
    fill(&database, &storage, &SMALL, instant(MOMENTS[0]), &bar).await.unwrap();
    let all = names().await;
    let kept: Vec<_> = entity::tenants::Entity::find().all(&database.connection).await.unwrap();
    for tenant in &kept[20..] {
        entity::tenants::Entity::delete_by_id(tenant.id).exec(&database.connection).await.unwrap();
    }
    let later = instant("2026-11-01T00:00:00Z");
    let summary = fill(&database, &storage, &SMALL, later, &bar).await.unwrap();
    assert_eq!(summary.tables[0], ("tenants", 10));
    assert_eq!(names().await, all);
    let recordings = entity::call_recordings::Entity::find().all(&database.connection).await.unwrap();
    for recording in &recordings {
        assert!(directory.path().join("objects").join(&recording.storage_key).exists());
    }
    let again = fill(&database, &storage, &SMALL, later, &bar).await;
    assert!(matches!(again, Err(SeedError::AlreadyThere(_))), "{again:?}");
}
