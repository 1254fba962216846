//! SQLite: rows go in by `INSERT`, many to a statement, because each statement costs two hops between
//! threads.

use entity::timestamp;
use sea_orm::{
    EntityTrait,
    sqlx::{
        self, Arguments, AssertSqlSafe, Connection, Sqlite, SqliteConnection, pool::PoolConnection,
        sqlite::SqliteArguments,
    },
};

use super::{
    SeedError,
    load::{Sink, Steps},
    rows::{self, Cell, Rows, Visit},
};
use crate::database::{self, Database};

/// Rows in one statement.
const ROWS: usize = 100;

/// KiB of pages kept in memory while loading, so that the rows of a large tenant seldom spill.
const CACHE_KIB: i64 = 128 * 1_024;

/// A connection that inserts.
pub(super) struct Insert {
    connection: PoolConnection<Sqlite>,
    /// The setting to go back to.
    cache_size: i64,
}

/// One `INSERT` with its values.
pub(super) struct Statement {
    sql: String,
    values: SqliteArguments,
    /// Whether more of the same form will follow, so that it is worth keeping prepared.
    is_full: bool,
}

impl Sink for Insert {
    /// SQLite has one writer.
    const WRITERS: usize = 1;
    type Statement = Statement;

    async fn open(database: &Database) -> Result<Self, SeedError> {
        let pool = database.connection.get_sqlite_connection_pool();
        let mut connection = pool.acquire().await.map_err(database::Error::from)?;
        let cache_size = sqlx::query_scalar("PRAGMA cache_size")
            .fetch_one(&mut *connection)
            .await
            .map_err(database::Error::from)?;
        set_cache_size(&mut connection, -CACHE_KIB).await?;
        Ok(Self { connection, cache_size })
    }

    fn encode(rows: &Rows) -> Result<Vec<Statement>, SeedError> {
        let mut encoder = Encoder::default();
        rows.walk(&mut encoder)?;
        Ok(encoder.0)
    }

    async fn write(&mut self, mut steps: Steps<Statement>) -> Result<(), SeedError> {
        let mut transaction =
            self.connection.begin_with("BEGIN IMMEDIATE").await.map_err(database::Error::from)?;
        while let Some(statements) = steps.next().await? {
            for Statement { sql, values, is_full } in statements {
                sqlx::query_with(AssertSqlSafe(sql), values)
                    .persistent(is_full)
                    .execute(&mut *transaction)
                    .await
                    .map_err(database::Error::from)?;
            }
        }
        transaction.commit().await.map_err(database::Error::from)?;
        Ok(())
    }

    async fn close(mut self) -> Result<(), SeedError> {
        set_cache_size(&mut self.connection, self.cache_size).await
    }

    /// Also empties the write-ahead log, which a large tenant leaves long.
    async fn settle(database: &Database, _tables: &[&str]) -> Result<(), SeedError> {
        let pool = database.connection.get_sqlite_connection_pool();
        for sql in ["ANALYZE", "PRAGMA wal_checkpoint(TRUNCATE)"] {
            sqlx::raw_sql(sql).execute(pool).await.map_err(database::Error::from)?;
        }
        Ok(())
    }
}

async fn set_cache_size(connection: &mut SqliteConnection, size: i64) -> Result<(), SeedError> {
    sqlx::raw_sql(AssertSqlSafe(format!("PRAGMA cache_size = {size}")))
        .execute(connection)
        .await
        .map_err(database::Error::from)?;
    Ok(())
}

/// Turns each table's rows into as many `INSERT`s as they need.
#[derive(Default)]
struct Encoder(Vec<Statement>);

impl Visit for Encoder {
    fn table<E: EntityTrait>(&mut self, rows: &[E::Model]) -> Result<(), SeedError> {
        let (table, columns) = (rows::table_name::<E>(), rows::columns::<E>());
        let row_marks = format!("({})", vec!["?"; rows::width::<E>()].join(","));
        for rows in rows.chunks(ROWS) {
            let mut values = SqliteArguments::default();
            values.reserve(rows.len() * rows::width::<E>(), 0);
            for row in rows {
                for cell in rows::cells::<E>(row) {
                    push(&mut values, cell?).map_err(|error| SeedError::Interrupted(error.to_string()))?;
                }
            }
            let marks = vec![row_marks.as_str(); rows.len()].join(",");
            self.0.push(Statement {
                sql: format!("INSERT INTO {table} ({columns}) VALUES {marks}"),
                values,
                is_full: rows.len() == ROWS,
            });
        }
        Ok(())
    }
}

fn push(values: &mut SqliteArguments, cell: Cell) -> Result<(), sqlx::error::BoxDynError> {
    match cell {
        Cell::Null => values.add(None::<i64>),
        Cell::Id(id) => values.add(id.as_bytes().to_vec()),
        Cell::Text(text) => values.add(text),
        Cell::Integer(number) => values.add(number),
        Cell::Long(number) => values.add(number),
        Cell::Real(number) => values.add(number),
        Cell::Instant(instant) => values.add(timestamp::text(instant)),
    }
}
