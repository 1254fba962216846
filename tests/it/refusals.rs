//! A command that is refused says why in one line, and leaves everything as it was.

use std::path::Path;

use sea_orm::{ConnectionTrait, DbBackend};
use tempfile::TempDir;

use crate::{
    cli::{refuses, run},
    support::{TestApp, on_both, places},
};

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// A command that goes on by itself when it is not refused is told to listen where it cannot stay.
async fn refused(arguments: &[&str], part: &str) {
    let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    let output =
        tokio::task::spawn_blocking(move || run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()));
    refuses(&output.await.expect("an output"), part);
}

#[tokio::test]
async fn somebody_elses_file_stays_as_it_is_to_the_byte() {
    let directory = directory();
    let file = directory.path().join("theirs.db");
    let url = format!("sqlite://{}?mode=rwc", file.display());
    let theirs = sea_orm::Database::connect(&url).await.expect("a file");
    theirs.execute_unprepared("CREATE TABLE calls (n integer)").await.expect("a table");
    theirs.close().await.expect("a file that is closed");
    let before = std::fs::read(&file).expect("the file");
    for command in [
        &["migrate", "up"][..],
        &["serve", "--listen", "127.0.0.1:0"],
        &["seed", "--tenants", "2", "--calls", "1"],
    ] {
        refused(&[command, &["--database-url", &url]].concat(), "calls").await;
        assert!(std::fs::read(&file).expect("the file") == before, "{command:?} changed the file");
        assert_eq!(names(directory.path()), ["theirs.db"], "{command:?}");
    }
    // These have nothing against it, and do not touch it.
    for command in ["status", "down"] {
        assert!(run(&["migrate", command, "--database-url", &url]).status.success());
    }
    refused(&["serve", "--no-migrate", "--listen", "127.0.0.1:0", "--database-url", &url], "lacks").await;
    assert!(std::fs::read(&file).expect("the file") == before);
    assert_eq!(names(directory.path()), ["theirs.db"]);
}

#[tokio::test]
async fn commands_that_only_look_make_no_file() {
    let directory = directory();
    let url = format!("sqlite://{}/x.db?mode=rwc", directory.path().display());
    for command in [
        &["migrate", "status"][..],
        &["migrate", "down"],
        &["serve", "--no-migrate", "--listen", "127.0.0.1:0"],
        &["usage", "verify"],
    ] {
        refused(&[command, &["--database-url", &url]].concat(), "there is no file").await;
        assert!(names(directory.path()).is_empty(), "{command:?}");
    }
}

#[tokio::test]
async fn a_seed_that_is_refused_makes_nothing() {
    let directory = directory();
    let url = format!("sqlite://{}/x.db?mode=rwc", directory.path().display());
    for (option, value, part) in [
        ("--months", "999999", "2012"),
        ("--storage-url", "s3://", "name of a bucket"),
        ("--storage-url", "s3://key:secret@bucket", "only a bucket"),
        ("--storage-url", "ftp://bucket", "ftp:// is neither"),
        ("--storage-url", "x", "file://"),
    ] {
        refused(&["seed", option, value, "--database-url", &url], part).await;
        assert!(names(directory.path()).is_empty(), "{option} {value}");
    }
}

