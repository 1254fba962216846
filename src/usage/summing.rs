//! The statement that adds up the figures of many tenants, from the sums and from the differences that are not
//! in them yet.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{DbBackend, Statement};
use uuid::Uuid;

use super::{
    Error, Reader, Span, Zone,
    columns::SUMS,
    parts::{By, Parts},
    ranges::cover,
    reading::Windows,
};
use crate::database::{Column, Sql};

impl Reader {
    /// The statement for tenants in zones with these windows.
    pub(super) fn summing(
        &self,
        tenants: &[Uuid],
        windows: &HashMap<Zone, Windows>,
        as_of: DateTime<Utc>,
    ) -> Result<Statement, Error> {
        let mut sql = Sql::new(self.database.backend());
        let these = sql.bind_ids(tenants);
        // Citus refuses to look anything up for each row.
        let (with, from) = if sql.backend() == DbBackend::Sqlite || self.database.is_distributed() {
            self.gathered(&mut sql, windows, &these)?
        } else {
            (String::new(), each(&mut sql, windows, &these)?)
        };
        let unbuilt = "EXISTS (SELECT 1 FROM usage_rebuilds b WHERE b.tenant_id = t.id)";
        let columns = self.columns(&mut sql, unbuilt, as_of);
        let integer = if sql.backend() == DbBackend::Sqlite { "INTEGER" } else { "bigint" };
        let given = |column: &str| format!("cast(coalesce(m.{column}, 0) AS {integer}) AS {column}");
        let text = format!(
            "{with}SELECT {columns}, {}, {} FROM {from}",
            given("calls_today"),
            SUMS.map(given).join(", ")
        );
        Ok(sql.statement(&text))
    }

    /// The sums of all tenants gathered and added up, then joined to each: for databases that cannot look
    /// them up for each tenant by itself. Returns what comes before the query, and tenants `t` with sums `m`.
    fn gathered(
        &self,
        sql: &mut Sql,
        windows: &HashMap<Zone, Windows>,
        these: &str,
    ) -> Result<(String, String), Error> {
        let (quarter_hours, days) = parts(windows)?;
        let mut sources = vec![
            quarter_hours.select(sql, &self.database, "usage_quarter_hours", these),
            days.select(sql, &self.database, "usage_days", these),
        ];
        // SQLite would keep the sums of an outer join in a table with an index, made for each statement. With
        // a row of zeros for every tenant the sums can lead instead.
        let from = if sql.backend() == DbBackend::Sqlite {
            let zeros = ["0"; SUMS.len()].join(", ");
            sources
                .push(format!("SELECT t.id, 0 AS n, 0 AS today, {zeros} FROM tenants t WHERE t.id {these}"));
            "m CROSS JOIN tenants t ON t.id = m.tenant_id".to_owned()
        } else {
            sources.push(differences(sql, windows, these));
            format!("tenants t LEFT JOIN m ON m.tenant_id = t.id WHERE t.id {these}")
        };
        let sum = |column: &str, flag: i32| format!("sum({column}) FILTER (WHERE n & {flag} <> 0)");
        let with = format!(
            "WITH parts AS ({}), m AS ( \
               SELECT tenant_id, {} AS calls_today, {} FROM parts GROUP BY tenant_id) ",
            sources.join(" UNION ALL "),
            sum("today", TODAY),
            SUMS.map(|column| format!("{} AS {column}", sum(column, MONTH))).join(", "),
        );
        Ok((with, from))
    }
}

