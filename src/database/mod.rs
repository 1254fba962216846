//! The connection to either database, its transactions and its schema's state.

mod error;
mod kept;
mod lease;
mod schema;
mod sql;
mod sqlite;
mod taken;

use std::{
    fmt,
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};

use sea_orm::{
    AccessMode, ConnectOptions, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend,
    IsolationLevel, QueryResult, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
    metric::Info,
    sqlx::{self, Connection, Executor, PgConnection, sqlite::SqliteConnectOptions},
};

pub use error::Error;
use kept::Kept;
pub use lease::Lease;
pub use schema::{MigrationState, NotServable};
pub use sql::{Column, Sql};

/// Longest wait for a free connection, and for SQLite's one writer, before the work is given up.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connections kept to one database. On SQLite they are readers beside its one writer.
const CONNECTIONS: u32 = 16;

/// Of these, those that most reads of requests go through: kept from one statement to the next, and nobody else's.
const KEPT: usize = 8;

/// Whether committing copies SQLite's log, once it has so many pages, into the database: a property of the
/// connection, set anew by each transaction.
const CHECKPOINTS: &str = "PRAGMA wal_autocheckpoint = 1000";
/// What is erased is overwritten, not only unlinked.
const ERASING: &str = "PRAGMA wal_autocheckpoint = 0; PRAGMA secure_delete = ON";

/// A connection that was idle for so long is tried before it is used: whoever is busy asks nobody twice.
const IDLE: Duration = Duration::from_secs(1);

/// Settings of every connection to PostgreSQL. The gateway's statements are made for indexes: one plan for
/// all parameters, through indexes only, without compiling or further processes, so that a large tenant is
/// read as a small one is.
pub const PLANNER_OPTIONS: [(&str, &str); 4] = [
    ("jit", "off"),
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("max_parallel_workers_per_gather", "0"),
];

/// The same on Citus, which plans with the parameters' values, and sends a transaction's own settings
/// along only when told to.
const CITUS_OPTIONS: [(&str, &str); 4] = [
    ("jit", "off"),
    ("enable_seqscan", "off"),
    ("max_parallel_workers_per_gather", "0"),
    ("citus.propagate_set_commands", "local"),
];

/// A pool of connections to SQLite or PostgreSQL. Cheap to clone; all clones share the pool.
#[derive(Clone)]
pub struct Database {
    /// For statements that need no transaction.
    pub connection: DatabaseConnection,
    /// Connections to SQLite that look for no rows that refer to those they delete, one for batches and one that copies
    /// the log meanwhile. None elsewhere, and where each connection would see a database of its own.
    unreferred: Option<DatabaseConnection>,
    kept: Kept,
    /// Is told of statements that go through kept connections.
    told: Option<Arc<Told>>,
    is_distributed: bool,
}

type Told = dyn Fn(&Info<'_>) + Send + Sync;

impl fmt::Debug for Database {
    /// Names the backend only: an address can hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("backend", &self.backend()).finish_non_exhaustive()
    }
}

impl Database {
    /// Connects to `sqlite://FILE?mode=rwc` or `postgres://USER@HOST/NAME`. Changes nothing in a
    /// database that is there.
    ///
    /// # Errors
    ///
    /// [`Error::Address`] for any other address, [`Error::Unavailable`] when nobody answers.
    pub async fn open(url: &str) -> Result<Self, Error> {
        Self::connect(url, None).await
    }

