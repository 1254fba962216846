//! The program as it is started from a terminal.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Output, Stdio},
    time::Duration,
};

use crate::support::{TestApp, on_both, places};

/// Variables that the program reads.
pub(crate) const VARIABLES: [&str; 46] = [
    "JWT_SECRET",
    "JWT_SECRET_FILE",
    "JWKS",
    "JWT_ISSUER",
    "JWT_AUDIENCE",
    "DATABASE_URL",
    "STORAGE_URL",
    "LISTEN",
    "SESSION_TIMEOUT",
    "CERTIFICATE_KEY_FILE",
    "DELETION_GRACE",
    "DELETION_BATCH_TIME",
    "DELETION_LANES",
    "DELETION_MAX_REPLICA_LAG",
    "CASCADE_OWN",
    "CASCADE_IGNORE",
    "RUST_LOG",
    "LOG_FORMAT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "METRICS_LISTEN",
    "STATEMENT_TIMEOUT",
    "SHUTDOWN_DELAY",
    "MAX_BODY_BYTES",
    "MAX_VALUES",
    "REQUEST_TIMEOUT",
    "MAX_CONNECTIONS",
    "MAX_CONNECTIONS_PER_ADDRESS",
    "HEADER_TIMEOUT",
    "IDLE_TIMEOUT",
    "SOCKET_SILENCE",
    "SOCKET_IDLE_TIMEOUT",
    "SOCKET_LIFETIME",
    "MAX_SOCKET_OPERATIONS",
    "RATE_PER_ADDRESS",
    "RATE_PER_VIEWER",
    "TRUSTED_PROXY",
    "MAX_QUERY_TOKENS",
    "MAX_QUERY_DEPTH",
    "MAX_QUERY_COST",
    "MAX_QUERY_ALIASES",
    "MAX_QUERY_DIRECTIVES",
    "MAX_QUERY_ROOT_FIELDS",
    "CORS_ORIGIN",
    "HIDE_SCHEMA",
    "TRUSTED_DOCUMENTS",
    "TRUSTED_DOCUMENTS_ONLY",
];

pub(crate) fn gateway(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenant-gateway"));
    command.args(arguments);
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    command
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    gateway(arguments)
        .env("JWT_SECRET", "a secret of the command line's tests")
        .output()
        .expect("the program")
}

/// One line on standard error that says `part`, nothing on standard output, a status that is not 0.
pub(crate) fn refuses(output: &Output, part: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{error}");
    assert!(output.stdout.is_empty());
    assert_eq!(error.trim_end().lines().count(), 1, "{error}");
    assert!(error.contains(part), "{error}");
}

#[test]
fn serving_without_a_key_names_the_options() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = format!("sqlite://{}/x.db?mode=rwc", directory.path().display());
    let output = gateway(&["serve", "--database-url", &file]).output().expect("the program");
    refuses(&output, "JWT_SECRET");
    assert!(String::from_utf8_lossy(&output.stderr).contains("--jwks"));
    assert_eq!(std::fs::read_dir(directory.path()).expect("a directory").count(), 0, "nothing was made");
}

#[test]
fn an_unreachable_database_is_one_clear_line() {
    for url in [
        "postgres://nobody@127.0.0.1:1/nothing",
        "sqlite:///nowhere/at/all.db",
        "mysql://root@127.0.0.1/x",
        "nonsense",
    ] {
        refuses(&run(&["serve", "--listen", "127.0.0.1:0", "--database-url", url]), "database");
    }
}

#[test]
fn bad_options_are_refused() {
    for arguments in [
        &["serve", "--listen", "nowhere"][..],
        &["serve", "--session-timeout", "soon"],
        &["token", "--role", "root"],
        &["token", "--role", "tenant"],
        &["token", "--role", "admin", "--expires", "0s"],
        &["token", "--role", "admin", "--expires", "999ms"],
        &["token", "--role", "admin", "--tenant", "0198c3a4-7d2e-7b10-9c55-2f6a1e0b4d33"],
        &["seed", "--tenants", "-1"],
        &["nothing"],
    ] {
        let output = run(arguments);
        assert!(!output.status.success() && output.stdout.is_empty(), "{arguments:?}");
        assert!(!output.stderr.is_empty());
    }
}

#[tokio::test]
async fn tables_of_somebody_else_are_left_alone() {
    for place in places().await {
        let url = place.url();
        let database = tenant_gateway::database::Database::open(&url).await.expect("a database");
        let make = "CREATE TABLE calls (n integer)";
        sea_orm::ConnectionTrait::execute_unprepared(&database.connection, make).await.expect(make);
        let refused = tokio::task::spawn_blocking(move || run(&["migrate", "up", "--database-url", &url]));
        refuses(&refused.await.expect("an output"), "calls");
        let states = database.migrations().await.expect("states");
        assert!(states.iter().all(|state| !state.applied));
        let history = "CREATE TABLE tenant_gateway_migrations (n integer)";
        sea_orm::ConnectionTrait::execute_unprepared(&database.connection, history)
            .await
            .expect("nothing was left");
        drop(database);
        place.remove().await;
    }
}

