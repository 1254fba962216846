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
        let (with, from) = if self.database.is_distributed() {
            self.gathered(&mut sql, windows, &these)?
        } else if sql.backend() == DbBackend::Sqlite {
            (String::new(), embedded(&mut sql, windows, &these)?)
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

    /// The sums of all tenants gathered and added up, then joined to each: Citus refuses to look anything up for
    /// each row. Returns what comes before the query, and tenants `t` with sums `m`.
    fn gathered(
        &self,
        sql: &mut Sql,
        windows: &HashMap<Zone, Windows>,
        these: &str,
    ) -> Result<(String, String), Error> {
        let (quarter_hours, days) = parts(windows)?;
        let sources = [
            quarter_hours.select(sql, &self.database, "usage_quarter_hours", these),
            days.select(sql, &self.database, "usage_days", these),
            differences(sql, windows, these),
        ];
        let sum = |column: &str, flag: i32| format!("sum({column}) FILTER (WHERE n & {flag} <> 0)");
        let with = format!(
            "WITH parts AS ({}), m AS ( \
               SELECT tenant_id, {} AS calls_today, {} FROM parts GROUP BY tenant_id) ",
            sources.join(" UNION ALL "),
            sum("today", TODAY),
            SUMS.map(|column| format!("{} AS {column}", sum(column, MONTH))).join(", "),
        );
        Ok((with, format!("tenants t LEFT JOIN m ON m.tenant_id = t.id WHERE t.id {these}")))
    }
}

/// A piece of a roll-up that a window of a tenant `t` in zone `w` is covered with.
struct Piece {
    name: String,
    table: &'static str,
}

impl Piece {
    /// These columns of its rows `u`. Zones without such a piece are spared the look at the index.
    fn select(&self, columns: &str) -> String {
        let Self { name, table } = self;
        format!(
            "SELECT {columns} FROM {table} u WHERE w.{name}_from < w.{name}_to \
             AND u.tenant_id = t.id AND u.starts_at >= w.{name}_from AND u.starts_at < w.{name}_to"
        )
    }
}

/// The windows of zones, and the pieces that cover them.
struct Looks {
    today: Vec<Piece>,
    month: Vec<Piece>,
    /// The columns of `w`: the zone, and where each window and each piece begins and ends.
    bounds: Vec<(String, Column)>,
}

impl Looks {
    fn of(windows: &HashMap<Zone, Windows>) -> Result<Self, Error> {
        let zones = windows.keys().map(|zone| zone.name().to_owned()).collect();
        let mut bounds = vec![("zone".to_owned(), Column::Words(zones))];
        let today = cover_all("today", windows.values().map(|windows| windows.today).collect(), &mut bounds)?;
        let month = cover_all("month", windows.values().map(|windows| windows.month).collect(), &mut bounds)?;
        Ok(Self { today, month, bounds })
    }

    /// Tenants `t`, each with the bounds `w` of its zone, or none where that is not among them.
    fn tenants(&self, sql: &mut Sql) -> String {
        let bounds = self.bounds.iter().map(|(name, column)| (name.as_str(), column.clone())).collect();
        format!("tenants t LEFT JOIN {} ON w.zone = t.time_zone", sql.bind_table("w", bounds))
    }
}

/// The pieces of one window of each zone; pieces that no zone has are missing.
fn cover_all(
    window: &str,
    spans: Vec<Span>,
    bounds: &mut Vec<(String, Column)>,
) -> Result<Vec<Piece>, Error> {
    let mut bound = |name: &str, spans: Vec<Span>| {
        let (starts, ends) = spans.into_iter().map(|span| (span.start, span.end)).unzip();
        bounds.push((format!("{name}_from"), Column::Instants(starts)));
        bounds.push((format!("{name}_to"), Column::Instants(ends)));
    };
    let covered: Vec<_> = spans.iter().map(|span| cover(*span)).collect::<Result<_, _>>()?;
    let heads = covered.iter().map(|covered| covered.quarter_hours[0]);
    let days = covered.iter().map(|covered| covered.days);
    let tails = covered.iter().map(|covered| covered.quarter_hours[1]);
    let mut pieces = Vec::new();
    for (part, table, found) in [
        ("head", "usage_quarter_hours", heads.collect::<Vec<_>>()),
        ("days", "usage_days", days.collect()),
        ("tail", "usage_quarter_hours", tails.collect()),
    ] {
        if found.iter().all(Option::is_none) {
            continue;
        }
        let name = format!("{window}_{part}");
        let empty = |span: &Span| Span { end: span.start, ..*span };
        let found = found.into_iter().zip(&spans);
        bound(&name, found.map(|(piece, span)| piece.unwrap_or_else(|| empty(span))).collect());
        pieces.push(Piece { name, table });
    }
    bound(window, spans);
    Ok(pieces)
}

