//! Connections that are kept between the statements of requests.

use std::time::{Duration, Instant};

use sea_orm::Statement;
use tenant_gateway::database::{Database, Error};

use crate::support::{Backend, TestApp, on, on_both};

/// The first column of the one row of a statement.
async fn number(database: &Database, sql: &str) -> Result<i64, Error> {
    let row = database.query_one(Statement::from_string(database.backend(), sql)).await?;
    Ok(row.expect("a row").try_get_by_index(0).expect("a number"))
}

/// Which connection it is.
const SESSION: &str = "SELECT cast(pg_backend_pid() AS bigint)";
/// A connection that was idle for longer is tried before it is used.
const IDLE: Duration = Duration::from_secs(1);
const LONG_IDLE: Duration = Duration::from_millis(1_200);

async fn cut(app: &TestApp, session: i64) {
    app.sql(&format!("SELECT pg_terminate_backend({session})"), []).await;
    let left = format!("SELECT pid FROM pg_stat_activity WHERE pid = {session}");
    while !app.rows(&left, []).await.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn statements_follow_one_another_on_one_connection() {
    on(Backend::Postgres, async |app| {
        let database = Database::open(&app.database_url).await.expect("a database");
        let session = number(&database, SESSION).await.expect("a session");
        for _ in 0..20 {
            assert_eq!(number(&database, SESSION).await.expect("a session"), session);
        }
        let pool = database.connection.get_postgres_connection_pool();
        assert_eq!((pool.size(), pool.num_idle()), (1, 0), "the pool was not asked to look at it");
        let (connections, idle) = database.pool_use();
        assert_eq!(connections as usize, idle, "nobody uses it");
        let (running, ()) = tokio::join!(number(&database, "SELECT 1::bigint FROM pg_sleep(0.3)"), async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let closed = tokio::time::timeout(Duration::from_secs(5), database.close()).await;
            closed.expect("nobody has kept one").expect("all are closed");
        });
        assert_eq!(running.expect("what ran has its answer"), 1);
        number(&database, SESSION).await.expect_err("it is closed");
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_was_cut_is_found_out() {
    on(Backend::Postgres, async |app| {
        let database = Database::open(&app.database_url).await.expect("a database");
        let session = number(&database, SESSION).await.expect("a session");
        cut(&app, session).await;
        tokio::time::sleep(LONG_IDLE).await;
        let session = number(&database, SESSION).await.expect("another, found out before it was used");
        let used = Instant::now();
        cut(&app, session).await;
        let told = number(&database, SESSION).await;
        assert!(matches!(told, Err(Error::Unavailable(_))) || used.elapsed() > IDLE, "{told:?}");
        number(&database, SESSION).await.expect("it is not kept any longer");
    })
    .await;
}

/// On PostgreSQL the connection is busy for long with what nobody waits for: the next has another.
#[tokio::test]
async fn whoever_gives_up_leaves_neither_answer_nor_wait_to_the_next() {
    on_both(async |app| {
        let slow = match app.backend() {
            sea_orm::DbBackend::Sqlite => {
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000) SELECT count(*) FROM n"
            }
            _ => "SELECT count(*) FROM (SELECT pg_sleep(2)) s",
        };
        let database = Database::open(&app.database_url).await.expect("a database");
        let given_up = tokio::time::timeout(Duration::from_millis(30), number(&database, slow)).await;
        given_up.expect_err("it takes longer");
        let begun = Instant::now();
        let all = (0..200).map(|n| {
            let database = &database;
            async move { number(database, &format!("SELECT cast({n} AS bigint)")).await.expect("a number") }
        });
        assert_eq!(futures_util::future::join_all(all).await, (0..200).collect::<Vec<_>>());
        assert!(begun.elapsed() < Duration::from_millis(1_500), "{:?}", begun.elapsed());
    })
    .await;
}

/// However much is read, each waits in turn, and whoever wants to write has a connection at once.
#[tokio::test]
async fn readers_wait_for_one_another_and_writers_for_none_of_them() {
    on(Backend::Postgres, async |app| {
        let database = Database::open(&app.database_url).await.expect("a database");
        // Connecting takes its time.
        let warm = (0..8).map(|_| number(&database, "SELECT 1::bigint FROM pg_sleep(0.1)"));
        futures_util::future::join_all(warm).await;
        let begun = Instant::now();
        let readers = futures_util::future::join_all((0..40).map(|_| {
            let database = &database;
            async move {
                number(database, "SELECT 1::bigint FROM pg_sleep(0.3)").await.expect("a number");
                begun.elapsed()
            }
        }));
        let writer = async {
            tokio::time::sleep(Duration::from_millis(150)).await;
            let begun = Instant::now();
            for _ in 0..5 {
                database.begin().await.expect("a transaction").rollback().await.expect("an end");
            }
            begun.elapsed()
        };
        let (ends, written) = tokio::join!(readers, writer);
        // Eight at a time, five times.
        let last = ends.iter().max().expect("a reader");
        assert!((Duration::from_millis(1_450)..Duration::from_millis(4_500)).contains(last), "{ends:?}");
        let turns: Vec<_> = ends.chunks(8).collect();
        assert!(turns.windows(2).all(|two| two[0].iter().max() <= two[1].iter().min()), "{ends:?}");
        assert!(written < Duration::from_secs(1), "{written:?}");
    })
    .await;
}

#[test]
fn a_database_may_outlive_its_runtime() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let directory = tempfile::tempdir().expect("a directory");
    let url = format!("sqlite://{}?mode=rwc", directory.path().join("kept.db").display());
    let database = runtime.block_on(async {
        let database = Database::open(&url).await.expect("a database");
        assert_eq!(number(&database, "SELECT 1").await.expect("a number"), 1);
        database
    });
    drop(runtime);
    drop(database);
}
