//! Lists tenants page by page, filtered and sorted.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use entity::{tenants::COLUMNS, timestamp};
use sea_orm::{DbBackend, QueryResult, Value};
use thiserror::Error as ThisError;

use super::{Status, Tenant};
use crate::{
    auth::Visible,
    database::{self, Column, Database, Sql},
    paging::{Counts, Cursor, Page, PageError, Slice, Sorting, instant_key},
    usage::{self, QuotaState},
};

/// Why a page of tenants cannot be given.
#[derive(Debug, ThisError)]
pub enum Error {
    /// The caller asked for something that is no page.
    #[error(transparent)]
    Page(#[from] PageError),
    /// The calendar ended.
    #[error(transparent)]
    Usage(#[from] usage::Error),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] database::Error),
}

/// What tenants are sorted by. Those without a value come last, either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OrderField {
    /// The name, by code point.
    Name,
    /// When it was created.
    CreatedAt,
    /// Share of the monthly limit; none without a limit.
    CallsUsedRatio,
    /// Cents of the local month.
    MonthlyUsageCents,
    /// The latest call; none if there was none.
    LastCallAt,
}

/// Which tenants, in which order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Criteria {
    /// Those the viewer may see.
    pub visible: Visible,
    /// Part of the name, ignoring case.
    pub name_contains: Option<String>,
    /// Any of these.
    pub status: Option<Vec<Status>>,
    /// Any of these, of the monthly limit.
    pub quota_state: Option<Vec<QuotaState>>,
    /// What to sort by.
    pub field: OrderField,
    /// Largest first.
    pub descending: bool,
}

impl Criteria {
    /// Names this list's order in its cursors.
    #[must_use]
    pub fn order_name(&self) -> String {
        format!("tenants {:?} {}", self.field, if self.descending { "desc" } else { "asc" })
    }

    fn sorting(&self, backend: DbBackend) -> Sorting {
        let instant = instant_key(backend);
        let (nullable, key): (bool, fn(&str) -> Option<Value>) = match self.field {
            OrderField::Name => (false, |text| Some(text.into())),
            OrderField::CreatedAt => (false, instant),
            OrderField::LastCallAt => (true, instant),
            OrderField::MonthlyUsageCents => (true, |text| text.parse::<i64>().ok().map(Value::from)),
            OrderField::CallsUsedRatio => {
                (true, |text| text.parse::<f64>().ok().filter(|ratio| ratio.is_finite()).map(Value::from))
            }
        };
        Sorting { descending: self.descending, nullable, key }
    }

    /// One page, in one statement.
    ///
    /// # Errors
    ///
    /// [`Error`].
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn page(
        &self,
        database: &Database,
        slice: &Slice,
        now: DateTime<Utc>,
    ) -> Result<Page<Tenant>, Error> {
        let backend = database.backend();
        let sorting = self.sorting(backend);
        let mut sql = Sql::new(backend);
        let source = self.source(&mut sql, backend, now)?;
        let mut conditions = vec!["true".to_owned()];
        if let Some(cursor) = &slice.after {
            conditions.push(sorting.after(&mut sql, cursor)?);
        }
        if let Some(cursor) = &slice.before {
            conditions.push(sorting.before(&mut sql, cursor)?);
        }
        let text = format!(
            "SELECT * FROM ({source}) l WHERE {} {} LIMIT {}",
            conditions.join(" AND "),
            sorting.order_by(slice.from_end),
            slice.size + 1,
        );
        let rows = database.query_all(sql.statement(&text)).await?;
        let has_more = rows.len() > slice.size;
        let mut edges = rows
            .iter()
            .take(slice.size)
            .map(|row| {
                let tenant = Tenant::read(row)?;
                let cursor = Cursor { order: self.order_name(), key: self.key_text(row)?, id: tenant.id };
                Ok((cursor, tenant))
            })
            .collect::<Result<Vec<_>, sea_orm::DbErr>>()
            .map_err(database::Error::from)?;
        if slice.from_end {
            edges.reverse();
        }
        Ok(Page { edges, has_more })
    }

