//! Connections to SQLite.

use std::{str::FromStr, time::Duration};

use sea_orm::{
    DatabaseConnection, SqlxSqliteConnector,
    sqlx::{
        self, ConnectOptions, SqliteConnection,
        sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous},
    },
};

use super::{Error, PATIENCE};

/// Bytes of a file that are read as memory, without a copy: as many as the library allows. They are the file's pages
/// in the system's cache, and take memory once for all connections.
const MAPPED: &str = "2147418112";

/// Connections that erase: one for batches and one that copies the log meanwhile.
const ERASING: u32 = 2;
/// Memory for pages of a connection that erases, in negative KiB: a batch changes thousands of pages, and what finds
/// no room is written to the log more than once.
const ERASING_CACHE: &str = "-16384";
/// Where it keeps pages as they were before a statement, which deletes as a whole or not at all: not in a file.
const ERASING_JOURNAL: &str = "MEMORY";
/// A connection that erases and has not for so long is closed, and its memory is free.
const ERASING_IDLE: Duration = Duration::from_secs(10);
/// The niceness of a thread that erases: with others at work it has a tenth of what each of them has, and they are not
/// made to wait until its time is over.
#[cfg(target_os = "linux")]
const ERASING_NICE: i32 = 10;
/// So many steps of a statement, some tenths of a millisecond, are taken before others may run who wait. The system
/// would have them wait for its next tick, 4 ms on many machines.
const STEPS_IN_ONE_GO: i32 = 500;

/// Settings of every connection. Not the journal's mode: it is kept in the file, which may be somebody else's.
pub(super) fn ordinary(options: SqliteConnectOptions) -> SqliteConnectOptions {
    options
        .foreign_keys(true)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(PATIENCE)
        .pragma("mmap_size", MAPPED)
}

/// Connections that look for no rows that refer to those they delete, each with a thread that gives way to others.
/// Made when they are needed.
///
/// # Errors
///
/// [`Error::Unavailable`] where the address says what SQLite does not know.
pub(super) fn unreferred(url: &str) -> Result<DatabaseConnection, Error> {
    let options =
        SqliteConnectOptions::from_str(url).map_err(|error| Error::Unavailable(error.to_string()))?;
    let options = ordinary(options).foreign_keys(false).disable_statement_logging();
    let options = options.pragma("cache_size", ERASING_CACHE).pragma("temp_store", ERASING_JOURNAL);
    let pool = SqlitePoolOptions::new()
        .max_connections(ERASING)
        .idle_timeout(ERASING_IDLE)
        .acquire_timeout(PATIENCE)
        .after_connect(|connection, _| Box::pin(give_way(connection)))
        .connect_lazy_with(options);
    Ok(SqlxSqliteConnector::from_sqlx_sqlite_pool(pool))
}

/// The connection's thread is the library's own. What is called while it executes a statement is called by it: there
/// it lowers its priority, once, and lets others run, again and again. Not while it writes or copies the log, for which
/// nothing is called.
async fn give_way(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let mut is_lowered = false;
    connection.lock_handle().await?.set_progress_handler(STEPS_IN_ONE_GO, move || {
        if !is_lowered {
            is_lowered = true;
            lower_priority();
        }
        std::thread::yield_now();
        true
    });
    Ok(())
}

/// Of this thread. Elsewhere than on Linux such a call is for the whole process, or missing.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, ERASING_NICE) {
        tracing::debug!(%error, "erasing goes on with the priority that it has");
    }
}

#[cfg(all(test, target_os = "linux"))]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::fs;

    use sea_orm::{ConnectionTrait, DbBackend, Statement};

    use crate::database::Database;

    /// How nice each thread of this process is that works on a connection.
    fn niceness() -> Vec<i32> {
        let tasks = fs::read_dir("/proc/self/task").unwrap().filter_map(Result::ok);
        let stats = tasks.filter_map(|task| fs::read_to_string(task.path().join("stat")).ok());
        // Behind the name in brackets, the seventeenth.
        let nice = |stat: String| {
            let (name, rest) = stat.rsplit_once(") ")?;
            let nice = rest.split(' ').nth(16)?.parse().ok()?;
            name.contains("sqlx-sqlite").then_some(nice)
        };
        stats.filter_map(nice).collect()
    }

    #[tokio::test]
    async fn threads_that_erase_give_way_and_no_others() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?mode=rwc", directory.path().join("nice.db").display());
        let database = Database::open(&url).await.unwrap();
        let writer = database.begin().await.unwrap();
        let usual = niceness();
        let own = usual[0];
        assert!(usual.iter().all(|nice| *nice == own), "{usual:?}");
        writer.rollback().await.unwrap();
        let eraser = database.begin_unreferred().await.unwrap();
        let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT max(i) FROM n";
        eraser.query_one_raw(Statement::from_string(DbBackend::Sqlite, sql)).await.unwrap();
        let found = niceness();
        assert_eq!(found.iter().filter(|nice| **nice == super::ERASING_NICE).count(), 1, "{found:?}");
        assert!(found.contains(&own), "{found:?}");
        eraser.rollback().await.unwrap();
    }
}
