//! Rows that a test puts into the database, as the platform's own services would.

use chrono::{DateTime, Utc};
use entity::timestamp;
use sea_orm::Value;
use uuid::Uuid;

use super::{TestApp, noon};

/// A new id.
pub fn id() -> Uuid {
    Uuid::now_v7()
}

/// A tenant; take what does not matter from `default()`.
#[derive(Clone, Debug)]
pub struct TenantRow {
    pub id: Uuid,
    pub name: String,
    pub status: String,
    pub time_zone: String,
    pub monthly_call_limit: Option<i32>,
    pub max_concurrent_calls: Option<i32>,
    pub created_at: DateTime<Utc>,
}

impl Default for TenantRow {
    fn default() -> Self {
        Self {
            id: id(),
            name: "Acme".to_owned(),
            status: "active".to_owned(),
            time_zone: "UTC".to_owned(),
            monthly_call_limit: None,
            max_concurrent_calls: None,
            created_at: noon(),
        }
    }
}

/// An agent.
#[derive(Clone, Debug)]
pub struct Agent {
    pub tenant: Uuid,
    pub id: Uuid,
}

/// A call; take what does not matter from [`Call::of`].
#[derive(Clone, Debug)]
pub struct Call {
    pub tenant: Uuid,
    pub id: Uuid,
    pub agent: Uuid,
    pub status: String,
    pub started_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    pub duration_seconds: Option<i32>,
    pub sentiment_score: Option<f64>,
    pub cost_cents: i64,
}

impl Call {
    /// A call that started and ended at once, without duration, score or cost.
    pub fn of(agent: &Agent, started_at: DateTime<Utc>) -> Self {
        Self {
            tenant: agent.tenant,
            id: id(),
            agent: agent.id,
            status: "completed".to_owned(),
            started_at,
            ended_at: Some(started_at),
            duration_seconds: None,
            sentiment_score: None,
            cost_cents: 0,
        }
    }
}

/// A session; take what does not matter from [`Session::of`].
#[derive(Clone, Debug)]
pub struct Session {
    pub tenant: Uuid,
    pub id: Uuid,
    pub started_at: DateTime<Utc>,
    pub last_seen_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
}

impl Session {
    /// An open chat without a further sign of life.
    pub fn of(tenant: Uuid, started_at: DateTime<Utc>) -> Self {
        Self { tenant, id: id(), started_at, last_seen_at: None, ended_at: None }
    }
}

/// Puts rows into a test's database.
pub trait Rows {
    async fn tenant(&self, row: TenantRow) -> Uuid;
    async fn agent(&self, tenant: Uuid) -> Agent;
    async fn call(&self, row: &Call);
    async fn session(&self, row: &Session);
    /// Rows in every table that a tenant can own. Nothing of it is active.
    async fn platform(&self, tenant: Uuid);
}

impl TestApp {
    fn instant(&self, instant: DateTime<Utc>) -> Value {
        timestamp::value(self.backend(), instant)
    }

    fn maybe(&self, instant: Option<DateTime<Utc>>) -> Value {
        match instant {
            Some(instant) => self.instant(instant),
            None if self.backend() == sea_orm::DbBackend::Sqlite => Value::String(None),
            None => Value::ChronoDateTimeUtc(None),
        }
    }
}

