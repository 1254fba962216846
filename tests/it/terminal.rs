//! `tenant …`, as an administrator types it.

use std::{
    io::{Read, Write},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::Duration,
};

use sea_orm::{DbBackend, Statement};
use serde_json::{Value, json};
use tenant_gateway::{clock::Clock, deletion::certificate::storage_key};
use uuid::Uuid;

use crate::{
    cli::{VARIABLES, gateway, refuses},
    support::{Call, Rows, Session, TenantRow, TestApp, id, on_both},
};

/// A command on a test's database and storage, not yet started.
pub(crate) fn command(app: &TestApp, arguments: &[&str]) -> Command {
    let mut command = gateway(&["tenant"]);
    command.args(arguments).env("DATABASE_URL", &app.database_url);
    command.env("STORAGE_URL", format!("file://{}", app.objects.path().display()));
    command
}

pub(crate) async fn output(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().expect("the program")).await.expect("an output")
}

pub(crate) async fn tenant(app: &TestApp, arguments: &[&str]) -> Output {
    output(command(app, arguments)).await
}

/// What a command that must succeed prints.
pub(crate) fn told(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout.clone()).expect("text")
}

pub(crate) fn as_json(text: &str) -> Value {
    serde_json::from_str(text).expect(text)
}

async fn acme(app: &TestApp) -> Uuid {
    let tenant = app.tenant(TenantRow::default()).await;
    app.platform(tenant).await;
    tenant
}

async fn status_of(app: &TestApp, tenant: Uuid) -> Option<String> {
    let rows = app.rows("SELECT status FROM tenants WHERE id = $1", [tenant.into()]).await;
    rows.first().map(|row| row.try_get_by_index(0).expect("a status"))
}

/// Every field of a type of the schema, with theirs.
async fn fields(app: &TestApp, kind: &str) -> String {
    let query = "query ($kind: String!) { __type(name: $kind) { fields { name type {
        kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } }";
    let found = app.admin(query, json!({ "kind": kind })).await;
    let mut words = Vec::new();
    for field in found["__type"]["fields"].as_array().expect("fields") {
        let mut kind = &field["type"];
        while !kind["ofType"].is_null() {
            kind = &kind["ofType"];
        }
        words.push(field["name"].as_str().expect("a name").to_owned());
        if kind["kind"] == "OBJECT" {
            let inner = Box::pin(fields(app, kind["name"].as_str().expect("a name"))).await;
            words.push(format!("{{ {inner} }}"));
        }
    }
    words.join(" ")
}

#[tokio::test]
async fn json_is_what_the_api_answers() {
    on_both(async |app| {
        let acme = acme(&app).await;
        let (agent, now) = (app.agent(acme).await, Clock::system().now());
        let numbers = Call {
            duration_seconds: Some(90),
            sentiment_score: Some(0.25),
            cost_cents: 1_234,
            ..Call::of(&agent, now)
        };
        app.call(&numbers).await;
        app.session(&Session::of(acme, now)).await;
        app.sql("CREATE TABLE audit (id integer PRIMARY KEY, tenant_id integer)", []).await;
        let id = acme.to_string();
        for (word, field, kind) in
            [("stats", "stats", "TenantStats"), ("preview", "deletionPreview", "DeletionPreview")]
        {
            let said = as_json(&told(&tenant(&app, &[word, &id, "--json"]).await));
            app.clock.set(said["asOf"].as_str().expect("an instant").parse().expect("an instant"));
            let query =
                format!("{{ tenant(id: \"{id}\") {{ {field} {{ {} }} }} }}", fields(&app, kind).await);
            assert_eq!(said, app.admin(&query, json!({})).await["tenant"][field], "{word}");
        }
        app.sql("DROP TABLE audit", []).await;

        let delete = ["delete", &id, "--confirm-name", "Acme", "--force", "--reason", "asked for", "--json"];
        let said = as_json(&told(&tenant(&app, &delete).await));
        let query = format!(
            "{{ tenantDeletion(tenantId: \"{id}\") {{ {} }} }}",
            fields(&app, "TenantDeletion").await
        );
        let answer = app.admin(&query, json!({})).await["tenantDeletion"].clone();
        assert_eq!((&answer["status"], &answer["requestedBy"]), (&json!("DELETED"), &json!("terminal")));
        assert_eq!(said, answer);
        let own = answer["id"].as_str().expect("an id");
        for given in [own, &id] {
            assert_eq!(as_json(&told(&tenant(&app, &["status", given, "--json"]).await)), answer);
            let certificate = tenant(&app, &["certificate", given, "--json"]).await;
            assert_eq!(as_json(&told(&certificate)), answer["certificate"]);
        }
    })
    .await;
}

