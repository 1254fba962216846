//! What a deletion would erase, without erasing it.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbBackend};
use uuid::Uuid;

use crate::{
    cascade::{self, Gap, Objects, TableName},
    database::{Database, Error},
    usage,
};

/// Counts of everything in the plan, all from one snapshot.
#[derive(Clone, Debug)]
pub struct Preview {
    /// Rows by table, in the order of erasure.
    pub tables: Vec<(TableName, i64)>,
    /// Objects that these rows name in storage.
    pub objects: Objects,
    /// What keeps the tenant from being erased.
    pub gaps: Vec<Gap>,
    /// Sessions with a recent sign of life.
    pub active_sessions: i64,
    /// Calls going on.
    pub active_calls: i64,
    /// Names the plan.
    pub plan_digest: String,
    /// The instant of the snapshot.
    pub as_of: DateTime<Utc>,
}

/// Previews the deletion of a tenant. Changes nothing.
///
/// # Errors
///
/// [`Error`].
pub async fn preview(
    database: &Database,
    reader: &usage::Reader,
    tenant: Uuid,
    as_of: DateTime<Utc>,
) -> Result<Preview, Error> {
    let snapshot = database.snapshot().await?;
    if database.backend() == DbBackend::Postgres {
        snapshot.execute_unprepared("SET LOCAL row_security = off").await?;
    }
    let plan = cascade::plan(&snapshot).await?;
    let tables = cascade::count(&snapshot, &plan, tenant).await?;
    let objects = cascade::objects(&snapshot, &plan, tenant).await?;
    let (active_sessions, active_calls) = reader.activity(&snapshot, tenant).await?;
    snapshot.commit().await?;
    let plan_digest = plan.digest();
    Ok(Preview { tables, objects, gaps: plan.gaps, active_sessions, active_calls, plan_digest, as_of })
}
