//! Reads series of many tenants in one statement.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sea_orm::{DbBackend, DbErr, QueryResult, Statement};
use uuid::Uuid;

use super::{
    Bucket, Error, Figures, Reader, Series, SeriesRequest,
    columns::{SUMS, buckets_of_calls, figures_from, sums_of_calls},
    parts::{By, Parts},
    ranges::cover,
};
use crate::database::{self, Sql};

/// Numbers rows that name a tenant whose sums are not built yet.
const UNBUILT: i32 = -1;
/// Numbers rows of differences, which say their quarter-hour themselves.
const DELTAS: i32 = -2;

/// A request on its way to its answer; its buckets are numbered from `first`.
struct Open {
    request: SeriesRequest,
    first: usize,
    buckets: Vec<Bucket>,
}

impl Reader {
    /// Usage of each request, bucket by bucket, as the sums tell, in one statement whatever their number. Requests
    /// of tenants whose sums are not built yet are missing from the answer, and are given beside it.
    ///
    /// # Errors
    ///
    /// [`Error`]; then nothing is known of any of them.
    pub async fn known_series(
        &self,
        requests: &[SeriesRequest],
    ) -> Result<(HashMap<SeriesRequest, Series>, Vec<SeriesRequest>), Error> {
        let as_of = self.clock.now();
        let mut open = Vec::with_capacity(requests.len());
        let mut first = 0;
        for request in requests {
            let buckets = request.empty_buckets()?;
            first += buckets.len();
            open.push(Open { request: *request, first: first - buckets.len(), buckets });
        }
        let rows = self.database.query_all(self.kept_series(&open)?).await?;
        let unbuilt = fill(&rows, &mut open)?;
        let (unbuilt, told): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|open| unbuilt.contains(&open.request.tenant));
        let told = told.into_iter().map(|open| (open.request, Series { buckets: open.buckets, as_of }));
        Ok((told.collect(), unbuilt.into_iter().map(|open| open.request).collect()))
    }

    /// Usage of each request as [`known_series`](Self::known_series) tells; those of tenants whose sums are still
    /// being built are read from their calls, by a statement each.
    ///
    /// # Errors
    ///
    /// [`Error`]; then nothing is known of any of them.
    pub async fn series(&self, requests: &[SeriesRequest]) -> Result<HashMap<SeriesRequest, Series>, Error> {
        let (mut all, unbuilt) = self.known_series(requests).await?;
        for request in unbuilt {
            let as_of = self.clock.now();
            let mut open = Open { request, first: 0, buckets: request.empty_buckets()? };
            for row in self.database.query_all(self.counted_series(&request)?).await? {
                let starts_at = row.try_get_by_index(0).map_err(database::Error::from)?;
                let figures = figures_from(&row, 1).map_err(database::Error::from)?;
                open.add(starts_at, &figures)?;
            }
            all.insert(request, Series { buckets: open.buckets, as_of });
        }
        Ok(all)
    }

    /// The statement that reads sums and differences: tenant, number, quarter-hour, sums.
    fn kept_series(&self, open: &[Open]) -> Result<Statement, Error> {
        let backend = self.database.backend();
        let mut sql = Sql::new(backend);
        let tenants: HashSet<Uuid> = open.iter().map(|open| open.request.tenant).collect();
        let these = sql.bind_ids(&tenants.into_iter().collect::<Vec<_>>());
        let (quarter_hours, days) = parts(open)?;
        let sources = [
            quarter_hours.select(&mut sql, &self.database, "usage_quarter_hours", &these),
            days.select(&mut sql, &self.database, "usage_days", &these),
        ];
        let integer = if backend == DbBackend::Sqlite { "INTEGER" } else { "bigint" };
        let sums: Vec<_> = SUMS.iter().map(|column| format!("cast(sum({column}) AS {integer})")).collect();
        let (sums, zeros) = (sums.join(", "), ["0"; SUMS.len()].join(", "));
        let mut text = format!(
            "WITH parts AS ({}) \
             SELECT tenant_id, n, NULL AS starts_at, {sums} FROM parts GROUP BY tenant_id, n \
             UNION ALL SELECT tenant_id, {UNBUILT}, NULL, {zeros} FROM usage_rebuilds WHERE tenant_id {these}",
            sources.join(" UNION ALL "),
        );
        if backend == DbBackend::Postgres {
            text = text.replacen("NULL AS starts_at", "NULL::timestamptz AS starts_at", 1);
            let from = open.iter().filter_map(|open| open.buckets.first()).map(|bucket| bucket.span.start);
            let to = open.iter().filter_map(|open| open.buckets.last()).map(|bucket| bucket.span.end);
            let (from, to) = (from.min().unwrap_or_default(), to.max().unwrap_or_default());
            let (from, to) = (sql.bind_instant(from), sql.bind_instant(to));
            text = format!(
                "{text} UNION ALL SELECT tenant_id, {DELTAS}, starts_at, {sums} FROM usage_deltas \
                 WHERE tenant_id {these} AND starts_at >= {from} AND starts_at < {to} GROUP BY tenant_id, starts_at"
            );
        }
        Ok(sql.statement(&text))
    }

    /// The statement that counts one tenant's calls: quarter-hour, sums.
    fn counted_series(&self, request: &SeriesRequest) -> Result<Statement, Error> {
        let backend = self.database.backend();
        let mut sql = Sql::new(backend);
        let span = request.span()?;
        let tenant = sql.bind(request.tenant.into());
        let (from, to) = (sql.bind_instant(span.start), sql.bind_instant(span.end));
        let ([quarter_hour, _], sums) = (buckets_of_calls(backend), sums_of_calls(backend));
        Ok(sql.statement(&format!(
            "SELECT {quarter_hour} AS starts_at, {sums} FROM calls c \
             WHERE c.tenant_id = {tenant} AND c.started_at >= {from} AND c.started_at < {to} GROUP BY 1"
        )))
    }
}

