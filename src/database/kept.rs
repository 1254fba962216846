//! Connections that are kept from one statement to the next.
//!
//! A pool asks a connection whether it is alive each time that it is given back: a round trip for each statement,
//! made by a task of its own, which costs about as much as a small statement does. Whoever is busy asks nobody twice.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sea_orm::{
    DatabaseConnection, DbBackend, QueryResult, Statement, Values,
    sqlx::{
        self, AssertSqlSafe, Connection, Executor, IntoArguments, Pool, Postgres, Sqlite,
        pool::PoolConnection,
    },
};
use sea_query_sqlx::SqlxValues;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};
use tracing::{Instrument, field::Empty};

use super::{IDLE, PATIENCE};

/// The pool decides whether a connection has lived long enough: one that was out for so long is given back after its
/// next statement.
const LONGEST_OUT: Duration = Duration::from_mins(1);
/// Longest wait for a sign of life.
const ALIVE: Duration = Duration::from_secs(1);

/// Connections of either database. Cheap to clone; all clones keep together.
#[derive(Clone)]
pub(super) enum Kept {
    Postgres(Arc<Connections<Postgres>>),
    Sqlite(Arc<Connections<Sqlite>>),
}

impl Kept {
    /// Takes connections out of the pool of `connection`, `most` of them: whoever needs more waits for one of these, in
    /// turn, and leaves the others of the pool to whoever else takes from it. A statement that was given up still has
    /// its connection until it ends, but no place. They are kept, unless there is one only.
    pub(super) fn of(connection: &DatabaseConnection, most: usize) -> Self {
        if connection.get_database_backend() == DbBackend::Sqlite {
            let pool = connection.get_sqlite_connection_pool().clone();
            Self::Sqlite(Arc::new(Connections::new(pool, most)))
        } else {
            let pool = connection.get_postgres_connection_pool().clone();
            Self::Postgres(Arc::new(Connections::new(pool, most)))
        }
    }

    /// All rows of a statement. Who gives up the wait leaves the connection to the pool.
    pub(super) async fn query(&self, statement: &Statement) -> Result<Vec<QueryResult>, sqlx::Error> {
        let system = match self {
            Self::Postgres(_) => "postgresql",
            Self::Sqlite(_) => "sqlite",
        };
        let span = tracing::debug_span!(
            "statement",
            otel.kind = "client",
            db.system = system,
            db.statement = statement.sql,
            otel.status_code = Empty
        );
        let rows = async {
            match self {
                Self::Postgres(connections) => connections.query(statement).await,
                Self::Sqlite(connections) => connections.query(statement).await,
            }
        };
        let rows = rows.instrument(span.clone()).await;
        span.record("otel.status_code", if rows.is_ok() { "OK" } else { "ERROR" });
        rows
    }

    /// Connections of the pool, and how many of them nobody uses now.
    pub(super) fn pool_use(&self) -> (u32, usize) {
        match self {
            Self::Postgres(connections) => connections.pool_use(),
            Self::Sqlite(connections) => connections.pool_use(),
        }
    }

    /// Gives all back to the pool that nobody uses now. None is kept after it where the pool has been closed.
    pub(super) fn give_back(&self) {
        match self {
            Self::Postgres(connections) => connections.idle().clear(),
            Self::Sqlite(connections) => connections.idle().clear(),
        }
    }
}

/// Takes connections out of a pool and keeps some of them.
pub(super) struct Connections<D: sqlx::Database> {
    pool: Pool<D>,
    places: Semaphore,
    /// The one that was used last is the last.
    idle: Mutex<Vec<Held<D>>>,
}

struct Held<D: sqlx::Database> {
    connection: PoolConnection<D>,
    out_since: Instant,
    used: Instant,
}

impl<D: sqlx::Database> Connections<D> {
    fn new(pool: Pool<D>, most: usize) -> Self {
        Self { pool, places: Semaphore::new(most), idle: Mutex::default() }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Held<D>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pool_use(&self) -> (u32, usize) {
        (self.pool.size(), self.pool.num_idle() + self.idle().len())
    }

    /// A place among those that may have a connection.
    async fn place(&self) -> Result<SemaphorePermit<'_>, sqlx::Error> {
        if let Ok(place) = self.places.try_acquire() {
            return Ok(place);
        }
        let place = timeout(PATIENCE, self.places.acquire()).await.map_err(|_| sqlx::Error::PoolTimedOut)?;
        place.map_err(|_| sqlx::Error::PoolClosed)
    }

    /// One that is known to be alive, or one of the pool, which finds out.
    async fn take(&self) -> Result<Held<D>, sqlx::Error> {
        let now = Instant::now();
        // In a statement of its own: the lock is not held while the connection answers.
        let last = self.idle().pop();
        if let Some(mut last) = last {
            let was_used = now.duration_since(last.used) < IDLE;
            if was_used || matches!(timeout(ALIVE, last.connection.ping()).await, Ok(Ok(()))) {
                return Ok(last);
            }
            // The others are hardly better.
            self.idle().clear();
        }
        let connection = self.pool.acquire().await?;
        Ok(Held { connection, out_since: now, used: now })
    }

    /// Only after a statement that went well: after one that failed the pool has to look at the connection.
    fn keep(&self, mut held: Held<D>) {
        held.used = Instant::now();
        let mut idle = self.idle();
        let is_young = held.used.duration_since(held.out_since) < LONGEST_OUT;
        let is_alone = self.pool.options().get_max_connections() == 1;
        if is_young && !is_alone && !self.pool.is_closed() {
            idle.push(held);
        }
    }
}

impl<D: sqlx::Database> Connections<D>
where
    SqlxValues: IntoArguments<D>,
    QueryResult: From<D::Row>,
    for<'c> &'c mut D::Connection: Executor<'c, Database = D>,
{
    async fn query(&self, statement: &Statement) -> Result<Vec<QueryResult>, sqlx::Error> {
        let _place = self.place().await?;
        let mut held = self.take().await?;
        let values = statement.values.clone().unwrap_or(Values(Vec::new()));
        let query = sqlx::query_with(AssertSqlSafe(statement.sql.as_str()), SqlxValues(values));
        let rows = query.fetch_all(&mut *held.connection).await?;
        self.keep(held);
        Ok(rows.into_iter().map(QueryResult::from).collect())
    }
}

/// The pool takes a connection back by a task, and there may be nothing left that runs one.
impl<D: sqlx::Database> Drop for Connections<D> {
    fn drop(&mut self) {
        for held in self.idle().drain(..) {
            drop(held.connection.detach());
        }
    }
}
