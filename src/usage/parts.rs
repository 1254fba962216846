//! Ranges of a roll-up that a statement sums up.

use chrono::{DateTime, Utc};
use sea_orm::DbBackend;
use uuid::Uuid;

use super::{Span, Zone, columns::SUMS};
use crate::database::{Column, Sql};

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
    /// It begins with the tenants' own rows: from there each range reads its own piece of a primary key,
    /// and on a distributed database only the tenants' shards are asked.
    pub(super) fn select(self, sql: &mut Sql, table: &str, these: &str) -> String {
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
        // SQLite keeps the order of a cross join; PostgreSQL finds it.
        let join = if sql.backend() == DbBackend::Sqlite { "CROSS JOIN" } else { "JOIN" };
        format!(
            "SELECT u.tenant_id, r.n, u.calls AS today, {} FROM tenants t {join} {ranges} ON r.key = {key} \
             {join} {table} u ON u.tenant_id = t.id AND u.starts_at >= r.from_at AND u.starts_at < r.to_at \
             WHERE t.id {these}",
            SUMS.map(|column| format!("u.{column}")).join(", ")
        )
    }
}
