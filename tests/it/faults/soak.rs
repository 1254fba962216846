//! 200 tenants erased by three gateways that are killed at random, while writers go on.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use sea_orm::{ConnectionTrait, Statement};
use serde_json::json;
use tenant_gateway::database::Database;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::{
    process::Gateway,
    victim::{Bystander, Victim, ask, deletion_of},
};
use crate::{
    cli,
    support::{Backend, Rows, TenantRow, TestApp, on},
};

const TENANTS: usize = 200;
const GATEWAYS: usize = 3;
/// After the last request.
const PATIENCE: Duration = Duration::from_mins(5);

/// Rows that got in, by tenant and table.
type Written = Arc<Mutex<HashMap<Uuid, BTreeMap<String, i64>>>>;

fn minutes() -> f64 {
    let minutes = std::env::var("SOAK_MINUTES").unwrap_or_else(|_| "5".to_owned());
    minutes.parse().expect("SOAK_MINUTES is a number")
}

/// Writes to one tenant after the other, whatever comes of it.
async fn writer(
    app: &TestApp,
    tenants: Vec<Uuid>,
    table: &'static str,
    written: Written,
    is_over: Arc<AtomicBool>,
) -> JoinHandle<()> {
    let database = Database::open(&app.database_url).await.expect("the database");
    let sql = match table {
        "notes" => "INSERT INTO notes (tenant_id, id) VALUES ($1, $2)",
        "workflows" => "INSERT INTO workflows (tenant_id, id, name) VALUES ($1, $2, 'late')",
        _ => {
            "INSERT INTO calls (tenant_id, id, agent_id, direction, status, started_at, duration_seconds, cost_cents) \
             SELECT tenant_id, $2, id, 'inbound', 'completed', now(), 3, 5 FROM agents WHERE tenant_id = $1 LIMIT 1"
        }
    };
    tokio::spawn(async move {
        while !is_over.load(Ordering::SeqCst) {
            let tenant = tenants[rand::random_range(0..tenants.len())];
            let values: [sea_orm::Value; 2] = [tenant.into(), Uuid::now_v7().into()];
            let insert = Statement::from_sql_and_values(database.backend(), sql, values);
            let rows = database.connection.execute_raw(insert).await.map_or(0, |done| done.rows_affected());
            if rows > 0 {
                let mut written = written.lock().expect("the count");
                *written.entry(tenant).or_default().entry(table.to_owned()).or_default() += 1;
            }
            tokio::time::sleep(Duration::from_millis(4)).await;
        }
    })
}

/// Kills a gateway now and then, and starts another in its place.
async fn kill_at_random(app: &TestApp, gateways: &mut [Gateway], until: Instant) -> u32 {
    let mut kills = 0;
    while Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(rand::random_range(200..2_500))).await;
        let unlucky = &mut gateways[rand::random_range(0..GATEWAYS)];
        // The old one is killed when the new one takes its place.
        *unlucky = Gateway::start(app, None);
        kills += 1;
    }
    kills
}

async fn ask_one_by_one(app: &TestApp, victims: &[Victim], until: Instant) {
    let step = until.saturating_duration_since(Instant::now()) / u32::try_from(victims.len()).expect("a few");
    for victim in victims {
        victim.is_due(app).await;
        tokio::time::sleep(step).await;
    }
}

#[tokio::test]
#[ignore = "takes minutes: cargo test --test it -- --ignored soak"]
async fn soak() {
    on(Backend::Postgres, async |app| {
        app.sql(
            "CREATE TABLE notes (tenant_id uuid NOT NULL REFERENCES tenants (id), id uuid NOT NULL, PRIMARY KEY (tenant_id, id))",
            [],
        )
        .await;
        let bystander = Bystander::new(&app).await;
        let mut busy = Vec::new();
        for _ in 0..3 {
            let tenant = app.tenant(TenantRow::default()).await;
            app.agent(tenant).await;
            busy.push(tenant);
        }
        let mut victims = Vec::new();
        for number in 0..TENANTS {
            victims.push(Victim::new(&app, if number % 20 == 0 { 1_500 } else { 60 }).await);
        }
        let ids: Vec<_> = victims.iter().map(|victim| victim.id).collect();
        let (written, is_over) = (Written::default(), Arc::new(AtomicBool::new(false)));
        let mut writers = Vec::new();
        for (table, tenants) in [("notes", &ids), ("workflows", &ids), ("calls", &busy)] {
            for _ in 0..2 {
                writers.push(writer(&app, tenants.clone(), table, written.clone(), is_over.clone()).await);
            }
        }
        let end = Instant::now() + Duration::from_secs_f64(minutes() * 60.0);
        let mut gateways: Vec<_> = (0..GATEWAYS).map(|_| Gateway::start(&app, None)).collect();
        let (kills, ()) =
            tokio::join!(kill_at_random(&app, &mut gateways, end), ask_one_by_one(&app, &victims, end));
        let last = Instant::now();
        while app.number("SELECT count(*) FROM tenant_deletions WHERE status <> 'deleted'", []).await > 0 {
            if last.elapsed() > PATIENCE {
                for victim in &victims {
                    let deletion = deletion_of(&app, victim.id).await;
                    assert_eq!(deletion["status"], "DELETED", "{deletion}\n{}", gateways[0].log());
                }
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        is_over.store(true, Ordering::SeqCst);
        for writer in writers {
            writer.await.expect("a writer");
        }
        let written = written.lock().expect("the count").clone();
        let none = BTreeMap::new();
        for victim in &victims {
            let mut late = written.get(&victim.id).unwrap_or(&none).clone();
            late.entry("notes".to_owned()).or_default();
            victim.is_gone_with(&app, &late).await;
            // Asked for again it is the same.
            let again = ask(&app, victim.id, json!({})).await;
            assert_eq!(again["deletion"]["status"], "DELETED", "{again}");
        }
        bystander.has_not_noticed(&app).await;
        drop(gateways);
        for tenant in busy {
            let calls = app.number("SELECT count(*) FROM calls WHERE tenant_id = $1", [tenant.into()]).await;
            assert_eq!(calls, written[&tenant]["calls"]);
        }
        for left in ["notes", "tenant_deletion_objects", "tenant_deletion_ranges", "usage_rebuilds"] {
            assert_eq!(app.number(&format!("SELECT count(*) FROM {left}"), []).await, 0, "{left}");
        }
        let url = app.database_url.clone();
        let verified =
            tokio::task::spawn_blocking(move || cli::run(&["usage", "verify", "--all", "--database-url", &url]));
        let verified = verified.await.expect("an output");
        assert!(verified.status.success(), "{verified:?}");
        eprintln!("{TENANTS} tenants, {kills} kills");
    })
    .await;
}
