//! Whoever changes sums: one process at a time, one short transaction at a time.
//!
//! Every step locks one row, the lease, before it reads or writes anything else. That alone makes sums
//! exact, whoever holds the lease: folding and rebuilding never overlap. The lease itself keeps other
//! processes from trying. Writers of calls never touch that row, so they wait for none of this.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend};
use uuid::Uuid;

use crate::database::{self, Database, Error, Sql};

/// Names the lease.
const LEASE: &str = "usage";
/// How long a lease lasts without a heartbeat. Steps are short, so a holder that is alive beats often.
const LEASE_TERM: TimeDelta = TimeDelta::seconds(5);
/// A step that waits longer for a lock, or works longer, is rolled back and tried again later: meanwhile
/// nobody else could keep sums.
const TIMEOUTS: [&str; 3] = [
    "SET LOCAL lock_timeout = '2s'",
    "SET LOCAL statement_timeout = '60s'",
    // Of a process that has vanished.
    "SET LOCAL idle_in_transaction_session_timeout = '10s'",
];

/// Folds, rebuilds and verifies sums.
#[derive(Clone, Debug)]
pub struct Keeper {
    pub(super) database: Database,
    holder: Uuid,
}

/// Proof that this process was the one that keeps sums when it last asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    token: i64,
}

/// Whether a step may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tenancy {
    /// The tenant is there and stays until the step ends.
    Held,
    /// The tenant is being changed or erased by somebody else; come back later.
    Busy,
    /// The tenant is gone.
    Gone,
}

impl Keeper {
    /// Each keeper counts as a process of its own.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database, holder: Uuid::new_v4() }
    }

    /// Takes the lease, or renews it. None while another process holds it.
    ///
    /// # Errors
    ///
    /// [`Error`]; [`Error::Contention`] while a step of another process takes long.
    pub async fn lease(&self) -> Result<Option<Lease>, Error> {
        let kept = database::Lease::kept(&self.database.connection, LEASE, self.holder, LEASE_TERM).await?;
        if let Some(kept) = kept {
            // On SQLite each write has every reader map the file anew.
            return Ok(Some(Lease { token: kept.token }));
        }
        let transaction = self.bounded().await?;
        let taken = database::Lease::take(&transaction, LEASE, self.holder, LEASE_TERM).await?;
        transaction.commit().await?;
        Ok(taken.map(|lease| Lease { token: lease.token }))
    }

    /// Gives the lease back, so that another process need not wait until it runs out.
    ///
    /// # Errors
    ///
    /// [`Error`]; then it runs out.
    pub async fn release(&self) -> Result<(), Error> {
        let mut sql = Sql::new(self.database.backend());
        let (name, holder) = (sql.bind(LEASE.into()), sql.bind(self.holder.into()));
        let past = sql.bind_instant(DateTime::<Utc>::UNIX_EPOCH);
        let text = format!(
            "UPDATE gateway_leases SET expires_at = {past} WHERE name = {name} AND holder = {holder}"
        );
        self.database.connection.execute_raw(sql.statement(&text)).await?;
        Ok(())
    }

    /// Begins a step: from here to the end of the transaction nobody else changes sums. None when the
    /// lease has gone to another process; without a lease (a person at a terminal) the step waits for
    /// its turn.
    pub(super) async fn begin(&self, lease: Option<Lease>) -> Result<Option<DatabaseTransaction>, Error> {
        let transaction = self.bounded().await?;
        let backend = self.database.backend();
        // On SQLite the transaction is the only writer from its first statement on.
        let lock = if backend == DbBackend::Postgres { " FOR UPDATE" } else { "" };
        let mut sql = Sql::new(backend);
        let (name, nobody) = (sql.bind(LEASE.into()), sql.bind(Uuid::nil().into()));
        let past = sql.bind_instant(DateTime::<Utc>::UNIX_EPOCH);
        let make = format!(
            "INSERT INTO gateway_leases (name, holder, token, expires_at) VALUES ({name}, {nobody}, 0, {past}) \
             ON CONFLICT (name) DO NOTHING"
        );
        transaction.execute_raw(sql.statement(&make)).await?;
        let mut sql = Sql::new(backend);
        let text = format!("SELECT token FROM gateway_leases WHERE name = {}{lock}", sql.bind(LEASE.into()));
        let row = transaction.query_one_raw(sql.statement(&text)).await?;
        let token = row.map(|row| row.try_get_by::<i64, _>("token")).transpose()?;
        if lease.is_some_and(|lease| token != Some(lease.token)) {
            transaction.rollback().await?;
            return Ok(None);
        }
        Ok(Some(transaction))
    }

    /// A transaction that neither waits nor works for long.
    async fn bounded(&self) -> Result<DatabaseTransaction, Error> {
        let transaction = self.database.begin().await?;
        if self.database.backend() == DbBackend::Postgres {
            transaction.execute_unprepared(&TIMEOUTS.join("; ")).await?;
        }
        Ok(transaction)
    }

    /// Keeps the tenant from being erased until the step ends. A step must not wait for an erasure:
    /// all other tenants would wait with it.
    pub(super) async fn hold(
        &self,
        transaction: &DatabaseTransaction,
        tenant: Uuid,
    ) -> Result<Tenancy, Error> {
        let status = async |lock: &str| {
            let mut sql = Sql::new(self.database.backend());
            let text = format!("SELECT status FROM tenants WHERE id = {}{lock}", sql.bind(tenant.into()));
            let row = transaction.query_one_raw(sql.statement(&text)).await?;
            Ok::<_, Error>(row.map(|row| row.try_get_by::<String, _>("status")).transpose()?)
        };
        let lock =
            if self.database.backend() == DbBackend::Postgres { " FOR KEY SHARE SKIP LOCKED" } else { "" };
        Ok(match status(lock).await?.as_deref() {
            // Its sums are not kept any more.
            Some("deleting") => Tenancy::Busy,
            Some(_) => Tenancy::Held,
            None if status("").await?.is_some() => Tenancy::Busy,
            None => Tenancy::Gone,
        })
    }
}
