//! What a deletion would erase, without erasing it.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    cascade::{self, Gap, Objects, Plan, TableName},
    database::{Database, Error},
    usage,
};

/// The tables that tell who is active.
const ACTIVITY: [&str; 2] = ["sessions", "calls"];

/// Counts of everything in the plan, all from one snapshot.
#[derive(Clone, Debug)]
pub struct Preview {
    /// Rows by table, in the order of erasure.
    pub tables: Vec<(TableName, i64)>,
    /// Objects that these rows name in storage.
    pub objects: Objects,
    /// What keeps the tenant from being erased.
    pub gaps: Vec<Gap>,
    /// Sessions with a recent sign of life; 0 where a gap says that they could not be counted.
    pub active_sessions: i64,
    /// Calls going on; 0 likewise.
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
    cascade::see_all(&snapshot).await?;
    let mut plan = cascade::plan(&snapshot, &cascade::Settings::default()).await?;
    let tables = cascade::count(&snapshot, &plan, tenant).await?;
    let objects = cascade::objects(&snapshot, &plan, tenant).await?;
    let (active_sessions, active_calls) =
        if note_uncounted(&mut plan) { (0, 0) } else { reader.activity(&snapshot, tenant).await? };
    snapshot.commit().await?;
    let plan_digest = plan.digest();
    Ok(Preview { tables, objects, gaps: plan.gaps, active_sessions, active_calls, plan_digest, as_of })
}

/// Says so in the gap of each table that tells who is active and that the gateway cannot see. Returns
/// whether there is one.
fn note_uncounted(plan: &mut Plan) -> bool {
    let mut noted = false;
    for table in ACTIVITY.into_iter().filter(|table| !plan.sees(table)).collect::<Vec<_>>() {
        if let Some(gap) = plan.gaps.iter_mut().find(|gap| gap.table == table) {
            gap.note = Some("active sessions and calls could not be counted and are told as 0");
            noted = true;
        }
    }
    noted
}
