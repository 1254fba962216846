//! Reads the figures of many tenants in one statement: from the sums, and from the differences that
//! are not in them yet.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use entity::timestamp;
use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement};
use uuid::Uuid;

use super::{
    Error, Figures, Span, Stats, Zone,
    columns::{ACTIVE_CALLS, ACTIVE_SESSIONS, SUMS, figures_from},
    ranges::cover,
};
use crate::{
    clock::Clock,
    database::{self, Column, Database, Sql},
};

/// A call that has not ended counts as going on for this long after its start.
const CALL_HORIZON: TimeDelta = TimeDelta::hours(24);

/// A tenant as its figures need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    /// Which tenant.
    pub tenant: Uuid,
    /// Whose days and months count.
    pub zone: Zone,
}

/// Reads figures. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reader {
    pub(super) database: Database,
    pub(super) clock: Clock,
    session_timeout: TimeDelta,
}

/// A subject with the day and the month that are looked at.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub(super) subject: Subject,
    pub(super) today: Span,
    pub(super) month: Span,
}

impl Reader {
    /// A session without a sign of life for longer than `session_timeout` is over.
    #[must_use]
    pub fn new(database: Database, clock: Clock, session_timeout: TimeDelta) -> Self {
        Self { database, clock, session_timeout }
    }

    /// The figures of each of `subjects` now, in one statement whatever their number and zones. A
    /// tenant that does not exist is missing from the answer.
    ///
    /// Those whose sums are still being built are read from their calls, by a second statement.
    ///
    /// # Errors
    ///
    /// [`Error`]; then nothing is known of any of them.
    pub async fn stats(&self, subjects: &[Subject]) -> Result<HashMap<Subject, Stats>, Error> {
        let as_of = self.clock.now();
        let mut found = HashMap::with_capacity(subjects.len());
        let mut left = windows(subjects, as_of)?;
        while !left.is_empty() {
            // A statement groups by tenant: one whose zone is changing may be asked for in two zones.
            let mut tenants = HashSet::with_capacity(left.len());
            let (now, later): (Vec<_>, Vec<_>) =
                left.into_iter().partition(|window| tenants.insert(window.subject.tenant));
            let unbuilt = self.from(self.kept(&now, as_of)?, &now, as_of, &mut found).await?;
            if !unbuilt.is_empty() {
                self.from(self.counted(&unbuilt, as_of), &unbuilt, as_of, &mut found).await?;
            }
            left = later;
        }
        Ok(found)
    }

    /// Puts into `found` what a statement says of `windows`, and returns those it cannot tell of.
    async fn from(
        &self,
        statement: Statement,
        windows: &[Window],
        as_of: DateTime<Utc>,
        found: &mut HashMap<Subject, Stats>,
    ) -> Result<Vec<Window>, Error> {
        let rows = self.database.connection.query_all_raw(statement).await.map_err(database::Error::from)?;
        let windows: HashMap<Uuid, &Window> = windows.iter().map(|w| (w.subject.tenant, w)).collect();
        let mut unbuilt = Vec::new();
        for row in &rows {
            let tenant: Uuid = row.try_get_by_index(0).map_err(database::Error::from)?;
            let Some(window) = windows.get(&tenant) else { continue };
            if row.try_get_by_index(1).map_err(database::Error::from)? {
                unbuilt.push(**window);
            } else {
                let stats = stats_from(row, as_of, window).map_err(database::Error::from)?;
                found.insert(window.subject, stats);
            }
        }
        Ok(unbuilt)
    }

    /// Sessions and calls of one tenant that are going on now, through any connection: a deletion
    /// looks through its own transaction.
    ///
    /// # Errors
    ///
    /// [`database::Error`].
    pub async fn activity<C: ConnectionTrait>(
        &self,
        connection: &C,
        tenant: Uuid,
    ) -> Result<(i64, i64), database::Error> {
        let backend = connection.get_database_backend();
        let now = self.clock.now();
        let sql = format!("SELECT {ACTIVE_SESSIONS} AS sessions, {ACTIVE_CALLS} AS calls")
            .replace("t.id", "$1")
            .replace("$LIVE", "$2")
            .replace("$HORIZON", "$3");
        let values = [
            tenant.into(),
            timestamp::value(backend, now - self.session_timeout),
            timestamp::value(backend, now - CALL_HORIZON),
        ];
        let row = connection.query_one_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
        let row = row.ok_or_else(|| database::Error::Refused("an aggregate gave no row".to_owned()))?;
        Ok((row.try_get_by("sessions")?, row.try_get_by("calls")?))
    }