/// The same for each tenant by itself: on PostgreSQL three quarters of the time of gathering, for one tenant and
/// for many. Returns tenants `t` with sums `m`.
fn each(sql: &mut Sql, windows: &HashMap<Zone, Windows>, these: &str) -> Result<String, Error> {
    let (mut bounds, mut queries) = (Vec::new(), Vec::new());
    let mut bound = |name: String, spans: Vec<Span>| {
        let (starts, ends) = spans.into_iter().map(|span| (span.start, span.end)).unzip();
        bounds.push((format!("{name}_from"), Column::Instants(starts)));
        bounds.push((format!("{name}_to"), Column::Instants(ends)));
    };
    let sums = SUMS.map(|column| format!("u.{column}")).join(", ");
    let nothing = SUMS.map(|column| format!("NULL::bigint AS {column}")).join(", ");
    let todays: Vec<_> = windows.values().map(|windows| windows.today).collect();
    let months: Vec<_> = windows.values().map(|windows| windows.month).collect();
    for (window, spans, selected) in [
        ("today", todays, format!("u.calls AS today, {nothing}")),
        ("month", months, format!("NULL::bigint AS today, {sums}")),
    ] {
        let covered: Vec<_> = spans.iter().map(|span| cover(*span)).collect::<Result<_, _>>()?;
        let heads = covered.iter().map(|covered| covered.quarter_hours[0]);
        let days = covered.iter().map(|covered| covered.days);
        let tails = covered.iter().map(|covered| covered.quarter_hours[1]);
        for (part, table, pieces) in [
            ("head", "usage_quarter_hours", heads.collect::<Vec<_>>()),
            ("days", "usage_days", days.collect()),
            ("tail", "usage_quarter_hours", tails.collect()),
        ] {
            if pieces.iter().all(Option::is_none) {
                continue;
            }
            let name = format!("{window}_{part}");
            // Zones without such a part are spared the look at the index.
            queries.push(format!(
                "SELECT {selected} FROM {table} u WHERE w.{name}_from < w.{name}_to \
                 AND u.tenant_id = t.id AND u.starts_at >= w.{name}_from AND u.starts_at < w.{name}_to"
            ));
            let empty = |span: &Span| Span { end: span.start, ..*span };
            let pieces = pieces.into_iter().zip(&spans);
            bound(name, pieces.map(|(piece, span)| piece.unwrap_or_else(|| empty(span))).collect());
        }
        bound(window.to_owned(), spans);
    }
    // A day lies in its month, so what is outside the month need not be looked at. Differences, which may be many,
    // are added up by themselves, narrow counts as such. Most tenants have none, and are spared the adding up.
    let narrow = SUMS.map(|column| format!("sum(u.{column})::bigint AS {column}")).join(", ");
    queries.push(format!(
        "SELECT d.* FROM (SELECT 1 FROM usage_deltas u WHERE u.tenant_id = t.id LIMIT 1) any_are CROSS JOIN LATERAL \
           (SELECT sum(u.calls) FILTER (WHERE u.starts_at >= w.today_from AND u.starts_at < w.today_to) AS today, \
              {narrow} FROM usage_deltas u WHERE u.tenant_id = t.id \
              AND u.starts_at >= w.month_from AND u.starts_at < w.month_to) d"
    ));
    let zones = windows.keys().map(|zone| zone.name().to_owned()).collect();
    let columns = bounds.iter().map(|(name, column)| (name.as_str(), column.clone()));
    let bounds = sql.bind_table("w", [("zone", Column::Words(zones))].into_iter().chain(columns).collect());
    let added = SUMS.map(|column| format!("sum(u.{column}) AS {column}")).join(", ");
    Ok(format!(
        "tenants t LEFT JOIN {bounds} ON w.zone = t.time_zone \
         CROSS JOIN LATERAL (SELECT sum(u.today) AS calls_today, {added} FROM ({}) u) m WHERE t.id {these}",
        queries.join(" UNION ALL ")
    ))
}

/// Flags of a part: which windows it belongs to.
const TODAY: i32 = 1;
const MONTH: i32 = 2;

/// What is read of quarter-hours and of days, for tenants in each zone.
fn parts(windows: &HashMap<Zone, Windows>) -> Result<(Parts, Parts), Error> {
    let (mut quarter_hours, mut days) = (Parts::default(), Parts::default());
    for (zone, windows) in windows {
        for (span, flag) in [(windows.today, TODAY), (windows.month, MONTH)] {
            let covered = cover(span)?;
            for part in covered.quarter_hours.into_iter().flatten() {
                quarter_hours.push(By::Zone(*zone), flag, part);
            }
            if let Some(part) = covered.days {
                days.push(By::Zone(*zone), flag, part);
            }
        }
    }
    Ok((quarter_hours, days))
}

/// A query of the tenants' differences, added up, as [`Parts::select`] gives sums. A day lies in its month, so
/// what is outside the month need not be looked at.
///
/// Their table is small most of the time. The tenants are named in full, as Citus wants it.
fn differences(sql: &mut Sql, windows: &HashMap<Zone, Windows>, these: &str) -> String {
    let instants =
        |pick: fn(&Windows) -> DateTime<Utc>| Column::Instants(windows.values().map(pick).collect());
    let bounds = sql.bind_table(
        "w",
        vec![
            ("zone", Column::Words(windows.keys().map(|zone| zone.name().to_owned()).collect())),
            ("day_start", instants(|windows| windows.today.start)),
            ("day_end", instants(|windows| windows.today.end)),
            ("month_start", instants(|windows| windows.month.start)),
            ("month_end", instants(|windows| windows.month.end)),
        ],
    );
    let sums = SUMS.map(|column| format!("sum(u.{column})::bigint AS {column}")).join(", ");
    format!(
        "SELECT u.tenant_id, {TODAY} + {MONTH} AS n, \
           coalesce(sum(u.calls) FILTER (WHERE u.starts_at >= w.day_start AND u.starts_at < w.day_end), 0) AS today, {sums} \
         FROM usage_deltas u JOIN tenants t ON t.id = u.tenant_id JOIN {bounds} ON w.zone = t.time_zone \
         WHERE u.tenant_id {these} AND u.starts_at >= w.month_start AND u.starts_at < w.month_end GROUP BY u.tenant_id"
    )
}
