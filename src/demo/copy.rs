//! PostgreSQL: rows go in by `COPY` in its binary format.

use sea_orm::{
    EntityTrait,
    sqlx::{self, AssertSqlSafe, Connection, Postgres, pool::PoolConnection},
};

use super::{
    SeedError,
    load::{Sink, Steps},
    rows::{self, Cell, Rows, Visit},
};
use crate::database::{self, Database};

/// Starts a stream of rows: a signature, then no flags and no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// Ends it.
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();

/// Stands for the length of NULL.
const NULL: [u8; 4] = (-1_i32).to_be_bytes();

/// Microseconds from 1970 to 2000, where the database's count begins.
const EPOCH: i64 = 946_684_800_000_000;

/// A connection that copies.
pub(super) struct Copy(PoolConnection<Postgres>);

/// One `COPY` with its data.
pub(super) struct Statement {
    sql: String,
    data: Vec<u8>,
}

impl Sink for Copy {
    /// More than would keep the processors busy: at the end of every `COPY` over TCP a connection waits
    /// for the other side's delayed acknowledgement, some 40 ms, and another can work meanwhile.
    const WRITERS: usize = 4;
    type Statement = Statement;

    async fn open(database: &Database) -> Result<Self, SeedError> {
        let pool = database.connection.get_postgres_connection_pool();
        Ok(Self(pool.acquire().await.map_err(database::Error::from)?))
    }

    fn encode(rows: &Rows) -> Result<Vec<Statement>, SeedError> {
        let mut encoder = Encoder::default();
        rows.walk(&mut encoder)?;
        Ok(encoder.0)
    }

    async fn write(&mut self, mut steps: Steps<Statement>) -> Result<(), SeedError> {
        let mut transaction = self.0.begin().await.map_err(database::Error::from)?;
        while let Some(statements) = steps.next().await? {
            for statement in statements {
                copy(&mut transaction, statement).await.map_err(database::Error::from)?;
            }
        }
        transaction.commit().await.map_err(database::Error::from)?;
        Ok(())
    }

    async fn close(self) -> Result<(), SeedError> {
        Ok(())
    }

    /// Also marks pages as visible to all, so that reads can be answered from indexes alone.
    async fn settle(database: &Database, tables: &[&str]) -> Result<(), SeedError> {
        let sql = format!("VACUUM (ANALYZE) {}", tables.join(", "));
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(database.connection.get_postgres_connection_pool())
            .await
            .map_err(database::Error::from)?;
        Ok(())
    }
}

async fn copy(connection: &mut sqlx::PgConnection, statement: Statement) -> Result<(), sqlx::Error> {
    let mut stream = connection.copy_in_raw(&statement.sql).await?;
    stream.send(statement.data).await?;
    stream.finish().await?;
    Ok(())
}

/// Turns each table's rows into one `COPY`.
#[derive(Default)]
struct Encoder(Vec<Statement>);

impl Visit for Encoder {
    fn table<E: EntityTrait>(&mut self, rows: &[E::Model]) -> Result<(), SeedError> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut data = HEADER.to_vec();
        let width = i16::try_from(rows::width::<E>()).unwrap_or(i16::MAX).to_be_bytes();
        for row in rows {
            data.extend(width);
            for cell in rows::cells::<E>(row) {
                push(&mut data, cell?);
            }
        }
        data.extend(TRAILER);
        let (table, columns) = (rows::table_name::<E>(), rows::columns::<E>());
        self.0.push(Statement { sql: format!("COPY {table} ({columns}) FROM STDIN (FORMAT binary)"), data });
        Ok(())
    }
}

fn push(data: &mut Vec<u8>, cell: Cell) {
    match cell {
        Cell::Null => data.extend(NULL),
        Cell::Id(id) => push_bytes(data, id.as_bytes()),
        Cell::Text(text) => push_bytes(data, text.as_bytes()),
        Cell::Integer(number) => push_bytes(data, &number.to_be_bytes()),
        Cell::Long(number) => push_bytes(data, &number.to_be_bytes()),
        Cell::Real(number) => push_bytes(data, &number.to_be_bytes()),
        Cell::Instant(instant) => {
            push_bytes(data, &(instant.timestamp_micros() - EPOCH).to_be_bytes());
        }
    }
}

fn push_bytes(data: &mut Vec<u8>, bytes: &[u8]) {
    data.extend(i32::try_from(bytes.len()).unwrap_or(i32::MAX).to_be_bytes());
    data.extend_from_slice(bytes);
}