impl Rows for TestApp {
    async fn tenant(&self, row: TenantRow) -> Uuid {
        let created_at = self.instant(row.created_at);
        self.sql(
            "INSERT INTO tenants (id, name, status, time_zone, monthly_call_limit, max_concurrent_calls, \
             created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            [
                row.id.into(),
                row.name.into(),
                row.status.into(),
                row.time_zone.into(),
                row.monthly_call_limit.into(),
                row.max_concurrent_calls.into(),
                created_at.clone(),
                created_at,
            ],
        )
        .await;
        row.id
    }

    async fn agent(&self, tenant: Uuid) -> Agent {
        let agent = Agent { tenant, id: id() };
        self.sql(
            "INSERT INTO agents (tenant_id, id, name, status, created_at) VALUES ($1, $2, 'Ada', 'active', $3)",
            [tenant.into(), agent.id.into(), self.instant(noon())],
        )
        .await;
        agent
    }

    async fn call(&self, row: &Call) {
        self.sql(
            "INSERT INTO calls (tenant_id, id, agent_id, direction, status, started_at, ended_at, \
             duration_seconds, sentiment_score, cost_cents) \
             VALUES ($1, $2, $3, 'inbound', $4, $5, $6, $7, $8, $9)",
            [
                row.tenant.into(),
                row.id.into(),
                row.agent.into(),
                row.status.clone().into(),
                self.instant(row.started_at),
                self.maybe(row.ended_at),
                row.duration_seconds.into(),
                row.sentiment_score.into(),
                row.cost_cents.into(),
            ],
        )
        .await;
    }

    async fn session(&self, row: &Session) {
        self.sql(
            "INSERT INTO sessions (tenant_id, id, channel, started_at, last_seen_at, ended_at) \
             VALUES ($1, $2, 'chat', $3, $4, $5)",
            [
                row.tenant.into(),
                row.id.into(),
                self.instant(row.started_at),
                self.maybe(row.last_seen_at),
                self.maybe(row.ended_at),
            ],
        )
        .await;
    }

    async fn platform(&self, tenant: Uuid) {
        let agent = self.agent(tenant).await;
        let call = Call::of(&agent, noon());
        self.call(&call).await;
        let (squad, trunk) = (id(), id());
        let t = || Value::from(tenant);
        let statements: [(&str, Vec<Value>); 12] = [
            (
                "INSERT INTO call_recordings (tenant_id, id, call_id, storage_key, size_bytes) VALUES ($1, $2, $3, $4, 5)",
                vec![t(), id().into(), call.id.into(), format!("tenants/{tenant}/recordings/a.wav").into()],
            ),
            (
                "INSERT INTO call_transcripts (tenant_id, id, call_id) VALUES ($1, $2, $3)",
                vec![t(), id().into(), call.id.into()],
            ),
            (
                "INSERT INTO sessions (tenant_id, id, agent_id, call_id, channel, started_at, ended_at) \
                 VALUES ($1, $2, $3, $4, 'phone', $5, $5)",
                vec![t(), id().into(), agent.id.into(), call.id.into(), self.instant(noon())],
            ),
            (
                "INSERT INTO workflows (tenant_id, id, name) VALUES ($1, $2, 'after call')",
                vec![t(), id().into()],
            ),
            (
                "INSERT INTO integrations (tenant_id, id, provider) VALUES ($1, $2, 'crm')",
                vec![t(), id().into()],
            ),
            (
                "INSERT INTO knowledge_files (tenant_id, id, name, storage_key, size_bytes) VALUES ($1, $2, 'faq', $3, 7)",
                vec![t(), id().into(), format!("tenants/{tenant}/files/faq.txt").into()],
            ),
            (
                "INSERT INTO activity_logs (tenant_id, id, actor, action) VALUES ($1, $2, 'a person', 'signed in')",
                vec![t(), id().into()],
            ),
            ("INSERT INTO sip_trunks (tenant_id, id, name) VALUES ($1, $2, 'main')", vec![t(), trunk.into()]),
            (
                "INSERT INTO phone_numbers (tenant_id, id, trunk_id, number) VALUES ($1, $2, $3, '+4930123456')",
                vec![t(), id().into(), trunk.into()],
            ),
            (
                "INSERT INTO squads (tenant_id, id, name) VALUES ($1, $2, 'front desk')",
                vec![t(), squad.into()],
            ),
            (
                "INSERT INTO squad_members (tenant_id, id, squad_id, agent_id) VALUES ($1, $2, $3, $4)",
                vec![t(), id().into(), squad.into(), agent.id.into()],
            ),
            ("UPDATE tenants SET plan = 'growth' WHERE id = $1", vec![t()]),
        ];
        for (sql, values) in statements {
            self.sql(sql, values).await;
        }
    }
}