#[tokio::test]
async fn migrations_go_up_and_down_and_leave_nothing() {
    for place in places().await {
        let url = place.url();
        let command = |action: &'static str| {
            let url = url.clone();
            let output =
                tokio::task::spawn_blocking(move || run(&["migrate", action, "--database-url", &url]));
            async move { String::from_utf8(output.await.expect("an output").stdout).expect("text") }
        };
        drop(tenant_gateway::database::Database::open(&url).await.expect("an empty database"));
        assert!(command("status").await.starts_with("pending"));
        assert_eq!(command("up").await, "4 migration(s) applied\n");
        assert_eq!(command("up").await, "0 migration(s) applied\n");
        assert!(command("status").await.starts_with("applied"));
        for _ in 0..4 {
            assert_eq!(command("down").await, "1 migration(s) taken back\n");
        }
        assert_eq!(command("down").await, "0 migration(s) taken back\n");
        assert_eq!(command("up").await, "4 migration(s) applied\n", "nothing of it was left");
        place.remove().await;
    }
}

#[tokio::test]
async fn a_schema_that_cannot_be_served_is_refused() {
    on_both(async |app: TestApp| {
        let serve = |extra: &'static [&'static str]| {
            let url = app.database_url.clone();
            let work =
                move || run(&[&["serve", "--listen", "127.0.0.1:0", "--database-url", &url], extra].concat());
            tokio::task::spawn_blocking(work)
        };
        app.sql("INSERT INTO tenant_gateway_migrations VALUES ('m2099_of_the_future', 0)", []).await;
        refuses(&serve(&[]).await.expect("an output"), "newer");
        app.sql("DELETE FROM tenant_gateway_migrations", []).await;
        refuses(&serve(&["--no-migrate"]).await.expect("an output"), "migrate up");
    })
    .await;
}

#[test]
fn a_token_stands_alone_on_standard_output() {
    let output = run(&["token", "--role", "support", "--expires", "5m"]);
    let token = String::from_utf8(output.stdout).expect("text");
    assert_eq!(token.trim_end().split('.').count(), 3);
    assert_eq!(token.lines().count(), 1);
    let without = gateway(&["token", "--role", "admin"]).output().expect("the program");
    refuses(&without, "JWT_SECRET");
}

#[test]
fn help_shows_no_secret_and_every_command() {
    let help = String::from_utf8(run(&["--help"]).stdout).expect("text");
    for word in ["serve", "demo", "migrate", "seed", "tenant", "usage", "token", "schema", "JWT_SECRET"] {
        assert!(help.contains(word), "{word} is not in --help");
    }
    for command in ["serve", "token"] {
        let help = String::from_utf8(run(&[command, "--help"]).stdout).expect("text");
        assert!(!help.contains("a secret of the command line"), "{help}");
    }
}

#[tokio::test]
async fn the_demo_prints_tokens_that_work_and_stops_when_told() {
    let mut demo = gateway(&["demo", "--no-open", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program");
    let mut lines = BufReader::new(demo.stdout.take().expect("its output")).lines();
    let (mut address, mut tokens) = (String::new(), Vec::new());
    // By reference: the program must not lose its standard output meanwhile.
    for line in lines.by_ref().map_while(Result::ok) {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("GraphQL"), Some(url)) => url.clone_into(&mut address),
            (Some("admin" | "support" | "tenant"), Some(token)) => tokens.push(token.to_owned()),
            _ => {}
        }
        if tokens.len() == 3 {
            break;
        }
    }
    let client = crate::support::client();
    let mut counts = Vec::new();
    for token in &tokens {
        let query = serde_json::json!({ "query": "{ tenants { totalCount } }" });
        let request = client.post(&address).bearer_auth(token).json(&query).timeout(Duration::from_secs(10));
        let answer: serde_json::Value = request.send().await.expect("an answer").json().await.expect("JSON");
        counts.push(answer["data"]["tenants"]["totalCount"].as_i64().expect("a count"));
    }
    assert_eq!(counts, [60, 60, 1]);
    let stop = Command::new("kill").arg(demo.id().to_string()).status().expect("kill");
    assert!(stop.success());
    assert!(demo.wait().expect("an end").success());
}

#[test]
fn a_demo_that_is_stopped_while_it_is_seeded_leaves_nothing() {
    let place = tempfile::tempdir().expect("a directory");
    let made = || std::fs::read_dir(place.path()).expect("a directory").count();
    let mut demo = gateway(&["demo", "--no-open", "--listen", "127.0.0.1:0"])
        .env("TMPDIR", place.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("the program");
    while made() == 0 {
        assert!(demo.try_wait().expect("a state").is_none(), "it ended by itself");
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(200));
    let stop = Command::new("kill").arg(demo.id().to_string()).status().expect("kill");
    assert!(stop.success());
    assert!(demo.wait().expect("an end").success());
    assert_eq!(made(), 0, "its directory is left behind");
}
