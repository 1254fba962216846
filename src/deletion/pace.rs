//! How large a batch is, how many run side by side, and when they rest: so that others do not notice.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::database::{self, Database};

/// Rows of the first batch.
const FIRST: f64 = 500.0;
/// Fewest and most rows of a batch.
const ROWS: (f64, f64) = (20.0, 50_000.0);
/// A batch is at most so many times as large as the one before.
const GROWTH: f64 = 2.0;
/// With others at work a batch takes this part of its time, and rests so many times as long as it took.
const AMONG_OTHERS: f64 = 0.2;
const REST: u32 = 4;
/// But a batch is not asked to take less than so many seconds: below, it is what any transaction costs, and smaller
/// batches only mean more of them.
const WORTH_A_TRANSACTION: f64 = 0.005;
/// On SQLite, which has one writer, a batch is followed by a rest of one part in so many of its time: who waits to
/// write looks from time to time whether he may.
const PART_OF_ONE_WRITER: u32 = 6;
/// A batch that took so many times as long a row as the fastest did says that the database is busy.
const RISE: f64 = 3.0;
/// More transactions a second than these are others at work; a gateway that has nothing to do makes fewer than 20.
const OTHERS: f64 = 50.0;
/// Over so many looks, for a server counts in bunches.
const LOOKS: usize = 5;
/// A server has counted a transaction after so many looks: a connection that rests tells of its own within ten seconds.
const LATE_LOOKS: i64 = 15;
/// A replica that is so many bytes behind lags, whatever it says of the time.
const LAG_BYTES: i64 = 1 << 28;

/// What keeps batches small and apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long a batch is to take.
    pub batch_time: Duration,
    /// Batches side by side, of all deletions of this process, while nobody else works.
    pub lanes: usize,
    /// Batches wait while a replica of the database is further behind; none: replicas do not matter.
    pub max_replica_lag: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            batch_time: Duration::from_millis(50),
            lanes: 2,
            max_replica_lag: Some(Duration::from_secs(10)),
        }
    }
}

/// The size of one deletion's batches: it follows the time that the last ones took.
#[derive(Debug)]
pub(super) struct Size {
    target: f64,
    state: Mutex<SizeState>,
}

#[derive(Debug)]
struct SizeState {
    rows: f64,
    fastest: f64,
}

impl Size {
    pub(super) fn new(limits: &Limits) -> Self {
        let state = SizeState { rows: FIRST, fastest: f64::INFINITY };
        Self { target: limits.batch_time.as_secs_f64(), state: Mutex::new(state) }
    }

    /// Another table comes, whose rows may take many times as long: batches begin small again.
    pub(super) fn restart(&self) {
        let mut state = self.state();
        *state = SizeState { rows: state.rows.min(FIRST), fastest: f64::INFINITY };
    }

    /// Rows of the next batch.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within ROWS")]
    pub(super) fn rows(&self) -> u64 {
        self.state().rows as u64
    }

    /// A batch that was to be of so many rows found some of them, and took so long. Returns whether others slow
    /// batches down. One that found few says nothing of how long many would take.
    #[expect(clippy::cast_precision_loss, reason = "within ROWS")]
    pub(super) fn took(&self, rows: u64, found: u64, time: Duration, company: &Company) -> bool {
        let is_telling = found >= rows.div_ceil(2);
        let target = if *company == Company::Alone {
            self.target
        } else {
            (self.target * AMONG_OTHERS).max(WORTH_A_TRANSACTION).min(self.target)
        };
        let mut state = self.state();
        let (rows, seconds) = (rows as f64, time.as_secs_f64().max(1e-6));
        let wanted = rows * (target / seconds).clamp(1.0 / GROWTH, if is_telling { GROWTH } else { 1.0 });
        state.rows = wanted.clamp(ROWS.0, ROWS.1);
        if !is_telling {
            return false;
        }
        let each = seconds / rows;
        state.fastest = state.fastest.min(each);
        seconds > target && each > RISE * state.fastest
    }

    /// A batch was given up: it took too long, or others were in the way.
    pub(super) fn shrink(&self) {
        let mut state = self.state();
        state.rows = (state.rows / 4.0).max(ROWS.0);
    }

    fn state(&self) -> std::sync::MutexGuard<'_, SizeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who else is at work in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Company {
    /// Nobody.
    Alone,
    /// Others, who must not notice.
    Others,
    /// A replica is behind; batches wait. Says how far.
    Lagging(String),
}

/// Lets batches of all deletions begin, and looks who else is at work.
#[derive(Debug)]
pub(super) struct Traffic {
    database: Database,
    limits: Limits,
    places: Semaphore,
    committed: AtomicU64,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    company: Company,
    /// When the last looks were, and how many transactions of others each found; the newest at the end.
    looks: VecDeque<(Instant, i64)>,
    /// Transactions of everybody, and of this process's deletions among them.
    counts: Option<(i64, u64)>,
    /// How many of these the server has not counted yet, at most: it counts late.
    late: i64,
    /// Whether it has been said that replicas are hidden.
    is_warned: bool,
}

