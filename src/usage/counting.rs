//! Counts the calls themselves: the figures of tenants whose sums are not built yet. Exact, and the
//! slower the more calls the month has.

use chrono::{DateTime, Utc};
use sea_orm::{DbBackend, Statement};

use super::{
    Reader,
    columns::{SUMS, sums_of_calls},
    reading::Window,
};
use crate::database::{Column, Sql};

impl Reader {
    /// The statement that reads calls.
    pub(super) fn counted(&self, windows: &[Window], as_of: DateTime<Utc>) -> Statement {
        let backend = self.database.backend();
        let mut sql = Sql::new(backend);
        let tenants: Vec<_> = windows.iter().map(|window| window.subject.tenant).collect();
        let these = sql.bind_ids(&tenants);
        let instants =
            |pick: fn(&Window) -> DateTime<Utc>| Column::Instants(windows.iter().map(pick).collect());
        let bounds = sql.bind_table(
            "w",
            vec![
                ("tenant_id", Column::Ids(tenants)),
                ("day_start", instants(|window| window.today.start)),
                ("day_end", instants(|window| window.today.end)),
                ("month_start", instants(|window| window.month.start)),
                ("month_end", instants(|window| window.month.end)),
            ],
        );
        // See the ranges of the roll-ups.
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
             SELECT {columns}, {} FROM tenants t LEFT JOIN m ON m.tenant_id = t.id WHERE t.id {these}",
            sums_of_calls(backend),
            given.join(", "),
        );
        sql.statement(&text)
    }
}