#[tokio::test]
async fn a_tenant_is_erased_and_its_certificate_is_kept() {
    on_both(async |app| {
        let (acme, other) = (acme(&app).await, acme(&app).await);
        let key = format!("tenants/{acme}/recordings/a.wav");
        app.storage.put(&key, b"sound".to_vec()).await.expect("an object");
        let id = acme.to_string();
        let preview = told(&tenant(&app, &["preview", &id]).await);
        for line in ["call_recordings", "in all", "2 object(s), 12 B", "Acme ("] {
            assert!(preview.contains(line), "{line} is not in {preview}");
        }
        let figures = told(&tenant(&app, &["stats", &id]).await);
        assert!(figures.contains("agents            ") && figures.contains("0 cents"), "{figures}");

        let said = told(&tenant(&app, &["delete", &id, "--confirm-name", "Acme"]).await);
        assert!(said.contains("row(s) and 2 object(s), 12 B erased in"), "{said}");
        assert!(said.contains("certificate sha256"), "{said}");
        assert_eq!(status_of(&app, acme).await, None);
        assert_eq!(status_of(&app, other).await.as_deref(), Some("active"));
        assert_eq!(app.storage.get(&key).await.expect("an answer"), None);
        let deletion = as_json(&told(&tenant(&app, &["status", &id, "--json"]).await));
        let own: Uuid = deletion["id"].as_str().expect("an id").parse().expect("an id");
        let kept =
            app.storage.get(&storage_key(acme, own)).await.expect("an answer").expect("the certificate");
        assert_eq!(told(&tenant(&app, &["certificate", &id]).await).into_bytes(), kept);

        // Again: the same deletion, whatever is confirmed.
        let again = tenant(&app, &["delete", &id, "--confirm-name", "x", "--json"]).await;
        assert_eq!(as_json(&told(&again))["id"], deletion["id"]);
        let status = told(&tenant(&app, &["status", &id]).await);
        assert!(status.contains("DELETED") && status.contains("workflows"), "{status}");
    })
    .await;
}

#[tokio::test]
async fn what_is_refused_is_one_line_with_its_code() {
    on_both(async |app| {
        let acme = acme(&app).await;
        let (id, nobody) = (acme.to_string(), id().to_string());
        let name = ["--confirm-name", "Acme", "--json"];
        let refused = async |arguments: &[&str], part: &str| refuses(&tenant(&app, arguments).await, part);
        refused(&["stats", &nobody], "TENANT_NOT_FOUND: ").await;
        refused(&["preview", &nobody], "TENANT_NOT_FOUND: ").await;
        refused(&[&["delete", &nobody][..], &name].concat(), "TENANT_NOT_FOUND: ").await;
        refused(&["status", &id], "DELETION_NOT_FOUND: ").await;
        refused(&["cancel", &id], "DELETION_NOT_FOUND: ").await;
        refused(&["certificate", &id], "DELETION_NOT_FOUND: ").await;
        refused(&["certificate", "nothing"], "neither a file nor an id").await;
        refused(&["delete", &id], "--confirm-name").await;
        let wrong = "CONFIRMATION_MISMATCH (--confirm-name): ";
        refused(&["delete", &id, "--confirm-name", "acme", "--json"], wrong).await;
        let digest = [&["delete", &id, "--plan-digest", "0"][..], &name].concat();
        refused(&digest, "PLAN_CHANGED (--plan-digest): ").await;
        let long = [&["delete", &id, "--grace", "100years"][..], &name].concat();
        refused(&long, "--grace").await;
        app.session(&Session::of(acme, Clock::system().now())).await;
        refused(&[&["delete", &id][..], &name].concat(), "ACTIVE_SESSIONS (--force): ").await;
        assert_eq!(status_of(&app, acme).await.as_deref(), Some("active"));
        assert_eq!(app.number("SELECT count(*) FROM tenant_deletions", []).await, 0);

        let later = [&["delete", &id, "--grace", "7d"][..], &name].concat();
        assert_eq!(as_json(&told(&tenant(&app, &later).await))["status"], "SCHEDULED");
        refused(&["resume", &id], "DELETION_NOT_BLOCKED: ").await;
        refused(&["certificate", &id], "SCHEDULED").await;
        assert!(told(&tenant(&app, &["cancel", &id, "--reason", "stays"]).await).contains("is canceled"));
        refused(&["cancel", &id], "DELETION_NOT_CANCELABLE: ").await;
        assert_eq!(status_of(&app, acme).await.as_deref(), Some("active"));
    })
    .await;
}