const LOOK: &str = "
SELECT (SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()) AS transactions,
    (SELECT cast(max(extract(epoch FROM replay_lag)) AS double precision) FROM pg_stat_replication) AS lag_seconds,
    (SELECT cast(max(CASE WHEN pg_is_in_recovery() THEN 0
        ELSE pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) END) AS bigint) FROM pg_stat_replication) AS lag_bytes,
    NOT pg_has_role('pg_read_all_stats', 'USAGE') AND EXISTS (SELECT FROM pg_stat_replication) AS hidden";

impl Traffic {
    pub(super) fn new(database: Database, limits: Limits) -> Self {
        // SQLite has one writer.
        let lanes = if database.backend() == DbBackend::Sqlite { 1 } else { limits.lanes.max(1) };
        let looks = VecDeque::with_capacity(LOOKS + 2);
        let seen = Seen { company: Company::Alone, looks, counts: None, late: 0, is_warned: false };
        Self {
            database,
            limits: Limits { lanes, ..limits },
            places: Semaphore::new(lanes),
            committed: AtomicU64::new(0),
            seen: Mutex::new(seen),
        }
    }

    /// How many batches may run side by side.
    pub(super) fn lanes(&self) -> usize {
        self.limits.lanes
    }

    pub(super) fn company(&self) -> Company {
        self.seen().company.clone()
    }

    /// Waits for a place among the batches: with others at work there is one place only.
    pub(super) async fn place(&self) -> Option<SemaphorePermit<'_>> {
        let places = if self.company() == Company::Alone { 1 } else { self.limits.lanes };
        // Never closed, so always had.
        self.places.acquire_many(u32::try_from(places).unwrap_or(1)).await.ok()
    }

    /// How long to rest after a batch that took so long, so that others come to theirs.
    pub(super) fn rest(&self, time: Duration, is_slowed: bool) -> Duration {
        if is_slowed || self.company() == Company::Others {
            time * REST
        } else if self.database.backend() == DbBackend::Sqlite {
            time / PART_OF_ONE_WRITER
        } else {
            Duration::ZERO
        }
    }

    /// One transaction of a deletion was committed.
    pub(super) fn done(&self) {
        self.committed.fetch_add(1, Ordering::Relaxed);
    }

    /// Looks who else is at work; to be called about once a second.
    ///
    /// # Errors
    ///
    /// [`database::Error`]; then what was seen last stays.
    pub(super) async fn look(&self) -> Result<(), database::Error> {
        if self.database.backend() == DbBackend::Sqlite {
            return Ok(());
        }
        let statement = Statement::from_string(DbBackend::Postgres, LOOK);
        let Some(row) = self.database.connection.query_one_raw(statement).await? else { return Ok(()) };
        let transactions: i64 = row.try_get_by("transactions")?;
        let (lag, behind): (Option<f64>, Option<i64>) =
            (row.try_get_by("lag_seconds")?, row.try_get_by("lag_bytes")?);
        let own = self.committed.load(Ordering::Relaxed);
        let is_hidden: bool = row.try_get_by("hidden")?;
        let mut seen = self.seen();
        if is_hidden && !seen.is_warned && self.limits.max_replica_lag.is_some() {
            seen.is_warned = true;
            tracing::warn!(
                "how far replicas of the database are behind cannot be seen, and erasing does not wait for them: \
                 grant pg_read_all_stats to the gateway's user, or pass --deletion-max-replica-lag 0s"
            );
        }
        let (others, late) =
            seen.counts.map_or((0, 0), |counts| others(counts, (transactions, own), seen.late));
        let rate = seen.rate(Instant::now(), others);
        seen.company = match self.limits.max_replica_lag {
            Some(limit) if lag.unwrap_or(0.0) > limit.as_secs_f64() || behind.unwrap_or(0) > LAG_BYTES => {
                let (seconds, bytes) = (lag.unwrap_or(0.0), behind.unwrap_or(0));
                Company::Lagging(format!(
                    "a replica of the database is {seconds:.0} s and {bytes} bytes behind"
                ))
            }
            _ if rate > OTHERS => Company::Others,
            _ => Company::Alone,
        };
        (seen.counts, seen.late) = (Some((transactions, own)), late);
        Ok(())
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Transactions of others a second over the last looks, with one that found so many now.
    #[expect(clippy::cast_precision_loss, reason = "a rate is a float by nature")]
    fn rate(&mut self, now: Instant, others: i64) -> f64 {
        self.looks.push_back((now, others));
        if self.looks.len() > LOOKS + 1 {
            self.looks.pop_front();
        }
        let Some((first, _)) = self.looks.front() else { return 0.0 };
        // What the first found was done before it.
        let found: i64 = self.looks.iter().skip(1).map(|(_, others)| others).sum();
        found as f64 / (now - *first).as_secs_f64().max(LOOKS as f64)
    }
}