    /// How many tenants match, and how many of them come before the page that begins at `first`
    /// or, if the page is empty, up to and with `after`. In one statement.
    ///
    /// # Errors
    ///
    /// [`Error`].
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn counts(
        &self,
        database: &Database,
        first: Option<&Cursor>,
        after: Option<&Cursor>,
        now: DateTime<Utc>,
    ) -> Result<Counts, Error> {
        let backend = database.backend();
        let sorting = self.sorting(backend);
        let mut sql = Sql::new(backend);
        let source = self.source(&mut sql, backend, now)?;
        let before = match (first, after) {
            (Some(first), _) => sorting.before(&mut sql, first)?,
            (None, Some(after)) => format!("NOT {}", sorting.after(&mut sql, after)?),
            (None, None) => "false".to_owned(),
        };
        let text = format!(
            "SELECT count(*) AS total, count(CASE WHEN {before} THEN 1 END) AS earlier FROM ({source}) l"
        );
        let row = database.query_one(sql.statement(&text)).await?;
        let Some(row) = row else { return Ok(Counts::default()) };
        let number = |name| row.try_get_by::<i64, _>(name).map_err(database::Error::from);
        Ok(Counts { total: number("total")?, before: number("earlier")? })
    }

    /// Every matching tenant with its sort key `k`.
    fn source(&self, sql: &mut Sql, backend: DbBackend, now: DateTime<Utc>) -> Result<String, Error> {
        let month = if self.needs_month() { Some(Month::bind(sql, now)?) } else { None };
        let (columns, join) = match &month {
            Some(month) => (
                format!(", {} AS used, {} AS cents", month.sum("calls"), month.sum("cost_cents")),
                format!("LEFT JOIN {} ON z.zone = t.time_zone", month.zones),
            ),
            None => (String::new(), String::new()),
        };
        let key = match (self.field, backend) {
            (OrderField::Name, DbBackend::Sqlite) => "t.name",
            (OrderField::Name, _) => "t.name COLLATE \"C\"",
            (OrderField::CreatedAt, _) => "t.created_at",
            // One look at the end of an index.
            (OrderField::LastCallAt, _) => "(SELECT max(c.started_at) FROM calls c WHERE c.tenant_id = t.id)",
            (OrderField::MonthlyUsageCents, _) => "t.cents",
            (OrderField::CallsUsedRatio, _) => {
                "CASE WHEN t.monthly_call_limit = 0 THEN cast(1 AS double precision) \
                 ELSE cast(t.used AS double precision) / t.monthly_call_limit END"
            }
        };
        let (inner, outer) = (self.conditions(sql), self.quota_conditions());
        Ok(format!(
            "SELECT {COLUMNS}, {key} AS k FROM (SELECT t.*{columns} FROM tenants t {join} WHERE {inner}) t WHERE {outer}"
        ))
    }

    fn needs_month(&self) -> bool {
        matches!(self.field, OrderField::CallsUsedRatio | OrderField::MonthlyUsageCents)
            || self.quota_state.is_some()
    }

    /// What a tenant's own columns must say.
    fn conditions(&self, sql: &mut Sql) -> String {
        let mut conditions = vec!["true".to_owned()];
        if let Visible::Only(tenant) = self.visible {
            conditions.push(format!("t.id = {}", sql.bind(tenant.into())));
        }
        if let Some(part) = &self.name_contains {
            let find = if sql.backend() == DbBackend::Sqlite { "instr" } else { "strpos" };
            conditions.push(format!("{find}(lower(t.name), lower({})) > 0", sql.bind(part.as_str().into())));
        }
        if let Some(status) = &self.status {
            let words: Vec<_> = status.iter().map(|status| status.word()).collect();
            conditions.push(format!("t.status {}", sql.bind_words(&words)));
        }
        conditions.join(" AND ")
    }

    /// What a tenant's month must say.
    fn quota_conditions(&self) -> String {
        let Some(states) = &self.quota_state else { return "true".to_owned() };
        let any: Vec<_> = states.iter().map(|state| quota_condition(*state)).collect();
        if any.is_empty() { "false".to_owned() } else { any.join(" OR ") }
    }