#[tokio::test]
async fn every_kind_of_thing_with_a_name_of_ours_is_seen() {
    const OTHERS: [(Option<DbBackend>, &str, &str); 9] = [
        (Some(DbBackend::Sqlite), "CREATE TABLE TENANTS (n integer)", "TENANTS"),
        (
            Some(DbBackend::Sqlite),
            "CREATE TABLE theirs (n integer); CREATE INDEX agents ON theirs (n)",
            "agents",
        ),
        (None, "CREATE VIEW calls AS SELECT 1 AS n", "calls"),
        (None, "CREATE TABLE tenant_gateway_migrations (x integer)", "tenant_gateway_migrations"),
        (None, "CREATE VIEW tenant_gateway_migrations AS SELECT 1 AS version", "tenant_gateway_migrations"),
        (None, "CREATE TABLE usage_days (n integer)", "usage_days"),
        (Some(DbBackend::Postgres), "CREATE MATERIALIZED VIEW tenants AS SELECT 1 AS n", "tenants"),
        (Some(DbBackend::Postgres), "CREATE TYPE tenants AS ENUM ('a')", "tenants"),
        (Some(DbBackend::Postgres), "CREATE SEQUENCE sessions", "sessions"),
    ];
    for (backend, sql, name) in OTHERS {
        for place in places().await {
            let url = place.url();
            let other = sea_orm::Database::connect(&url).await.expect("a database");
            if backend.is_none_or(|backend| backend == other.get_database_backend()) {
                other.execute_unprepared(sql).await.expect(sql);
                refused(&["migrate", "up", "--database-url", &url], &format!("named {name} ")).await;
            }
            other.close().await.expect("a connection to close");
            place.remove().await;
        }
    }
}

#[tokio::test]
async fn a_search_path_without_a_schema_is_told_as_that() {
    on_both(async |app: TestApp| {
        if app.backend() == DbBackend::Postgres {
            let url = format!("{}?options=-csearch_path%3Dnowhere", app.database_url);
            refused(&["migrate", "up", "--database-url", &url], "schema").await;
            refused(&["migrate", "up", "--database-url", &url], "create the schema").await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_as_that_and_no_password_with_it() {
    let begun = std::time::Instant::now();
    let url = "postgres://gateway:verysecret@127.0.0.1:1/nothing";
    refused(&["migrate", "status", "--database-url", url], "refused").await;
    assert!(begun.elapsed().as_secs() < 4, "it waited before it told");
    let output = run(&["migrate", "status", "--database-url", url]);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("verysecret"));
}

/// Settings of the cascade name what is there, and nothing that foreign keys bind to a tenant.
#[tokio::test]
async fn settings_of_the_cascade_that_cannot_be_followed_are_refused() {
    on_both(async |app| {
        let url = &app.database_url;
        for (option, value, part) in [
            ("--cascade-own", "nothing.tenant_id", "nothing.tenant_id, which does not exist"),
            ("--cascade-own", "agents.customer", "agents.customer, which does not exist"),
            ("--cascade-own", "agents", "no name of a column"),
            ("--cascade-ignore", "agents,nothing", "agents cannot be ignored"),
            ("--cascade-ignore", "nothing", "nothing, which does not exist"),
        ] {
            let storage = tempfile::tempdir().expect("a directory");
            let address = format!("file://{}", storage.path().display());
            let arguments = [
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--database-url",
                url,
                "--storage-url",
                &address,
                option,
                value,
            ];
            refused(&arguments, part).await;
        }
    })
    .await;
}

/// What names nothing is told as such, with what to give instead.
#[tokio::test]
async fn an_empty_name_is_told_with_what_to_give() {
    for place in places().await {
        let app = TestApp::start(&place).await;
        let tenant = [
            "tenant",
            "preview",
            "0198c3a4-7d2e-7b10-9c55-2f6a1e0b4d33",
            "--database-url",
            &app.database_url,
        ];
        for (extra, parts) in [
            (["--cascade-ignore", ""], ["--cascade-ignore", "''", "TABLE"]),
            (["--cascade-own", ""], ["--cascade-own", "''", "TABLE.COLUMN"]),
            (["--cascade-own", "calls"], ["--cascade-own", "'calls'", "TABLE.COLUMN"]),
            (["--cascade-ignore", "a..b"], ["--cascade-ignore", "'a..b'", "TABLE"]),
        ] {
            for part in parts {
                refused(&[&tenant[..], &extra].concat(), part).await;
            }
        }
        for part in ["ID", "FILE"] {
            refused(&["tenant", "certificate", "", "--database-url", &app.database_url], part).await;
        }
        drop(app);
        place.remove().await;
    }
}