impl Open {
    /// Adds to the bucket that holds `instant`, if one does.
    fn add(&mut self, instant: DateTime<Utc>, figures: &Figures) -> Result<(), Error> {
        let after = self.buckets.partition_point(|bucket| bucket.span.start <= instant);
        match after.checked_sub(1).and_then(|at| self.buckets.get_mut(at)) {
            Some(bucket) if instant < bucket.span.end => bucket.figures.add(figures),
            _ => Ok(()),
        }
    }
}

/// What is read of quarter-hours and of days.
fn parts(open: &[Open]) -> Result<(Parts, Parts), Error> {
    let (mut quarter_hours, mut days) = (Parts::default(), Parts::default());
    for open in open {
        for (number, bucket) in (open.first..).zip(&open.buckets) {
            let number = i32::try_from(number).map_err(|_| Error::OutOfRange("the number of buckets"))?;
            let covered = cover(bucket.span)?;
            for part in covered.quarter_hours.into_iter().flatten() {
                quarter_hours.push(By::Tenant(open.request.tenant), number, part);
            }
            if let Some(part) = covered.days {
                days.push(By::Tenant(open.request.tenant), number, part);
            }
        }
    }
    Ok((quarter_hours, days))
}

/// Adds what the rows say to the buckets, and returns the tenants they cannot tell of.
fn fill(rows: &[QueryResult], open: &mut [Open]) -> Result<HashSet<Uuid>, Error> {
    let mut unbuilt = HashSet::new();
    for row in rows {
        let (tenant, number, starts_at, figures) = read(row).map_err(database::Error::from)?;
        match number {
            UNBUILT => {
                unbuilt.insert(tenant);
            }
            DELTAS => {
                let starts_at = starts_at.unwrap_or_default();
                for open in open.iter_mut().filter(|open| open.request.tenant == tenant) {
                    open.add(starts_at, &figures)?;
                }
            }
            number => {
                let number = usize::try_from(number).unwrap_or_default();
                let place = open.partition_point(|open| open.first <= number).saturating_sub(1);
                let bucket = open.get_mut(place).and_then(|open| {
                    let at = number - open.first;
                    open.buckets.get_mut(at)
                });
                if let Some(bucket) = bucket {
                    bucket.figures.add(&figures)?;
                }
            }
        }
    }
    Ok(unbuilt)
}

/// Tenant, number, quarter-hour where the number does not say it, sums.
type Read = (Uuid, i32, Option<DateTime<Utc>>, Figures);

fn read(row: &QueryResult) -> Result<Read, DbErr> {
    Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?, row.try_get_by_index(2)?, figures_from(row, 3)?))
}
