//! Bringing the schema up to date, taking it back, and telling whether it can be served.

use std::time::Duration;

use migration::{HISTORY_TABLE, MigrationStatus, Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend};
use thiserror::Error as ThisError;

use super::{Database, Error, taken};

/// Any number that two gateways agree on: whoever holds it migrates, the other waits.
const MIGRATION_LOCK: i64 = 0x7465_6e61_6e74;
/// Whoever waits for a table's lock holds up all who come later: a migration does so for a moment, lets
/// them by, and comes again.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '1s'";
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_secs(1);

/// One migration and whether this database has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationState {
    /// Its name, which starts with its date.
    pub name: String,
    /// Whether it has been applied.
    pub applied: bool,
}

/// Why a database is not to be served, or migrated, by this program.
#[derive(Debug, ThisError)]
pub enum NotServable {
    /// Tables that are somebody else's stand where the gateway's would be.
    #[error(
        "the database already has tables, views or types named {0} that this gateway did not create; \
         use another database, or another schema (PostgreSQL: append ?options=-csearch_path%3DNAME to the address)"
    )]
    ForeignTables(String),
    /// No table can be made: PostgreSQL's search path names no schema that exists.
    #[error(
        "the search path of the database names no schema that exists; create the schema, or name another"
    )]
    NoSchema,
    /// The database is older than this program.
    #[error(
        "the database lacks {0} migration(s); run `tenant-gateway migrate up`, or `serve` without --no-migrate"
    )]
    Pending(usize),
    /// The database is newer than this program.
    #[error("the database was migrated by a newer gateway ({0}); use that version")]
    Newer(String),
    /// Others use the tables.
    #[error(
        "a transaction of another program holds a table that the migration changes; nothing was changed: end the \
         transaction, or wait until it has ended, and migrate again"
    )]
    Held,
    /// What the migrations made holds what nothing else does.
    #[error(
        "{0} deletion(s) are open or hold a certificate, which would be lost; nothing was changed: let the open ones \
         end or call them off, keep the certificates elsewhere (`tenant certificate`), and delete these rows of \
         tenant_deletions first"
    )]
    Records(i64),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] Error),
}

impl Database {
    /// Applies every pending migration, all or none. Returns how many there were. Several gateways
    /// may ask at once.
    ///
    /// # Errors
    ///
    /// [`NotServable`], with nothing changed.
    pub async fn migrate_up(&self) -> Result<usize, NotServable> {
        let applied = self.patiently(async || self.try_migrate_up().await).await?;
        self.write_ahead().await?;
        Ok(applied)
    }

    async fn try_migrate_up(&self) -> Result<usize, NotServable> {
        let transaction = self.begin_migrating().await?;
        let pending = pending(&transaction).await?;
        if pending > 0 {
            Migrator::up(&transaction, None).await.map_err(Error::from)?;
        }
        transaction.commit().await.map_err(Error::from)?;
        Ok(pending)
    }

    /// Whether [`Self::migrate_up`] would take this database. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`NotServable`] says why not.
    pub async fn check_migratable(&self) -> Result<(), NotServable> {
        let transaction = self.begin_migrating().await?;
        pending(&transaction).await?;
        transaction.rollback().await.map_err(Error::from)?;
        Ok(())
    }

    /// On SQLite, lets readers go on beside the writer from now on. The file remembers it, so this is
    /// for a file that is known to be the gateway's.
    ///
    /// # Errors
    ///
    /// When the file is busy for too long.
    pub async fn write_ahead(&self) -> Result<(), Error> {
        if self.backend() == DbBackend::Sqlite {
            self.connection.execute_unprepared("PRAGMA journal_mode = WAL").await?;
        }
        Ok(())
    }

    /// Takes back the newest `steps` migrations, with the data in what they made; not certificates, nor
    /// what open deletions have recorded.
    ///
    /// # Errors
    ///
    /// [`NotServable`], with nothing changed.
    pub async fn migrate_down(&self, steps: u32) -> Result<usize, NotServable> {
        self.patiently(async || self.try_migrate_down(steps).await).await
    }