    /// What is told of a tenant beside its sums: what [`stats_from`] reads, in its order.
    pub(super) fn columns(&self, sql: &mut Sql, unbuilt: &str, as_of: DateTime<Utc>) -> String {
        let live = sql.bind_instant(as_of - self.session_timeout);
        let horizon = sql.bind_instant(as_of - CALL_HORIZON);
        format!(
            "t.id, {unbuilt} AS unbuilt, t.monthly_call_limit, t.max_concurrent_calls, \
             (SELECT count(*) FROM agents a WHERE a.tenant_id = t.id) AS agents, \
             {ACTIVE_SESSIONS} AS active_sessions, {ACTIVE_CALLS} AS active_calls, \
             (SELECT max(c.started_at) FROM calls c WHERE c.tenant_id = t.id) AS last_call_at, \
             coalesce(m.calls_today, 0) AS calls_today"
        )
        .replace("$LIVE", &live)
        .replace("$HORIZON", &horizon)
    }

    /// The statement that reads sums and differences.
    fn kept(&self, windows: &[Window], as_of: DateTime<Utc>) -> Result<Statement, Error> {
        let backend = self.database.backend();
        let mut sql = Sql::new(backend);
        let tenants: Vec<Uuid> = windows.iter().map(|window| window.subject.tenant).collect();
        let these = sql.bind_ids(&tenants);
        let (quarter_hours, days) = parts(windows)?;
        let mut sources = vec![
            quarter_hours.select(&mut sql, "usage_quarter_hours", &these),
            days.select(&mut sql, "usage_days", &these),
        ];
        if backend == DbBackend::Postgres {
            sources.push(deltas(&mut sql, windows, &these));
        }
        let (today, month) = (format!("n & {TODAY} <> 0"), format!("n & {MONTH} <> 0"));
        let sum = |column: &str, when: &str| format!("sum({column}) FILTER (WHERE {when})");
        let sums: Vec<_> = SUMS.iter().map(|column| format!("{} AS {column}", sum(column, &month))).collect();
        let integer = if backend == DbBackend::Sqlite { "INTEGER" } else { "bigint" };
        let given: Vec<_> = SUMS
            .iter()
            .map(|column| format!("cast(coalesce(m.{column}, 0) AS {integer}) AS {column}"))
            .collect();
        let columns =
            self.columns(&mut sql, "EXISTS (SELECT 1 FROM usage_rebuilds b WHERE b.tenant_id = t.id)", as_of);
        let columns = columns
            .replace("coalesce(m.calls_today, 0)", &format!("cast(coalesce(m.calls_today, 0) AS {integer})"));
        let text = format!(
            "WITH parts AS ({}), m AS ( \
               SELECT tenant_id, {} AS calls_today, {} FROM parts GROUP BY tenant_id) \
             SELECT {columns}, {} FROM tenants t LEFT JOIN m ON m.tenant_id = t.id WHERE t.id {these}",
            sources.join(" UNION ALL "),
            sum("calls", &today),
            sums.join(", "),
            given.join(", "),
        );
        Ok(sql.statement(&text))
    }
}

/// Flags of a part: which windows it belongs to.
const TODAY: i32 = 1;
const MONTH: i32 = 2;

fn windows(subjects: &[Subject], as_of: DateTime<Utc>) -> Result<Vec<Window>, Error> {
    let mut known: HashMap<Zone, (Span, Span)> = HashMap::new();
    subjects
        .iter()
        .map(|subject| {
            let spans = known.get(&subject.zone).copied();
            let (today, month) = spans
                .map_or_else(|| Ok((subject.zone.day(as_of)?, subject.zone.month(as_of)?)), Ok::<_, Error>)?;
            known.insert(subject.zone, (today, month));
            Ok(Window { subject: *subject, today, month })
        })
        .collect()
}

