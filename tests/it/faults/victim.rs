//! A tenant with rows in every table and objects in storage, what is known of it before, and what must be true of
//! it and of all others after.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use sea_orm::{DbBackend, Value as Bound};
use serde_json::{Value, json};
use tenant_gateway::clock::Clock;
use uuid::Uuid;

use super::process::DEADLINE;
use crate::{
    deletion::OWNED,
    support::{Rows, TenantRow, TestApp},
};

const DELETE: &str = "mutation ($input: DeleteTenantInput!) { deleteTenant(input: $input) {
    deletion { id status } userErrors { code message } } }";
const DELETION: &str = "query ($id: ID!) { tenantDeletion(tenantId: $id) { id status isForced
    block { code message during since } certificate { document sha256 signature keyId }
    progress { rowsPlanned rowsErased objectsErased bytesErased tables { name rowsErased } } } }";

/// A tenant that is to be erased.
pub struct Victim {
    pub id: Uuid,
    /// Rows by table.
    pub rows: BTreeMap<String, i64>,
    /// Objects that are to be removed, and their bytes.
    pub objects: i64,
    pub bytes: i64,
    /// The month of all its calls, and how many: each lasts a minute and costs 7 cents.
    month: String,
    calls: i64,
}

/// The document to ask for a deletion with, and the input of a small tenant's.
pub fn request(tenant: Uuid, extra: &Value) -> (&'static str, Value) {
    let mut input = json!({ "tenantId": tenant, "confirmName": "Acme" });
    input.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
    (DELETE, json!({ "input": input }))
}

/// Asks for a deletion of a tenant; nobody of this process works on it.
pub async fn ask(app: &TestApp, tenant: Uuid, extra: Value) -> Value {
    let (document, variables) = request(tenant, &extra);
    app.admin(document, variables).await["deleteTenant"].clone()
}

/// Its newest deletion.
pub async fn deletion_of(app: &TestApp, tenant: Uuid) -> Value {
    app.admin(DELETION, json!({ "id": tenant })).await["tenantDeletion"].clone()
}

