//! Lists tenants page by page, filtered and sorted.

use chrono::{DateTime, Utc};
use entity::timestamp;
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, QueryResult, Value};
use serde_json::json;
use thiserror::Error as ThisError;

use super::{Status, Tenant};
use crate::{
    auth::Visible,
    database::{self, Database, Sql},
    paging::{Counts, Cursor, Page, PageError, Slice, Sorting},
    usage::{self, QuotaState, all_zones},
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug)]
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
        let instant: fn(&str) -> Option<Value> = match backend {
            DbBackend::Sqlite => |text| Some(text.into()),
            _ => |text| text.parse::<DateTime<Utc>>().ok().map(Value::from),
        };
        let (nullable, key): (bool, fn(&str) -> Option<Value>) = match self.field {
            OrderField::Name => (false, |text| Some(text.into())),
            OrderField::CreatedAt => (false, instant),
            OrderField::LastCallAt => (true, instant),
            OrderField::MonthlyUsageCents => (true, |text| text.parse::<i64>().ok().map(Value::from)),
            OrderField::CallsUsedRatio => (true, |text| text.parse::<f64>().ok().map(Value::from)),
        };
        Sorting { descending: self.descending, nullable, key }
    }

    /// One page, in one statement.
    ///
    /// # Errors
    ///
    /// [`Error`].
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
        let rows =
            database.connection.query_all_raw(sql.statement(&text)).await.map_err(database::Error::from)?;
        let has_more = rows.len() > slice.size;
        let mut edges = rows
            .iter()
            .take(slice.size)
            .map(|row| {
                let tenant = Tenant::from_query_result(row, "")?;
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
        let row =
            database.connection.query_one_raw(sql.statement(&text)).await.map_err(database::Error::from)?;
        let Some(row) = row else { return Ok(Counts::default()) };
        let number = |name| row.try_get_by::<i64, _>(name).map_err(database::Error::from);
        Ok(Counts { total: number("total")?, before: number("earlier")? })
    }

    /// Every matching tenant with its sort key `k`.
    fn source(&self, sql: &mut Sql, backend: DbBackend, now: DateTime<Utc>) -> Result<String, Error> {
        let needs_month = matches!(self.field, OrderField::CallsUsedRatio | OrderField::MonthlyUsageCents)
            || self.quota_state.is_some();
        let months = if needs_month {
            format!("LEFT JOIN ({}) z ON z.zone = t.time_zone", months(sql, backend, now)?)
        } else {
            String::new()
        };
        let key = match (self.field, backend) {
            (OrderField::Name, DbBackend::Sqlite) => "t.name".to_owned(),
            (OrderField::Name, _) => "t.name COLLATE \"C\"".to_owned(),
            (OrderField::CreatedAt, _) => "t.created_at".to_owned(),
            (OrderField::LastCallAt, _) => {
                "(SELECT max(c.started_at) FROM calls c WHERE c.tenant_id = t.id)".to_owned()
            }
            (OrderField::MonthlyUsageCents, _) => {
                format!(
                    "CASE WHEN z.zone IS NOT NULL THEN {} END",
                    of_month("cast(coalesce(sum(c.cost_cents), 0) AS bigint)")
                )
            }
            (OrderField::CallsUsedRatio, _) => format!(
                "CASE WHEN t.monthly_call_limit = 0 THEN cast(1 AS double precision) \
                 WHEN z.zone IS NOT NULL THEN cast({} AS double precision) / t.monthly_call_limit END",
                of_month("count(*)")
            ),
        };
        let mut conditions = vec!["true".to_owned()];
        if let Visible::Only(tenant) = self.visible {
            conditions.push(format!("t.id = {}", sql.bind(tenant.into())));
        }
        if let Some(part) = &self.name_contains {
            let find = if backend == DbBackend::Sqlite { "instr" } else { "strpos" };
            conditions.push(format!("{find}(lower(t.name), lower({})) > 0", sql.bind(part.as_str().into())));
        }
        if let Some(status) = &self.status {
            let words: Vec<_> = status.iter().map(|status| status.word()).collect();
            conditions.push(format!("t.status {}", sql.bind_words(&words)));
        }
        if let Some(states) = &self.quota_state {
            let any: Vec<_> = states.iter().map(|state| quota_condition(*state)).collect();
            conditions.push(if any.is_empty() {
                "false".to_owned()
            } else {
                format!("({})", any.join(" OR "))
            });
        }
        Ok(format!("SELECT t.*, {key} AS k FROM tenants t {months} WHERE {}", conditions.join(" AND ")))
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

/// An aggregate over the calls of tenant `t` in its local month `z`.
fn of_month(aggregate: &str) -> String {
    format!(
        "(SELECT {aggregate} FROM calls c WHERE c.tenant_id = t.id \
         AND c.started_at >= z.month_start AND c.started_at < z.month_end)"
    )
}

/// The same rule as [`QuotaState::of`].
fn quota_condition(state: QuotaState) -> String {
    let used = of_month("count(*)");
    match state {
        QuotaState::Unlimited => "t.monthly_call_limit IS NULL".to_owned(),
        QuotaState::Exceeded => format!("{used} >= t.monthly_call_limit"),
        QuotaState::Warning => format!(
            "({used} < t.monthly_call_limit AND {used} * 5 >= cast(t.monthly_call_limit AS bigint) * 4)"
        ),
        QuotaState::Ok => format!("{used} * 5 < cast(t.monthly_call_limit AS bigint) * 4"),
    }
}

/// The present local month of every zone there is, so that no statement need ask for the zones first.
fn months(sql: &mut Sql, backend: DbBackend, now: DateTime<Utc>) -> Result<String, usage::Error> {
    let months = all_zones()
        .map(|zone| Ok((zone.name(), zone.month(now)?)))
        .collect::<Result<Vec<_>, usage::Error>>()?;
    Ok(if backend == DbBackend::Sqlite {
        let rows: Vec<_> = months
            .iter()
            .map(|(name, month)| json!([name, timestamp::text(month.start), timestamp::text(month.end)]))
            .collect();
        let rows = sql.bind(json!(rows).to_string().into());
        format!(
            "SELECT value ->> 0 AS zone, value ->> 1 AS month_start, value ->> 2 AS month_end FROM json_each({rows})"
        )
    } else {
        let names = sql.bind(months.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>().into());
        let starts = sql.bind(months.iter().map(|(_, month)| month.start).collect::<Vec<_>>().into());
        let ends = sql.bind(months.iter().map(|(_, month)| month.end).collect::<Vec<_>>().into());
        format!(
            "SELECT * FROM unnest({names}::text[], {starts}::timestamptz[], {ends}::timestamptz[]) \
             AS u (zone, month_start, month_end)"
        )
    })
}
