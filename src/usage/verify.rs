//! Recounts from the calls, and tells every difference to the sums.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult};
use uuid::Uuid;

use super::{
    Figures, Keeper, Span,
    columns::{SUMS, buckets_of_calls, figures_from, sums_of_calls},
};
use crate::database::{Error, Sql};

/// Days that one statement recounts.
const STEP: TimeDelta = TimeDelta::days(28);

/// Which roll-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grain {
    /// A UTC quarter-hour; differences that are not folded yet count as sums.
    QuarterHour,
    /// A UTC day.
    Day,
}

/// A bucket whose sums are not what its calls say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// Whose bucket.
    pub tenant: Uuid,
    /// Of which roll-up.
    pub grain: Grain,
    /// Its start.
    pub starts_at: DateTime<Utc>,
    /// What the sums say.
    pub kept: Figures,
    /// What the calls say.
    pub counted: Figures,
}

impl Keeper {
    /// Recounts everything of a tenant, and returns every difference. One whose sums are not built yet,
    /// or no longer kept because it is being erased, has none.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn verify(&self, tenant: Uuid) -> Result<Vec<Difference>, Error> {
        let mut differences = Vec::new();
        let mut left = self.span_of(&self.database.connection, tenant, None).await?;
        while let Some(days) = left {
            let end = (days.start + STEP).min(days.end);
            differences.extend(self.verify_days(tenant, Span { start: days.start, end }).await?);
            if end == days.end {
                break;
            }
            // One mistyped date may leave a thousand years of nothing before the next.
            left = self.span_of(&self.database.connection, tenant, Some(end)).await?;
        }
        Ok(differences)
    }

    /// Recounts one week of a tenant that `dice` choose. Half of them begin on a day that has sums, which one
    /// mistyped date far away does not thin out; the others anywhere between the first and the last, since sums may
    /// be missing where calls are.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn verify_week(&self, tenant: Uuid, dice: u64) -> Result<Vec<Difference>, Error> {
        let Some(whole) = self.span_of(&self.database.connection, tenant, None).await? else {
            return Ok(Vec::new());
        };
        let week = TimeDelta::days(7);
        let (half, dice) = (dice % 2, dice / 2);
        let on_sums = if half == 0 { self.day_with_sums(tenant, dice).await? } else { None };
        let start = on_sums.unwrap_or_else(|| {
            let weeks = u64::try_from((whole.end - whole.start).num_weeks() + 1).unwrap_or(1);
            whole.start + week * i32::try_from(dice % weeks).unwrap_or_default()
        });
        let Some(days) = self.span_of(&self.database.connection, tenant, Some(start)).await? else {
            return Ok(Vec::new());
        };
        self.verify_days(tenant, Span { end: (days.start + week).min(days.end), ..days }).await
    }

    /// The `dice`th of the days that have sums, counted round and round.
    async fn day_with_sums(&self, tenant: Uuid, dice: u64) -> Result<Option<DateTime<Utc>>, Error> {
        let mut sql = Sql::new(self.database.backend());
        let text =
            format!("SELECT count(*) AS n FROM usage_days WHERE tenant_id = {}", sql.bind(tenant.into()));
        let row = self.database.connection.query_one_raw(sql.statement(&text)).await?;
        let days: i64 = row.map(|row| row.try_get_by("n")).transpose()?.unwrap_or_default();
        let place = i64::try_from(dice % u64::try_from(days).unwrap_or_default().max(1)).unwrap_or_default();
        let mut sql = Sql::new(self.database.backend());
        let (tenant, place) = (sql.bind(tenant.into()), sql.bind(place.into()));
        let text = format!(
            "SELECT starts_at FROM usage_days WHERE tenant_id = {tenant} ORDER BY starts_at LIMIT 1 OFFSET {place}"
        );
        let row = self.database.connection.query_one_raw(sql.statement(&text)).await?;
        Ok(row.map(|row| row.try_get_by("starts_at")).transpose()?)
    }

    /// Recounts whole UTC days, all from one snapshot.
    async fn verify_days(&self, tenant: Uuid, days: Span) -> Result<Vec<Difference>, Error> {
        let backend = self.database.backend();
        let mut differences = Vec::new();
        for grain in [Grain::QuarterHour, Grain::Day] {
            let mut sql = Sql::new(backend);
            let id = sql.bind(tenant.into());
            let (from, to) = (sql.bind_instant(days.start), sql.bind_instant(days.end));
            let text = statement(backend, grain, &id, &from, &to);
            for row in self.database.connection.query_all_raw(sql.statement(&text)).await? {
                differences.push(difference(&row, tenant, grain)?);
            }
        }
        Ok(differences)
    }

    /// Rows of calls and sums whose tenant does not exist: only a writer that passed foreign keys by can
    /// leave them, on SQLite with `foreign_keys` off, on PostgreSQL as a replica.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn orphans(&self) -> Result<Vec<(&'static str, i64)>, Error> {
        let mut found = Vec::new();
        for table in ["calls", "usage_quarter_hours", "usage_days"] {
            let sql = Sql::new(self.database.backend()).statement(&format!(
                "SELECT count(*) AS n FROM {table} c WHERE NOT EXISTS (SELECT 1 FROM tenants t WHERE t.id = c.tenant_id)"
            ));
            if let Some(row) = self.database.connection.query_one_raw(sql).await? {
                let rows: i64 = row.try_get_by("n")?;
                if rows > 0 {
                    found.push((table, rows));
                }
            }
        }
        Ok(found)
    }

    /// The first tenant after `after`.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn next_tenant(&self, after: Uuid) -> Result<Option<Uuid>, Error> {
        let mut sql = Sql::new(self.database.backend());
        let text =
            format!("SELECT id FROM tenants WHERE id > {} ORDER BY id LIMIT 1", sql.bind(after.into()));
        let row = self.database.connection.query_one_raw(sql.statement(&text)).await?;
        Ok(row.map(|row| row.try_get_by("id")).transpose()?)
    }
}