    /// The sort key of a row as a cursor keeps it.
    fn key_text(&self, row: &QueryResult) -> Result<Option<String>, sea_orm::DbErr> {
        Ok(match self.field {
            OrderField::Name => Some(row.try_get_by::<String, _>("k")?),
            OrderField::CreatedAt | OrderField::LastCallAt => {
                row.try_get_by::<Option<DateTime<Utc>>, _>("k")?.map(timestamp::text)
            }
            OrderField::MonthlyUsageCents => {
                row.try_get_by::<Option<i64>, _>("k")?.map(|cents| cents.to_string())
            }
            OrderField::CallsUsedRatio => {
                row.try_get_by::<Option<f64>, _>("k")?.map(|ratio| format!("{ratio:?}"))
            }
        })
    }
}

/// The same rule as [`QuotaState::of`], over the `used` calls of tenant `t`.
fn quota_condition(state: QuotaState) -> &'static str {
    match state {
        QuotaState::Unlimited => "t.monthly_call_limit IS NULL",
        QuotaState::Exceeded => "t.used >= t.monthly_call_limit",
        QuotaState::Warning => {
            "(t.used < t.monthly_call_limit AND t.used * 5 >= cast(t.monthly_call_limit AS bigint) * 4)"
        }
        QuotaState::Ok => "t.used * 5 < cast(t.monthly_call_limit AS bigint) * 4",
    }
}

/// The present local month of every zone there is, so that no statement need ask for the zones first.
struct Month {
    /// A table `z`, a row for each zone: the whole UTC days of its month, and the month's own ends.
    zones: String,
    backend: DbBackend,
}

impl Month {
    fn bind(sql: &mut Sql, now: DateTime<Utc>) -> Result<Self, Error> {
        let mut groups: BTreeMap<[DateTime<Utc>; 4], Vec<&'static str>> = BTreeMap::new();
        for month in usage::months(now)? {
            let bounds = [month.span.start, month.days.start, month.days.end, month.span.end];
            groups.entry(bounds).or_default().push(month.zone.name());
        }
        let instants = |place: usize| Column::Instants(groups.keys().map(|bounds| bounds[place]).collect());
        // Most zones share their month with others: named one by one they would make a long statement.
        let table = sql.bind_table(
            "g",
            vec![
                ("zones", Column::Words(groups.values().map(|zones| zones.join(",")).collect())),
                ("month_start", instants(0)),
                ("days_start", instants(1)),
                ("days_end", instants(2)),
                ("month_end", instants(3)),
            ],
        );
        let bounds = "g.month_start, g.days_start, g.days_end, g.month_end";
        let zones = if sql.backend() == DbBackend::Sqlite {
            format!(
                "(SELECT j.value AS zone, {bounds} FROM {table} \
                 CROSS JOIN json_each('[\"' || replace(g.zones, ',', '\",\"') || '\"]') j) AS z"
            )
        } else {
            format!("(SELECT unnest(string_to_array(g.zones, ',')) AS zone, {bounds} FROM {table}) AS z")
        };
        Ok(Self { zones, backend: sql.backend() })
    }

    /// A sum over the month of tenant `t`; none in a zone that does not exist.
    fn sum(&self, column: &str) -> String {
        let (deltas, integer) = match self.backend {
            DbBackend::Sqlite => (String::new(), "INTEGER"),
            _ => (format!(" + {}", between("usage_deltas", column, "month_start", "month_end")), "bigint"),
        };
        let counted = if column == "calls" { "count(*)" } else { "coalesce(sum(c.cost_cents), 0)" };
        format!(
            "CASE WHEN z.zone IS NOT NULL THEN cast(CASE \
               WHEN EXISTS (SELECT 1 FROM usage_rebuilds b WHERE b.tenant_id = t.id) \
               THEN (SELECT {counted} FROM calls c WHERE c.tenant_id = t.id \
                 AND c.started_at >= z.month_start AND c.started_at < z.month_end) \
               ELSE {} + {} + {}{deltas} END AS {integer}) END",
            between("usage_quarter_hours", column, "month_start", "days_start"),
            between("usage_days", column, "days_start", "days_end"),
            between("usage_quarter_hours", column, "days_end", "month_end"),
        )
    }
}

/// A sum over tenant `t`'s rows of a roll-up between two bounds of its zone `z`.
fn between(table: &str, column: &str, from: &str, to: &str) -> String {
    format!(
        "(SELECT coalesce(sum(u.{column}), 0) FROM {table} u WHERE u.tenant_id = t.id \
         AND u.starts_at >= z.{from} AND u.starts_at < z.{to})"
    )
}
