//! Folds differences into the sums: on PostgreSQL, where the triggers of writers append them.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend};
use uuid::Uuid;

use super::{
    Keeper,
    columns::SUMS,
    keeper::{Lease, Tenancy},
};
use crate::database::{Error, Sql};

/// Differences that one transaction folds, about: some may come in meanwhile.
const STEP: u32 = 20_000;

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folded {
    /// No tenant after the cursor has differences: the round is done.
    Nothing,
    /// Another process keeps the sums now.
    LeaseLost,
    /// Differences of this tenant were folded; `more` are left.
    Tenant {
        /// The tenant; the cursor of the next step.
        tenant: Uuid,
        /// Differences folded.
        rows: u64,
        /// Whether the same tenant has more.
        more: bool,
    },
}

impl Keeper {
    /// Folds differences of the first tenant at `from` or after it, in one short transaction. Sums and
    /// differences change together, so that every reader sees the same total before and after.
    ///
    /// # Errors
    ///
    /// [`Error`], with nothing changed.
    pub async fn fold(&self, lease: Lease, from: Uuid) -> Result<Folded, Error> {
        if self.database.backend() == DbBackend::Sqlite {
            return Ok(Folded::Nothing);
        }
        let Some(tenant) = self.next_with_differences(from).await? else { return Ok(Folded::Nothing) };
        let Some(transaction) = self.begin(Some(lease)).await? else { return Ok(Folded::LeaseLost) };
        let last = last_of_step(&transaction, tenant).await?;
        let (rows, more) = match self.hold(&transaction, tenant).await? {
            Tenancy::Held => (fold_tenant(&transaction, tenant, last).await?, last.is_some()),
            // What a tenant that is gone has left behind belongs to nobody.
            Tenancy::Gone => (discard(&transaction, tenant, last).await?, last.is_some()),
            Tenancy::Busy => (0, false),
        };
        transaction.commit().await?;
        Ok(Folded::Tenant { tenant, rows, more })
    }

    /// How many differences there are, and how long ago the oldest of them came. What an id begins with is its
    /// instant, in thousandths of a second.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn unfolded(&self) -> Result<(i64, Duration), Error> {
        if self.database.backend() == DbBackend::Sqlite {
            return Ok((0, Duration::ZERO));
        }
        let text = "SELECT count(*) AS waiting, coalesce(extract(epoch FROM clock_timestamp()) * 1000 \
             - ('x' || min(left(replace(id::text, '-', ''), 12)))::bit(48)::bigint, 0)::bigint AS oldest \
             FROM usage_deltas";
        let row =
            self.database.connection.query_one_raw(Sql::new(DbBackend::Postgres).statement(text)).await?;
        let Some(row) = row else { return Ok((0, Duration::ZERO)) };
        let oldest: i64 = row.try_get_by("oldest")?;
        Ok((row.try_get_by("waiting")?, Duration::from_millis(u64::try_from(oldest).unwrap_or_default())))
    }

    /// The first tenant at `from` or after it that has differences.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn next_with_differences(&self, from: Uuid) -> Result<Option<Uuid>, Error> {
        let mut sql = Sql::new(self.database.backend());
        let text = format!(
            "SELECT tenant_id FROM usage_deltas WHERE tenant_id >= {} ORDER BY tenant_id LIMIT 1",
            sql.bind(from.into())
        );
        let row = self.database.connection.query_one_raw(sql.statement(&text)).await?;
        Ok(row.map(|row| row.try_get_by("tenant_id")).transpose()?)
    }
}

/// The last of the differences that one step takes; none when it takes all. The bound is fetched as a value:
/// behind a subquery the planner would not see that it makes a range of the primary key.
async fn last_of_step(transaction: &DatabaseTransaction, tenant: Uuid) -> Result<Option<Uuid>, Error> {
    let mut sql = Sql::new(DbBackend::Postgres);
    let text = format!(
        "SELECT id FROM usage_deltas WHERE tenant_id = {} ORDER BY id OFFSET {} LIMIT 1",
        sql.bind(tenant.into()),
        STEP - 1
    );
    let row = transaction.query_one_raw(sql.statement(&text)).await?;
    Ok(row.map(|row| row.try_get_by("id")).transpose()?)
}

/// Takes a tenant's differences up to `last` out of their table.
fn taken(sql: &mut Sql, tenant: &str, last: Option<Uuid>) -> String {
    let until = last.map(|last| format!(" AND id <= {}", sql.bind(last.into()))).unwrap_or_default();
    format!(
        "DELETE FROM usage_deltas WHERE tenant_id = {tenant}{until} RETURNING starts_at, {}",
        SUMS.join(", ")
    )
}

async fn fold_tenant(
    transaction: &DatabaseTransaction,
    tenant: Uuid,
    last: Option<Uuid>,
) -> Result<u64, Error> {
    let mut sql = Sql::new(DbBackend::Postgres);
    let tenant = format!("{}::uuid", sql.bind(tenant.into()));
    let taken = taken(&mut sql, &tenant, last);
    let sums = SUMS.map(|column| format!("sum({column})::bigint AS {column}")).join(", ");
    let columns = SUMS.join(", ");
    let upsert = |table: &str, source: &str| {
        let added = SUMS.map(|column| format!("{column} = {table}.{column} + excluded.{column}")).join(", ");
        format!(
            "INSERT INTO {table} (tenant_id, starts_at, {columns}) {source} \
             ON CONFLICT (tenant_id, starts_at) DO UPDATE SET {added}"
        )
    };
    let text = format!(
        "WITH gone AS ({taken}), \
         q AS (SELECT starts_at, count(*) AS rows, {sums} FROM gone GROUP BY starts_at), \
         d AS (SELECT date_trunc('day', starts_at, 'UTC') AS starts_at, {sums} FROM q GROUP BY 1), \
         into_quarter_hours AS ({}), into_days AS ({}) \
         SELECT coalesce(sum(rows), 0)::bigint AS rows FROM q",
        upsert("usage_quarter_hours", &format!("SELECT {tenant}, starts_at, {columns} FROM q")),
        upsert("usage_days", &format!("SELECT {tenant}, starts_at, {columns} FROM d")),
    );
    let row = transaction.query_one_raw(sql.statement(&text)).await?;
    let rows = row.map(|row| row.try_get_by::<i64, _>("rows")).transpose()?.unwrap_or_default();
    Ok(u64::try_from(rows).unwrap_or_default())
}

async fn discard(transaction: &DatabaseTransaction, tenant: Uuid, last: Option<Uuid>) -> Result<u64, Error> {
    let mut sql = Sql::new(DbBackend::Postgres);
    let tenant = sql.bind(tenant.into());
    let taken = taken(&mut sql, &tenant, last);
    Ok(transaction.execute_raw(sql.statement(&taken)).await?.rows_affected())
}
