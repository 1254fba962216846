//! Ranges of a roll-up that a statement sums up.

use chrono::{DateTime, Utc};
use sea_orm::DbBackend;
use uuid::Uuid;

use super::{Span, Zone, columns::SUMS};
use crate::database::{Column, Database, Sql};

/// Whose rows a range is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// Those of every tenant in the zone.
    Zone(Zone),
    /// Those of this tenant.
    Tenant(Uuid),
}

/// Ranges, each with the number that it is counted under. All are by zone, or all by tenant.
#[derive(Default)]
pub(super) struct Parts {
    zones: Vec<String>,
    tenants: Vec<Uuid>,
    numbers: Vec<i32>,
    starts: Vec<DateTime<Utc>>,
    ends: Vec<DateTime<Utc>>,
}

impl Parts {
    pub(super) fn push(&mut self, by: By, number: i32, span: Span) {
        match by {
            By::Zone(zone) => self.zones.push(zone.name().to_owned()),
            By::Tenant(tenant) => self.tenants.push(tenant),
        }
        self.numbers.push(number);
        self.starts.push(span.start);
        self.ends.push(span.end);
    }

    /// A query of the roll-up's rows in these ranges, of tenants that `these` is true for: tenant,
    /// number, calls once more under the name of `today`, and the sums.
    ///
    /// It begins with the tenants' own rows, and from there each range reads its own piece of a primary
    /// key. SQLite keeps the order of a cross join. On PostgreSQL a subquery of each range keeps it: joined
    /// plainly, a plan that was made while the table was empty reads every tenant's rows. Citus refuses
    /// such a subquery, but plans each time anew.
    pub(super) fn select(self, sql: &mut Sql, database: &Database, table: &str, these: &str) -> String {
        let by_tenant = self.zones.is_empty();
        let ranges = sql.bind_table(
            "r",
            vec![
                if by_tenant {
                    ("key", Column::Ids(self.tenants))
                } else {
                    ("key", Column::Words(self.zones))
                },
                ("n", Column::Integers(self.numbers)),
                ("from_at", Column::Instants(self.starts)),
                ("to_at", Column::Instants(self.ends)),
            ],
        );
        let key = if by_tenant { "t.id" } else { "t.time_zone" };
        let range = "u.tenant_id = t.id AND u.starts_at >= r.from_at AND u.starts_at < r.to_at";
        let sums = SUMS.map(|column| format!("u.{column}")).join(", ");
        let (join, rows) = match (sql.backend(), database.is_distributed()) {
            (DbBackend::Sqlite, _) => ("CROSS JOIN", format!("CROSS JOIN {table} u ON {range}")),
            (_, true) => ("JOIN", format!("JOIN {table} u ON {range}")),
            (_, false) => (
                "JOIN",
                format!(
                    "CROSS JOIN LATERAL (SELECT u.tenant_id, {sums} FROM {table} u WHERE {range} OFFSET 0) u"
                ),
            ),
        };
        format!(
            "SELECT u.tenant_id, r.n, u.calls AS today, {sums} FROM tenants t {join} {ranges} ON r.key = {key} \
             {rows} WHERE t.id {these}"
        )
    }
}