/// Types `name` where the program asks for one. Returns how it ended and all that the terminal showed.
async fn typed(mut command: Command, name: &'static str) -> (ExitStatus, String) {
    let quote = |word: &std::ffi::OsStr| format!("'{}'", word.to_str().expect("text"));
    let words: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).map(quote).collect();
    let mut terminal = Command::new("script");
    terminal.args(["-qec", &words.join(" "), "/dev/null"]).env("SHELL", "/bin/sh");
    for variable in VARIABLES {
        terminal.env_remove(variable);
    }
    terminal.envs(command.env("TERM", "xterm").get_envs().filter_map(|(name, value)| Some((name, value?))));
    tokio::task::spawn_blocking(move || {
        let mut child =
            terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("`script`, of util-linux");
        let (mut keys, mut screen) =
            (child.stdin.take().expect("keys"), child.stdout.take().expect("a screen"));
        let (mut shown, mut piece) = (Vec::new(), [0; 1024]);
        let mut is_asked = false;
        loop {
            let read = screen.read(&mut piece).expect("what is shown");
            shown.extend_from_slice(&piece[..read]);
            if !is_asked && String::from_utf8_lossy(&shown).contains("Type the tenant's name") {
                is_asked = true;
                keys.write_all(format!("{name}\n").as_bytes()).expect("a key");
            }
            if read == 0 {
                break;
            }
        }
        assert!(is_asked, "{}", String::from_utf8_lossy(&shown));
        (child.wait().expect("an end"), String::from_utf8_lossy(&shown).into_owned())
    })
    .await
    .expect("an output")
}

#[tokio::test]
async fn the_name_is_typed_at_a_terminal() {
    on_both(async |app| {
        let acme = acme(&app).await;
        let id = acme.to_string();
        let (ended, shown) = typed(command(&app, &["delete", &id]), "acme").await;
        assert!(!ended.success() && shown.contains("CONFIRMATION_MISMATCH"), "{shown}");
        assert_eq!(status_of(&app, acme).await.as_deref(), Some("active"));
        let (ended, shown) = typed(command(&app, &["delete", &id]), "Acme").await;
        assert!(ended.success(), "{shown}");
        assert!(shown.contains("2 object(s)") && shown.contains("certificate sha256"), "{shown}");
        assert_eq!(status_of(&app, acme).await, None);
    })
    .await;
}

async fn until_it_stands_still(child: &mut Child) {
    let state = format!("/proc/{}/stat", child.id());
    for _ in 0..600 {
        let text = std::fs::read_to_string(&state).expect("a process");
        if text.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T')) {
            return;
        }
        assert!(child.try_wait().expect("a state").is_none(), "it ended by itself");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it never came to the point");
}

fn send(signal: &str, child: &Child) {
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill");
    assert!(sent.success());
}

#[tokio::test]
async fn an_interrupted_deletion_goes_on_where_it_was() {
    on_both(async |app| {
        let acme = acme(&app).await;
        let id = acme.to_string();
        let rows = as_json(&told(&tenant(&app, &["preview", &id, "--json"]).await))["totalRows"].clone();
        let mut first = command(&app, &["delete", &id, "--confirm-name", "Acme"]);
        first.env("TENANT_GATEWAY_FAULT", "plan.adopted=stop").stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut first = first.spawn().expect("the program");
        until_it_stands_still(&mut first).await;
        // So that it cannot end before it hears of the signal.
        let holder = app.database.begin().await.expect("a transaction");
        let hold = "UPDATE tenants SET plan = 'held' WHERE id = $1";
        let hold = Statement::from_sql_and_values(app.backend(), hold, [acme.into()]);
        sea_orm::ConnectionTrait::execute_raw(&holder, hold).await.expect("a held row");
        send("-INT", &first);
        send("-CONT", &first);
        let (pid, ended) = (first.id().to_string(), || first.wait_with_output().expect("an end"));
        let ended = tokio::time::timeout(Duration::from_secs(30), tokio::task::spawn_blocking(ended)).await;
        if ended.is_err() {
            let _ = Command::new("kill").args(["-KILL", &pid]).status();
        }
        let ended = ended.expect("an end in time").expect("an output");
        holder.rollback().await.expect("an end");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{said}");
        assert!(said.contains("interrupted") && said.contains("tenant resume"), "{said}");
        assert_eq!(status_of(&app, acme).await.as_deref(), Some("deleting"));
        let open = as_json(&told(&tenant(&app, &["status", &id, "--json"]).await));
        assert_eq!(open["status"], "ERASING");

        let word = if app.backend() == DbBackend::Sqlite { "resume" } else { "delete" };
        let name = if word == "delete" { &["--confirm-name", "Acme"][..] } else { &[] };
        let again = tenant(&app, &[&[word, &id, "--json"], name].concat()).await;
        let deletion = as_json(&told(&again));
        assert_eq!((&deletion["status"], &deletion["id"]), (&json!("DELETED"), &open["id"]));
        assert_eq!(deletion["progress"]["rowsErased"], rows);
    })
    .await;
}