    /// The same database at the same address for requests: on PostgreSQL through connections of their own, on which a
    /// statement that takes longer than `limit` ends. Whoever has asked for it has given up by then.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub async fn for_requests(&self, url: &str, limit: Duration) -> Result<Self, Error> {
        match self.backend() {
            DbBackend::Sqlite => Ok(self.clone()),
            _ => Self::connect(url, Some(limit)).await,
        }
    }

    async fn connect(url: &str, limit: Option<Duration>) -> Result<Self, Error> {
        let is_postgres = url.starts_with("postgres:") || url.starts_with("postgresql:");
        let is_distributed = is_postgres && reach_postgres(url).await?;
        let mut options = ConnectOptions::new(url);
        options.sqlx_logging(false).connect_timeout(PATIENCE).acquire_timeout(PATIENCE);
        let mut unreferred = None;
        if url.starts_with("sqlite:") {
            // Each connection to an in-memory database would see a database of its own.
            let in_memory = url.contains(":memory:") || url.contains("mode=memory");
            if !in_memory {
                unreferred = Some(sqlite::unreferred(url)?);
            }
            options.max_connections(if in_memory { 1 } else { CONNECTIONS });
            options.map_sqlx_sqlite_opts(sqlite::ordinary);
        } else if is_postgres {
            options.max_connections(CONNECTIONS).set_application_name("tenant-gateway");
            options.test_before_acquire_if_idle_for(IDLE);
            let settings = if is_distributed { CITUS_OPTIONS } else { PLANNER_OPTIONS };
            options.map_sqlx_postgres_opts(move |postgres| {
                let limit = limit.map(|limit| ("statement_timeout", limit.as_millis().to_string()));
                postgres.options(settings).options(limit)
            });
        } else {
            return Err(Error::Address);
        }
        let connection = sea_orm::Database::connect(options).await.map_err(Error::while_connecting)?;
        let kept = Kept::of(&connection, KEPT);
        Ok(Self { connection, unreferred, kept, told: None, is_distributed })
    }

    /// As [`Self::open`], for commands that must not make a SQLite file where there is none.
    ///
    /// # Errors
    ///
    /// As [`Self::open`]; [`Error::Unavailable`] also when there is no such file.
    pub async fn open_existing(url: &str) -> Result<Self, Error> {
        if let Some(options) =
            url.starts_with("sqlite:").then(|| SqliteConnectOptions::from_str(url).ok()).flatten()
        {
            let file = options.get_filename();
            let in_memory = url.contains(":memory:") || url.contains("mode=memory");
            if !in_memory && !file.exists() {
                return Err(Error::Unavailable(format!("there is no file {}", file.display())));
            }
        }
        Self::open(url).await
    }

    /// Has every statement told, with its time and whether it failed. Clones that were made before are not changed.
    pub fn observe(&mut self, told: impl Fn(&Info<'_>) + Send + Sync + 'static) {
        let told = Arc::new(told);
        self.told = Some(told.clone());
        self.connection.set_metric_callback(move |info| told(info));
    }

    /// All rows of a statement that only reads, as the database shows them now: for what requests ask for over and
    /// over. Goes through a connection that is kept for the next.
    ///
    /// # Errors
    ///
    /// [`Error`]; nothing is tried again.
    pub async fn query_all(&self, statement: Statement) -> Result<Vec<QueryResult>, Error> {
        let begun = Instant::now();
        let rows = Box::pin(self.kept.query(&statement)).await;
        if let Some(told) = &self.told {
            told(&Info { elapsed: begun.elapsed(), statement: &statement, failed: rows.is_err() });
        }
        Ok(rows?)
    }

    /// As [`query_all`](Self::query_all), for a statement that has one row or none.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn query_one(&self, statement: Statement) -> Result<Option<QueryResult>, Error> {
        Ok(self.query_all(statement).await?.into_iter().next())
    }

    /// Waits until all connections are given back, and closes them, those of clones too.
    ///
    /// # Errors
    ///
    /// [`Error`] where one cannot be closed.
    pub async fn close(&self) -> Result<(), Error> {
        let given_back = async { self.kept.give_back() };
        let (closed, ()) = tokio::join!(biased; self.connection.close_by_ref(), given_back);
        if let Some(unreferred) = &self.unreferred {
            unreferred.close_by_ref().await?;
        }
        Ok(closed?)
    }

    /// Connections of the pool, and how many of them nobody uses now.
    #[must_use]
    pub fn pool_use(&self) -> (u32, usize) {
        self.kept.pool_use()
    }

    /// Which of the two databases this is.
    #[must_use]
    pub fn backend(&self) -> DbBackend {
        self.connection.get_database_backend()
    }

    /// Whether this is PostgreSQL with Citus, which refuses some forms of statements.
    #[must_use]
    pub fn is_distributed(&self) -> bool {
        self.is_distributed
    }

    /// A transaction that may write. On SQLite it waits for its turn here, not at its first write,
    /// where a reader can no longer become the writer.
    ///
    /// # Errors
    ///
    /// When no connection is free in time, or SQLite's writer is busy for too long.
    pub async fn begin(&self) -> Result<DatabaseTransaction, Error> {
        let transaction = begin_on(&self.connection, writing()).await?;
        if self.backend() == DbBackend::Sqlite {
            transaction.execute_unprepared(CHECKPOINTS).await?;
        }
        Ok(transaction)
    }

    /// As [`Self::begin`]; on SQLite, committing does not copy the log into the database. Whoever uses this
    /// calls [`Self::checkpoint`] between transactions.
    ///
    /// # Errors
    ///
    /// As [`Self::begin`].
    pub async fn begin_without_checkpoint(&self) -> Result<DatabaseTransaction, Error> {
        let transaction = self.begin().await?;
        if self.backend() == DbBackend::Sqlite {
            transaction.execute_unprepared(ERASING).await?;
        }
        Ok(transaction)
    }

    /// As [`Self::begin_without_checkpoint`], for deleting rows to which no others can refer: on SQLite, foreign keys
    /// are not followed, which takes as long there as deleting does, for each key opens a table of its own for every
    /// row.
    ///
    /// # Errors
    ///
    /// As [`Self::begin`].
    pub async fn begin_unreferred(&self) -> Result<DatabaseTransaction, Error> {
        let Some(connection) = &self.unreferred else { return self.begin_without_checkpoint().await };
        let transaction = begin_on(connection, writing()).await?;
        transaction.execute_unprepared(ERASING).await?;
        Ok(transaction)
    }

    /// Copies SQLite's log into the database as far as readers allow; nobody waits for it. Returns how many pages
    /// the log has; 0 where there is none.
    ///
    /// # Errors
    ///
    /// [`Error`]; the next one copies more.
    pub async fn checkpoint(&self) -> Result<i64, Error> {
        if self.backend() != DbBackend::Sqlite {
            return Ok(0);
        }
        let checkpoint = Statement::from_string(DbBackend::Sqlite, "PRAGMA wal_checkpoint(PASSIVE)");
        // Not one that others wait for.
        let connection = self.unreferred.as_ref().unwrap_or(&self.connection);
        let row = connection.query_one_raw(checkpoint).await?;
        // -1 where the journal is another, or somebody else is copying it.
        Ok(row.map(|row| row.try_get_by::<i64, _>("log")).transpose()?.unwrap_or_default().max(0))
    }

    /// A transaction in which every statement reads the same snapshot.
    ///
    /// # Errors
    ///
    /// When no connection is free in time.
    pub async fn snapshot(&self) -> Result<DatabaseTransaction, Error> {
        let options = match self.backend() {
            DbBackend::Sqlite => TransactionOptions::default(),
            _ => TransactionOptions {
                isolation_level: Some(IsolationLevel::RepeatableRead),
                access_mode: Some(AccessMode::ReadOnly),
                ..TransactionOptions::default()
            },
        };
        begin_on(&self.connection, options).await
    }
}