fn statement(backend: DbBackend, grain: Grain, id: &str, from: &str, to: &str) -> String {
    let kept = |table: &str| {
        format!(
            "SELECT starts_at, 1 AS is_kept, {} FROM {table} \
             WHERE tenant_id = {id} AND starts_at >= {from} AND starts_at < {to}",
            SUMS.join(", ")
        )
    };
    let [quarter_hour, day] = buckets_of_calls(backend);
    let (bucket, mut kept) = match grain {
        Grain::QuarterHour => (quarter_hour, vec![kept("usage_quarter_hours"), kept("usage_deltas")]),
        Grain::Day => (day, vec![kept("usage_days")]),
    };
    if grain == Grain::Day && backend == DbBackend::Postgres {
        kept.push(format!(
            "SELECT date_trunc('day', starts_at, 'UTC'), 1, {} FROM usage_deltas \
             WHERE tenant_id = {id} AND starts_at >= {from} AND starts_at < {to}",
            SUMS.join(", ")
        ));
    }
    let integer = if backend == DbBackend::Sqlite { "INTEGER" } else { "bigint" };
    let sums = |is_kept: i32| {
        SUMS.map(|column| {
            format!("cast(coalesce(sum({column}) FILTER (WHERE is_kept = {is_kept}), 0) AS {integer})")
        })
    };
    let (kept_sums, counted_sums) = (sums(1), sums(0));
    let differ: Vec<_> =
        kept_sums.iter().zip(&counted_sums).map(|(kept, counted)| format!("{kept} <> {counted}")).collect();
    format!(
        "SELECT starts_at, {}, {} FROM ({} UNION ALL \
           SELECT {bucket}, 0, {} FROM calls c \
           WHERE c.tenant_id = {id} AND c.started_at >= {from} AND c.started_at < {to} GROUP BY 1) s \
         WHERE EXISTS (SELECT 1 FROM tenants t WHERE t.id = {id} AND t.status <> 'deleting') \
           AND NOT EXISTS (SELECT 1 FROM usage_rebuilds b WHERE b.tenant_id = {id}) \
         GROUP BY starts_at HAVING {} ORDER BY starts_at",
        kept_sums.join(", "),
        counted_sums.join(", "),
        kept.join(" UNION ALL "),
        sums_of_calls(backend),
        differ.join(" OR "),
    )
}

fn difference(row: &QueryResult, tenant: Uuid, grain: Grain) -> Result<Difference, DbErr> {
    Ok(Difference {
        tenant,
        grain,
        starts_at: row.try_get_by_index(0)?,
        kept: figures_from(row, 1)?,
        counted: figures_from(row, 1 + SUMS.len())?,
    })
}