/// Transactions between two looks that are not of this process's deletions, and how many of these the server has
/// not counted yet: it may count those of the last seconds only later.
fn others(before: (i64, u64), now: (i64, u64), late: i64) -> (i64, i64) {
    let own = i64::try_from(now.1.saturating_sub(before.1)).unwrap_or(i64::MAX);
    let others = now.0 - before.0 - own - late;
    (others.max(0), (-others).clamp(0, own.saturating_mul(LATE_LOOKS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_follow_the_time_that_they_take() {
        let size = Size::new(&Limits::default());
        for _ in 0..20 {
            // 10 µs a row.
            let rows = size.rows();
            assert!(!size.took(
                rows,
                rows,
                Duration::from_micros(10) * u32::try_from(rows).unwrap_or(0),
                &Company::Alone
            ));
        }
        assert!((4_500..=5_500).contains(&size.rows()), "{} rows take 50 ms", size.rows());
        let rows = size.rows();
        assert!(
            size.took(rows, rows, Duration::from_millis(500), &Company::Alone),
            "ten times as slow: others are at work"
        );
        assert!(size.rows() < rows);
    }

    #[test]
    fn among_others_batches_take_less_of_their_time_but_more_than_a_transaction_does() {
        for (batch_time, expected) in [(50, 9_500..=10_500), (10, 4_500..=5_500), (1, 900..=1_100)] {
            let limits = Limits { batch_time: Duration::from_millis(batch_time), ..Limits::default() };
            let size = Size::new(&limits);
            for _ in 0..20 {
                let rows = size.rows();
                let time = Duration::from_micros(rows);
                size.took(rows, rows, time, &Company::Others);
            }
            assert!(expected.contains(&size.rows()), "{} rows of 1 µs in {batch_time} ms", size.rows());
        }
    }

    #[test]
    fn batches_that_find_nothing_say_nothing() {
        let size = Size::new(&Limits::default());
        for _ in 0..50 {
            assert!(!size.took(size.rows(), 0, Duration::from_micros(1), &Company::Alone));
        }
        assert_eq!(size.rows(), 500);
        let rows = size.rows();
        assert!(!size.took(rows, rows, Duration::from_millis(40), &Company::Alone), "nobody slows it down");
    }

    #[test]
    fn a_batch_is_never_empty_and_never_boundless() {
        let size = Size::new(&Limits::default());
        for _ in 0..50 {
            size.shrink();
        }
        assert!(size.rows() >= 1);
        for _ in 0..50 {
            size.took(size.rows(), 50_000, Duration::ZERO, &Company::Alone);
        }
        assert!(size.rows() <= 50_000);
    }

    #[test]
    fn own_batches_are_no_company() {
        assert_eq!(others((100, 10), (200, 110), 0), (0, 0));
        assert_eq!(others((100, 10), (300, 110), 0), (100, 0));
    }

    #[test]
    fn own_batches_that_are_counted_late_are_no_company() {
        let (mut late, mut all) = (0, 0);
        for (transactions, own) in [(0, 40), (0, 80), (120, 120), (150, 160), (260, 200)] {
            let (found, still) = others((all, own - 40), (transactions, own), late);
            (late, all) = (still, transactions);
            assert_eq!(found, if transactions == 260 { 60 } else { 0 });
        }
    }

    #[test]
    fn others_are_seen_at_once_and_a_bunch_of_few_is_nobody() {
        let start = Instant::now();
        let rates = |found: &[i64]| -> Vec<bool> {
            let looks = VecDeque::new();
            let mut seen = Seen { company: Company::Alone, looks, counts: None, late: 0, is_warned: false };
            let at = |look: usize| start + Duration::from_secs(look as u64);
            found.iter().enumerate().map(|(look, others)| seen.rate(at(look), *others) > OTHERS).collect()
        };
        // A gateway without work, whose connections tell of it from time to time.
        assert!(rates(&[900, 0, 18, 80, 0, 0, 18, 100, 0, 0, 18]).iter().all(|is_seen| !is_seen));
        let seen = rates(&[0, 0, 0, 300, 300, 300, 0, 0, 0, 0, 0, 0]);
        assert_eq!(seen[..6], [false, false, false, true, true, true], "with the first look");
        assert_eq!(seen[10..], [false, false], "and for some seconds after");
    }

    #[test]
    fn what_is_never_counted_hides_nobody_for_long() {
        let (_, late) = others((0, 0), (0, 1_000), 0);
        let (_, late) = others((0, 1_000), (0, 1_010), late);
        assert!(late <= 150, "{late}");
    }
}
