//! Which process does a piece of work that only one should do.
//!
//! A lease runs out unless it is renewed, and another process may take it then. The token grows with
//! each taking over: a transaction that checks it at its end cannot commit once somebody else works.
//! What time it is the database says: processes on several machines would not agree.

use chrono::{DateTime, TimeDelta};
use sea_orm::{ConnectionTrait, DbBackend};
use uuid::Uuid;

use super::{Error, Sql};

/// A lease that this process held when it last asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The work.
    pub name: String,
    /// Grows whenever the holder changes.
    pub token: i64,
}

impl Lease {
    /// Takes the lease of a piece of work for `holder`, or renews it, for `term` from now. None while
    /// another process holds it. One that ends much later than it could have been taken until is as good
    /// as run out: the clock was set back meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn take<C: ConnectionTrait>(
        connection: &C,
        name: &str,
        holder: Uuid,
        term: TimeDelta,
    ) -> Result<Option<Self>, Error> {
        let backend = connection.get_database_backend();
        let mut sql = Sql::new(backend);
        let (work, holder) = (sql.bind(name.into()), sql.bind(holder.into()));
        let end = in_time(backend, term);
        let is_held = if backend == DbBackend::Sqlite {
            let (now, beyond) = (in_time(backend, TimeDelta::zero()), in_time(backend, term * 3));
            format!("l.expires_at BETWEEN {now} AND {beyond}")
        } else {
            // The same, told by the end that it would be given: Citus lets nobody ask for the time here.
            let (seconds, twice) = (term.num_seconds(), term.num_seconds() * 2);
            format!(
                "excluded.expires_at - l.expires_at BETWEEN interval '-{twice} seconds' AND interval '{seconds} seconds'"
            )
        };
        let text = format!(
            "INSERT INTO gateway_leases AS l (name, holder, token, expires_at) VALUES ({work}, {holder}, 1, {end}) \
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at, \
               token = l.token + CASE WHEN l.holder = excluded.holder THEN 0 ELSE 1 END \
             WHERE l.holder = excluded.holder OR NOT ({is_held}) RETURNING token"
        );
        let row = connection.query_one_raw(sql.statement(&text)).await?;
        let token = row.map(|row| row.try_get_by("token")).transpose()?;
        Ok(token.map(|token| Self { name: name.to_owned(), token }))
    }

    /// The lease, where `holder` took it for `term` and has more than half of that left: asking writes nothing.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn kept<C: ConnectionTrait>(
        connection: &C,
        name: &str,
        holder: Uuid,
        term: TimeDelta,
    ) -> Result<Option<Self>, Error> {
        let mut sql = Sql::new(connection.get_database_backend());
        let (work, holder) = (sql.bind(name.into()), sql.bind(holder.into()));
        let (half, whole) = (in_time(sql.backend(), term / 2), in_time(sql.backend(), term));
        let text = format!(
            "SELECT token FROM gateway_leases \
             WHERE name = {work} AND holder = {holder} AND expires_at BETWEEN {half} AND {whole}"
        );
        let row = connection.query_one_raw(sql.statement(&text)).await?;
        let token = row.map(|row| row.try_get_by("token")).transpose()?;
        Ok(token.map(|token| Self { name: name.to_owned(), token }))
    }

    /// Renews it for `term` from now, unless another process has taken it. Returns whether that was done.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn renew<C: ConnectionTrait>(&self, connection: &C, term: TimeDelta) -> Result<bool, Error> {
        let mut sql = Sql::new(connection.get_database_backend());
        let (name, token) = (sql.bind(self.name.as_str().into()), sql.bind(self.token.into()));
        let end = in_time(sql.backend(), term);
        let text =
            format!("UPDATE gateway_leases SET expires_at = {end} WHERE name = {name} AND token = {token}");
        Ok(connection.execute_raw(sql.statement(&text)).await?.rows_affected() > 0)
    }

    /// Whether it is still this process's and has not run out. Until the transaction ends, nobody else can
    /// take it.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn holds<C: ConnectionTrait>(&self, transaction: &C) -> Result<bool, Error> {
        let backend = transaction.get_database_backend();
        // On SQLite the transaction is the only writer.
        let lock = if backend == DbBackend::Postgres { " FOR SHARE" } else { "" };
        let mut sql = Sql::new(backend);
        let (name, token) = (sql.bind(self.name.as_str().into()), sql.bind(self.token.into()));
        let now = in_time(backend, TimeDelta::zero());
        let text = format!(
            "SELECT 1 FROM gateway_leases WHERE name = {name} AND token = {token} AND expires_at > {now}{lock}"
        );
        Ok(transaction.query_one_raw(sql.statement(&text)).await?.is_some())
    }

    /// Gives it back before it runs out. Its row stays: a token that counted from 1 again would be one that
    /// somebody still believes to hold.
    ///
    /// # Errors
    ///
    /// [`Error`]; then it runs out by itself.
    pub async fn give_back<C: ConnectionTrait>(&self, connection: &C) -> Result<(), Error> {
        let mut sql = Sql::new(connection.get_database_backend());
        let (name, token) = (sql.bind(self.name.as_str().into()), sql.bind(self.token.into()));
        let past = sql.bind_instant(DateTime::UNIX_EPOCH);
        let text =
            format!("UPDATE gateway_leases SET expires_at = {past} WHERE name = {name} AND token = {token}");
        connection.execute_raw(sql.statement(&text)).await?;
        Ok(())
    }

    /// Ends it for good: the work is done, and nobody takes it again. Returns whether it was still this
    /// process's. In a transaction, nobody else has taken it when that commits.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn end<C: ConnectionTrait>(&self, connection: &C) -> Result<bool, Error> {
        let mut sql = Sql::new(connection.get_database_backend());
        let (name, token) = (sql.bind(self.name.as_str().into()), sql.bind(self.token.into()));
        let text = format!("DELETE FROM gateway_leases WHERE name = {name} AND token = {token}");
        Ok(connection.execute_raw(sql.statement(&text)).await?.rows_affected() > 0)
    }
}

/// So long from now, as the database tells the time; an expression in whole seconds from it.
fn in_time(backend: DbBackend, time: TimeDelta) -> String {
    let seconds = time.num_seconds();
    match backend {
        DbBackend::Sqlite => format!("strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '{seconds} seconds')"),
        _ => format!("statement_timestamp() + interval '{seconds} seconds'"),
    }
}