/// Of a transaction that may write.
fn writing() -> TransactionOptions {
    TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    }
}

/// In a task of its own: who stops waiting half-way through would leave a connection in the pool that is in a
/// transaction and does not know it.
async fn begin_on(
    connection: &DatabaseConnection,
    options: TransactionOptions,
) -> Result<DatabaseTransaction, Error> {
    let connection = connection.clone();
    let begun = tokio::spawn(async move { connection.begin_with_options(options).await }).await;
    Ok(begun.map_err(|error| Error::Unavailable(error.to_string()))??)
}

/// Connects once, without a pool, which would try for as long as it may and then tell only that. Returns
/// whether Citus is installed in the database.
async fn reach_postgres(url: &str) -> Result<bool, Error> {
    let told = |error: sea_orm::sqlx::Error| Error::Unavailable(error.to_string());
    let connection = tokio::time::timeout(PATIENCE, PgConnection::connect(url))
        .await
        .map_err(|_| Error::Unavailable(format!("no answer within {} seconds", PATIENCE.as_secs())))?;
    let mut connection = connection.map_err(told)?;
    let citus = "SELECT 1 FROM pg_extension WHERE extname = 'citus'";
    let found = connection.fetch_optional(sqlx::raw_sql(citus)).await.map_err(told)?.is_some();
    connection.close().await.map_err(told)?;
    Ok(found)
}