/// Ranges of one roll-up that are to be summed, each with the number that it is counted under.
#[derive(Default)]
pub(super) struct Parts {
    tenants: Vec<Uuid>,
    numbers: Vec<i32>,
    starts: Vec<DateTime<Utc>>,
    ends: Vec<DateTime<Utc>>,
}

impl Parts {
    pub(super) fn push(&mut self, tenant: Uuid, number: i32, span: Span) {
        self.tenants.push(tenant);
        self.numbers.push(number);
        self.starts.push(span.start);
        self.ends.push(span.end);
    }

    /// A query of the roll-up's rows in these ranges. Each range reads its own piece of the primary key:
    /// SQLite keeps the order of a cross join, and PostgreSQL chooses it. Naming the tenants again keeps
    /// a distributed database from asking every shard.
    pub(super) fn select(self, sql: &mut Sql, table: &str, these: &str) -> String {
        let ranges = sql.bind_table(
            "r",
            vec![
                ("tenant_id", Column::Ids(self.tenants)),
                ("n", Column::Integers(self.numbers)),
                ("from_at", Column::Instants(self.starts)),
                ("to_at", Column::Instants(self.ends)),
            ],
        );
        let (join, also) = match sql.backend() {
            DbBackend::Sqlite => ("CROSS JOIN", String::new()),
            _ => ("JOIN", format!(" WHERE u.tenant_id {these}")),
        };
        let sums: Vec<_> = SUMS.iter().map(|column| format!("u.{column}")).collect();
        format!(
            "SELECT u.tenant_id, r.n, {} FROM {ranges} {join} {table} u ON u.tenant_id = r.tenant_id \
             AND u.starts_at >= r.from_at AND u.starts_at < r.to_at{also}",
            sums.join(", ")
        )
    }
}

/// What is read of quarter-hours and of days.
fn parts(windows: &[Window]) -> Result<(Parts, Parts), Error> {
    let (mut quarter_hours, mut days) = (Parts::default(), Parts::default());
    for window in windows {
        for (span, flag) in [(window.today, TODAY), (window.month, MONTH)] {
            let covered = cover(span)?;
            for part in covered.quarter_hours.into_iter().flatten() {
                quarter_hours.push(window.subject.tenant, flag, part);
            }
            if let Some(part) = covered.days {
                days.push(window.subject.tenant, flag, part);
            }
        }
    }
    Ok((quarter_hours, days))
}

/// A query of the tenants' differences that are not in the sums yet.
fn deltas(sql: &mut Sql, windows: &[Window], these: &str) -> String {
    let instants = |pick: fn(&Window) -> DateTime<Utc>| Column::Instants(windows.iter().map(pick).collect());
    let bounds = sql.bind_table(
        "w",
        vec![
            ("tenant_id", Column::Ids(windows.iter().map(|window| window.subject.tenant).collect())),
            ("day_start", instants(|window| window.today.start)),
            ("day_end", instants(|window| window.today.end)),
            ("month_start", instants(|window| window.month.start)),
            ("month_end", instants(|window| window.month.end)),
        ],
    );
    let sums: Vec<_> = SUMS.iter().map(|column| format!("u.{column}")).collect();
    format!(
        "SELECT u.tenant_id, (u.starts_at >= w.day_start AND u.starts_at < w.day_end)::int * {TODAY} \
           + (u.starts_at >= w.month_start AND u.starts_at < w.month_end)::int * {MONTH} AS n, {} \
         FROM usage_deltas u JOIN {bounds} ON w.tenant_id = u.tenant_id WHERE u.tenant_id {these}",
        sums.join(", ")
    )
}

fn stats_from(row: &QueryResult, as_of: DateTime<Utc>, window: &Window) -> Result<Stats, sea_orm::DbErr> {
    Ok(Stats {
        as_of,
        zone: window.subject.zone,
        today: window.today,
        month: window.month,
        monthly_call_limit: row.try_get_by_index(2)?,
        max_concurrent_calls: row.try_get_by_index(3)?,
        agents: row.try_get_by_index(4)?,
        active_sessions: row.try_get_by_index(5)?,
        active_calls: row.try_get_by_index(6)?,
        last_call_at: row.try_get_by_index(7)?,
        calls_today: row.try_get_by_index(8)?,
        figures: figures_from(row, 9)?,
    })
}

impl Figures {
    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