#[tokio::test]
async fn what_blocks_is_told_and_then_resumed() {
    on_both(async |app| {
        let acme = acme(&app).await;
        let id = acme.to_string();
        let (keep, free) = if app.backend() == DbBackend::Sqlite {
            (
                "CREATE TRIGGER keep BEFORE DELETE ON workflows BEGIN SELECT RAISE(IGNORE); END",
                "DROP TRIGGER keep",
            )
        } else {
            app.sql(
                "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
                [],
            )
            .await;
            (
                "CREATE TRIGGER keep BEFORE DELETE ON workflows FOR EACH ROW EXECUTE FUNCTION keep()",
                "DROP TRIGGER keep ON workflows",
            )
        };
        app.sql(keep, []).await;
        let blocked = tenant(&app, &["delete", &id, "--confirm-name", "Acme", "--json"]).await;
        let said = String::from_utf8_lossy(&blocked.stderr);
        assert_eq!(blocked.status.code(), Some(1), "{said}");
        let last = said.lines().last().expect("a line");
        assert!(last.starts_with("error: ") && last.contains("ROWS_REMAIN"), "{said}");
        let deletion = as_json(&String::from_utf8_lossy(&blocked.stdout));
        let resume = format!("tenant resume {}", deletion["id"].as_str().expect("an id"));
        assert!(last.contains(&resume), "{said}");
        assert_eq!(deletion["status"], "BLOCKED");
        assert!(told(&tenant(&app, &["status", &id]).await).contains("in the way"));
        app.sql(free, []).await;
        let resumed = as_json(&told(&tenant(&app, &["resume", &id, "--json"]).await));
        assert_eq!((&resumed["status"], &resumed["id"]), (&json!("DELETED"), &deletion["id"]));
        assert_eq!(status_of(&app, acme).await, None);
    })
    .await;
}

/// The gateway's own options say what the schema does not.
#[tokio::test]
async fn options_settle_a_gap() {
    on_both(async |app| {
        let acme = acme(&app).await;
        let kind = if app.backend() == DbBackend::Sqlite { "blob" } else { "uuid" };
        app.sql(&format!("CREATE TABLE audit (n integer PRIMARY KEY, tenant_id {kind})"), []).await;
        app.sql("INSERT INTO audit VALUES (1, $1)", [acme.into()]).await;
        let id = acme.to_string();
        let preview = async |options: &[&str]| {
            as_json(&told(&tenant(&app, &[&["preview", &id, "--json"], options].concat()).await))
        };
        let open = preview(&[]).await;
        assert_eq!(open["gaps"][0]["table"], "audit");
        let people = told(&tenant(&app, &["preview", &id]).await);
        assert!(people.contains("audit.tenant_id: ") && people.contains("remedy: "), "{people}");
        let name = ["delete", &id, "--confirm-name", "Acme", "--json"];
        refuses(&tenant(&app, &name).await, "PLAN_INCOMPLETE: ");
        let ignored = preview(&["--cascade-ignore", "audit"]).await;
        assert_eq!((&ignored["gaps"], &ignored["totalRows"]), (&json!([]), &open["totalRows"]));
        let rows = open["totalRows"].as_i64().expect("a number");
        let own = ["--cascade-own", "audit.tenant_id"];
        assert_eq!(preview(&own).await["totalRows"], rows + 1);
        for wrong in ["nothing.tenant_id", "audit.nothing"] {
            refuses(&tenant(&app, &["preview", &id, "--cascade-own", wrong]).await, "does not exist");
        }
        let deletion = as_json(&told(&tenant(&app, &[&name[..], &own].concat()).await));
        assert_eq!(deletion["progress"]["rowsErased"], rows + 1);
        assert_eq!(app.number("SELECT count(*) FROM audit", []).await, 0);
    })
    .await;
}
