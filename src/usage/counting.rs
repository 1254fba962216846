//! Counts the calls themselves: the figures of tenants whose sums are not built yet. Exact, and the
//! slower the more calls the month has.

use chrono::{DateTime, Utc};
use sea_orm::{DbBackend, Statement};
use uuid::Uuid;

use super::{
    Reader,
    columns::{SUMS, sums_of_calls},
    reading::Windows,
};
use crate::database::{Column, Sql};

impl Reader {
    /// The statement that reads calls.
    pub(super) fn counting(&self, windows: &[(Uuid, Windows)], as_of: DateTime<Utc>) -> Statement {
        let backend = self.database.backend();
        let mut sql = Sql::new(backend);
        let tenants: Vec<_> = windows.iter().map(|(tenant, _)| *tenant).collect();
        let these = sql.bind_ids(&tenants);
        let instants = |pick: fn(&Windows) -> DateTime<Utc>| {
            Column::Instants(windows.iter().map(|(_, w)| pick(w)).collect())
        };
        let bounds = sql.bind_table(
            "w",
            vec![
                ("tenant_id", Column::Ids(tenants)),
                ("day_start", instants(|w| w.today.start)),
                ("day_end", instants(|w| w.today.end)),
                ("month_start", instants(|w| w.month.start)),
                ("month_end", instants(|w| w.month.end)),
            ],
        );
        // SQLite keeps the order of a cross join; PostgreSQL finds it.
        let (join, also) = match backend {
            DbBackend::Sqlite => ("CROSS JOIN", String::new()),
            _ => ("JOIN", format!(" WHERE c.tenant_id {these}")),
        };
        let columns = self.columns(&mut sql, "false", as_of);
        let given: Vec<_> =
            SUMS.iter().map(|column| format!("coalesce(m.{column}, 0) AS {column}")).collect();
        let text = format!(
            "WITH m AS ( \
               SELECT c.tenant_id, \
                 count(CASE WHEN c.started_at >= w.day_start AND c.started_at < w.day_end THEN 1 END) AS calls_today, \
                 {} \
               FROM {bounds} {join} calls c ON c.tenant_id = w.tenant_id \
                 AND c.started_at >= w.month_start AND c.started_at < w.month_end{also} \
               GROUP BY c.tenant_id) \
             SELECT {columns}, coalesce(m.calls_today, 0) AS calls_today, {} FROM tenants t LEFT JOIN m ON m.tenant_id = t.id WHERE t.id {these}",
            sums_of_calls(backend),
            given.join(", "),
        );
        sql.statement(&text)
    }
}