/// The sums for each tenant by itself: on PostgreSQL three quarters of the time of gathering, for one tenant and
/// for many. Returns tenants `t` with sums `m`.
fn each(sql: &mut Sql, windows: &HashMap<Zone, Windows>, these: &str) -> Result<String, Error> {
    let looks = Looks::of(windows)?;
    let nothing = SUMS.map(|column| format!("NULL::bigint AS {column}")).join(", ");
    let sums = SUMS.map(|column| format!("u.{column}")).join(", ");
    let today = looks.today.iter().map(|piece| piece.select(&format!("u.calls AS today, {nothing}")));
    let month = looks.month.iter().map(|piece| piece.select(&format!("NULL::bigint AS today, {sums}")));
    // A day lies in its month, so what is outside the month need not be looked at. Differences, which may be many,
    // are added up by themselves, narrow counts as such. Most tenants have none, and are spared the adding up.
    let narrow = SUMS.map(|column| format!("sum(u.{column})::bigint AS {column}")).join(", ");
    let differences = format!(
        "SELECT d.* FROM (SELECT 1 FROM usage_deltas u WHERE u.tenant_id = t.id LIMIT 1) any_are CROSS JOIN LATERAL \
           (SELECT sum(u.calls) FILTER (WHERE u.starts_at >= w.today_from AND u.starts_at < w.today_to) AS today, \
              {narrow} FROM usage_deltas u WHERE u.tenant_id = t.id \
              AND u.starts_at >= w.month_from AND u.starts_at < w.month_to) d"
    );
    let queries: Vec<_> = today.chain(month).chain([differences]).collect();
    let added = SUMS.map(|column| format!("sum(u.{column}) AS {column}")).join(", ");
    Ok(format!(
        "{} CROSS JOIN LATERAL (SELECT sum(u.today) AS calls_today, {added} FROM ({}) u) m WHERE t.id {these}",
        looks.tenants(sql),
        queries.join(" UNION ALL ")
    ))
}

/// The same on SQLite, where only a query of one value may look at the row beside it: the sums go through it as a
/// list. Half of the time of gathering, which sorts every row that it reads. There are no differences.
fn embedded(sql: &mut Sql, windows: &HashMap<Zone, Windows>, these: &str) -> Result<String, Error> {
    let looks = Looks::of(windows)?;
    let sums = SUMS.map(|column| format!("sum({column})")).join(", ");
    let taken = SUMS.iter().enumerate().map(|(place, column)| format!("sums ->> {place} AS {column}"));
    // Without the limit each of the list's values would have all of it read again.
    Ok(format!(
        "(SELECT id, calls_today, {} FROM ( \
            SELECT t.id, (SELECT sum(calls) FROM ({})) AS calls_today, (SELECT json_array({sums}) FROM ({})) AS sums \
            FROM {} WHERE t.id {these} LIMIT -1)) m \
         CROSS JOIN tenants t ON t.id = m.id",
        taken.collect::<Vec<_>>().join(", "),
        together(&looks.today, &["calls"]),
        together(&looks.month, &SUMS),
        looks.tenants(sql),
    ))
}

/// These columns of all pieces. There are none while no zone is known.
fn together(pieces: &[Piece], columns: &[&str]) -> String {
    let named = |column: &dyn Fn(&str) -> String| {
        columns.iter().map(|name| column(name)).collect::<Vec<_>>().join(", ")
    };
    if pieces.is_empty() {
        return format!("SELECT {}", named(&|name| format!("NULL AS {name}")));
    }
    let columns = named(&|name| format!("u.{name}"));
    pieces.iter().map(|piece| piece.select(&columns)).collect::<Vec<_>>().join(" UNION ALL ")
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