/// Waits until its newest deletion is as it should be; returns that. Looks seldom: who asks often is somebody else at
/// work, for whom erasing steps aside.
pub async fn until(app: &TestApp, tenant: Uuid, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let deletion = deletion_of(app, tenant).await;
        if is_so(&deletion) {
            return deletion;
        }
        assert!(begun.elapsed() < DEADLINE, "never {what}: {deletion}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

/// Waits until its newest deletion has a status.
pub async fn until_status(app: &TestApp, tenant: Uuid, status: &str) -> Value {
    until(app, tenant, status, |deletion| deletion["status"] == status).await
}

impl Victim {
    /// About four rows for each of `calls`, and one object for each fiftieth; some objects that no row names; a
    /// row that names an object that is not there.
    pub async fn new(app: &TestApp, calls: u32) -> Self {
        let tenant = app.tenant(TenantRow::default()).await;
        app.platform(tenant).await;
        // The processes go by the machine's clock.
        let now = Clock::system().now();
        let at = entity::timestamp::value(app.backend(), now);
        fill(app, tenant, calls, &at).await;
        let named = i64::from(calls / 50);
        let objects = "UPDATE call_recordings SET storage_key = 'tenants/' || $2 || '/recordings/' || \
             (SELECT count(*) FROM call_recordings r WHERE r.tenant_id = $1 AND r.id < call_recordings.id) \
             WHERE tenant_id = $1";
        app.sql(objects, [tenant.into(), tenant.to_string().into()]).await;
        for number in 0..named {
            put(app, &format!("tenants/{tenant}/recordings/{number}"), 5).await;
        }
        put(app, &format!("tenants/{tenant}/files/faq.txt"), 7).await;
        for name in ["exports/a", "exports/b", "lost"] {
            put(app, &format!("tenants/{tenant}/{name}"), 11).await;
        }
        app.fold().await;
        let rows = rows_of(app, tenant).await;
        assert!(rows["usage_days"] > 0 && rows["call_recordings"] == named + 1, "{rows:?}");
        Self {
            id: tenant,
            rows,
            // The recording that is not there was one more to remove.
            objects: named + 1 + 1 + 3,
            bytes: 5 * (named + 1) + 7 + 3 * 11,
            month: now.format("%Y-%m").to_string(),
            calls: i64::from(calls),
        }
    }

    /// A grace period that is over for everybody who goes by the machine's clock.
    pub async fn is_due(&self, app: &TestApp) {
        let payload = ask(app, self.id, json!({ "graceSeconds": 1 })).await;
        assert_eq!(payload["deletion"]["status"], "SCHEDULED", "{payload}");
    }

    /// The deletion has ended, nothing of the tenant is left, and the certificate tells exactly what was there,
    /// with so many rows more in some tables. Returns what certificates of like tenants have in common.
    pub async fn is_gone_with(&self, app: &TestApp, late: &BTreeMap<String, i64>) -> Value {
        let deletion = until_status(app, self.id, "DELETED").await;
        assert_eq!(deletion["block"], Value::Null, "{deletion}");
        assert!(rows_of(app, self.id).await.values().all(|rows| *rows == 0));
        let certificate = &deletion["certificate"];
        let mut document: Value =
            serde_json::from_str(certificate["document"].as_str().expect("a document")).expect("JSON");
        let mut expected = self.rows.clone();
        for (table, rows) in late {
            *expected.entry(table.clone()).or_default() += rows;
        }
        let tables = document["tables"].as_array().expect("tables");
        let told: BTreeMap<_, _> = tables
            .iter()
            .map(|table| (table["name"].as_str().expect("a name").to_owned(), number(&table["rowsErased"])))
            .collect();
        assert_eq!(told.len(), tables.len(), "no table is told twice: {document}");
        assert_eq!(told, expected, "rows in the certificate, and rows that were there");
        assert_eq!(number(&document["objectsErased"]), self.objects, "{document}");
        assert_eq!(number(&document["bytesErased"]), self.bytes, "{document}");
        let month = &document["finalMonth"];
        let calls = if month["month"] == self.month { self.calls } else { 0 };
        assert_eq!(number(&month["calls"]), calls, "{document}");
        assert_eq!(number(&month["totalDurationSeconds"]), calls * 60, "{document}");
        assert_eq!(number(&month["usageCents"]), calls * 7, "{document}");
        self.has_no_objects(app);
        let of_its_own = ["deletionId", "tenantId", "requestedAt", "startedAt", "finishedAt", "finalMonth"];
        document.as_object_mut().expect("an object").retain(|name, _| !of_its_own.contains(&name.as_str()));
        document
    }

    /// The same, with no row that came in late.
    pub async fn is_gone(&self, app: &TestApp) -> Value {
        self.is_gone_with(app, &BTreeMap::new()).await
    }

    /// The rows of one table that the certificate tells.
    pub async fn table_in_certificate(&self, app: &TestApp, name: &str) -> i64 {
        let deletion = deletion_of(app, self.id).await;
        let document = deletion["certificate"]["document"].as_str().expect("a document");
        let document: Value = serde_json::from_str(document).expect("JSON");
        let tables = document["tables"].as_array().expect("tables").iter();
        tables.filter(|table| table["name"] == name).map(|table| number(&table["rowsErased"])).sum()
    }

    fn has_no_objects(&self, app: &TestApp) {
        let directory = app.objects.path().join(format!("tenants/{}", self.id));
        assert!(!directory.exists(), "objects are left in {}", directory.display());
    }
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("{value} is no number"))
}

async fn put(app: &TestApp, key: &str, bytes: usize) {
    app.storage.put(key, vec![b'x'; bytes]).await.expect("an object");
}

/// Calls that are over, sessions, log lines and transcripts; a recording of each fiftieth call.
async fn fill(app: &TestApp, tenant: Uuid, calls: u32, at: &Bound) {
    let agent: Uuid = app.rows("SELECT id FROM agents WHERE tenant_id = $1", [tenant.into()]).await[0]
        .try_get_by_index(0)
        .expect("an agent");
    // The one of the platform's has a time, a duration and a cost of its own.
    app.sql("DELETE FROM calls WHERE tenant_id = $1", [tenant.into()]).await;
    let (id, numbers) = match app.backend() {
        DbBackend::Sqlite => (
            "randomblob(16)",
            format!(
                "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {calls}) SELECT i FROM n) n"
            ),
        ),
        _ => ("gen_random_uuid()", format!("generate_series(1, {calls}) n(i)")),
    };
    let time = if app.backend() == DbBackend::Sqlite { "$3" } else { "CAST($3 AS timestamptz)" };
    let sql = format!(
        "INSERT INTO calls (tenant_id, id, agent_id, direction, status, started_at, ended_at, duration_seconds, \
         cost_cents) SELECT $1, {id}, $2, 'inbound', 'completed', {time}, {time}, 60, 7 FROM {numbers}"
    );
    app.sql(&sql, [tenant.into(), agent.into(), at.clone()]).await;
    for sql in [
        format!(
            "INSERT INTO call_transcripts (tenant_id, id, call_id) SELECT tenant_id, {id}, id FROM calls WHERE tenant_id = $1"
        ),
        format!(
            "INSERT INTO call_recordings (tenant_id, id, call_id, storage_key, size_bytes) \
             SELECT tenant_id, {id}, id, 'none', 5 FROM calls WHERE tenant_id = $1 LIMIT {}",
            calls / 50 + 1
        ),
        format!(
            "INSERT INTO activity_logs (tenant_id, id, actor, action) SELECT $1, {id}, 'a person', 'did it' FROM {numbers}"
        ),
        format!("INSERT INTO workflows (tenant_id, id, name) SELECT $1, {id}, 'after call' FROM {numbers}"),
    ] {
        app.sql(&sql, [tenant.into()]).await;
    }
}

/// How many rows a tenant has, by table.
pub async fn rows_of(app: &TestApp, tenant: Uuid) -> BTreeMap<String, i64> {
    let mut rows = BTreeMap::new();
    for (table, column) in OWNED {
        let sql = format!("SELECT count(*) FROM {table} WHERE {column} = $1");
        rows.insert(table.to_owned(), app.number(&sql, [tenant.into()]).await);
    }
    rows
}

/// Somebody who must not notice: every column of every row, and every object.
pub struct Bystander {
    id: Uuid,
    before: BTreeMap<String, String>,
    objects: BTreeSet<String>,
}

impl Bystander {
    pub async fn new(app: &TestApp) -> Self {
        let other = Victim::new(app, 50).await;
        let before = everything(app, other.id).await;
        let objects = objects(app, other.id);
        assert!(before.values().filter(|rows| !rows.is_empty()).count() > 12 && objects.len() > 4);
        Self { id: other.id, before, objects }
    }

    pub async fn has_not_noticed(&self, app: &TestApp) {
        assert_eq!(everything(app, self.id).await, self.before, "another tenant's rows changed");
        assert_eq!(objects(app, self.id), self.objects, "another tenant's objects changed");
        let orphans = "SELECT count(*) FROM calls c WHERE NOT EXISTS (SELECT 1 FROM tenants t WHERE t.id = c.tenant_id)";
        assert_eq!(app.number(orphans, []).await, 0);
    }
}

fn objects(app: &TestApp, tenant: Uuid) -> BTreeSet<String> {
    let (mut found, mut open) = (BTreeSet::new(), vec![app.objects.path().join(format!("tenants/{tenant}"))]);
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else {
                let bytes = std::fs::read(&path).expect("an object").len();
                found.insert(format!("{} {bytes}", path.display()));
            }
        }
    }
    found
}

async fn everything(app: &TestApp, tenant: Uuid) -> BTreeMap<String, String> {
    let mut tables = BTreeMap::new();
    for (table, column) in OWNED {
        let (row, join) = match app.backend() {
            DbBackend::Sqlite => {
                let columns = app.rows("SELECT name FROM pragma_table_info($1)", [table.into()]).await;
                let quoted: Vec<_> = columns
                    .iter()
                    .map(|row| format!("quote({})", row.try_get_by_index::<String>(0).expect("a name")))
                    .collect();
                (format!("concat_ws('|', {})", quoted.join(", ")), "group_concat")
            }
            _ => ("t::text".to_owned(), "string_agg"),
        };
        let sql = format!(
            "SELECT coalesce({join}(line, ';'), '') FROM \
             (SELECT {row} AS line FROM {table} t WHERE {column} = $1 ORDER BY 1) l"
        );
        let text = app.rows(&sql, [tenant.into()]).await[0].try_get_by_index(0).expect("text");
        tables.insert(table.to_owned(), text);
    }
    tables
}