    async fn try_migrate_down(&self, steps: u32) -> Result<usize, NotServable> {
        let transaction = self.begin_migrating().await?;
        let before = states(&transaction).await?.iter().filter(|state| state.applied).count();
        if before == 0 {
            return Ok(0);
        }
        let records = migration::records_at_stake(&transaction, steps).await.map_err(Error::from)?;
        if records > 0 {
            return Err(NotServable::Records(records));
        }
        Migrator::down(&transaction, Some(steps)).await.map_err(Error::from)?;
        let after = states(&transaction).await?.iter().filter(|state| state.applied).count();
        transaction.commit().await.map_err(Error::from)?;
        Ok(before - after)
    }

    /// Every migration this program knows, in order. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`NotServable::Newer`] or [`NotServable::Database`].
    pub async fn migrations(&self) -> Result<Vec<MigrationState>, NotServable> {
        states(&self.connection).await
    }

    /// Whether the database answers and has exactly the schema that this program needs.
    ///
    /// # Errors
    ///
    /// [`NotServable`] says why not.
    pub async fn check_servable(&self) -> Result<(), NotServable> {
        match self.migrations().await?.iter().filter(|state| !state.applied).count() {
            0 => Ok(()),
            pending => Err(NotServable::Pending(pending)),
        }
    }

    /// Migrates; again and again where others hold a table. On SQLite the transaction has waited already.
    async fn patiently<T>(
        &self,
        migrate: impl AsyncFn() -> Result<T, NotServable>,
    ) -> Result<T, NotServable> {
        let mut attempts = 1;
        loop {
            match migrate().await {
                Err(NotServable::Database(Error::Contention(reason)))
                    if self.backend() == DbBackend::Postgres =>
                {
                    tracing::warn!(reason, attempts, "a table that the migration changes is held");
                    if attempts == ATTEMPTS {
                        return Err(NotServable::Held);
                    }
                    tokio::time::sleep(PAUSE * attempts).await;
                    attempts += 1;
                }
                outcome => return outcome,
            }
        }
    }

    async fn begin_migrating(&self) -> Result<DatabaseTransaction, NotServable> {
        let transaction = self.begin().await?;
        if self.backend() == DbBackend::Postgres {
            let lock = format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})");
            transaction.execute_unprepared(&lock).await.map_err(Error::from)?;
            transaction.execute_unprepared(LOCK_TIMEOUT).await.map_err(Error::from)?;
        }
        Ok(transaction)
    }
}

/// How many migrations are pending, where nothing stands in their way.
async fn pending(transaction: &DatabaseTransaction) -> Result<usize, NotServable> {
    if !taken::has_schema(transaction).await.map_err(Error::from)? {
        return Err(NotServable::NoSchema);
    }
    let pending = states(transaction).await?.iter().filter(|state| !state.applied).count();
    let tables = migration::pending_tables(transaction).await.map_err(Error::from)?;
    let foreign = taken::taken(transaction, &tables).await.map_err(Error::from)?;
    if foreign.is_empty() { Ok(pending) } else { Err(NotServable::ForeignTables(foreign.join(", "))) }
}

async fn states<C: ConnectionTrait>(connection: &C) -> Result<Vec<MigrationState>, NotServable> {
    if taken::history_is_foreign(connection).await.map_err(Error::from)? {
        return Err(NotServable::ForeignTables(HISTORY_TABLE.to_owned()));
    }
    let recorded = Migrator::get_migration_with_status_read_only(connection).await.map_err(|error| {
        let text = error.to_string();
        // The library tells this one case by its sentence only.
        match text.split('\'').nth(1) {
            Some(name) if text.contains("has been applied but its file is missing") => {
                NotServable::Newer(name.to_owned())
            }
            _ => NotServable::Database(error.into()),
        }
    })?;
    tracing::debug!(table = HISTORY_TABLE, migrations = recorded.len(), "read the schema's history");
    Ok(recorded
        .iter()
        .map(|migration| MigrationState {
            name: migration.name().to_owned(),
            applied: migration.status() == MigrationStatus::Applied,
        })
        .collect())
}
