//! What a deletion would erase, without erasing it.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Deletions, entry::Entry};
use crate::{
    cascade::{self, Counted, Gap, Objects, Plan},
    database::Error,
};

/// The tables that tell who is active.
const ACTIVITY: [&str; 2] = ["sessions", "calls"];

/// Counts of everything in the plan, all from one snapshot.
#[derive(Clone, Debug)]
pub struct Preview {
    /// Rows by table, in the order of erasure.
    pub tables: Vec<Counted>,
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

impl Deletions {
    /// What a deletion of the tenant would erase now. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error`].
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn preview(&self, tenant: Uuid) -> Result<Preview, Error> {
        let Entry { database, reader, clock, cascade: settings } = &self.entry;
        let as_of = clock.now();
        let snapshot = database.snapshot().await?;
        cascade::see_all(&snapshot).await?;
        let mut plan = cascade::plan(&snapshot, settings).await?;
        plan.gaps.extend(cascade::crossings(&snapshot, &plan, tenant).await?);
        let tables = cascade::estimate(&snapshot, &plan, tenant).await?;
        let objects = cascade::estimate_objects(&snapshot, &plan, tenant).await?;
        let (active_sessions, active_calls) =
            if note_uncounted(&mut plan) { (0, 0) } else { reader.activity(&snapshot, tenant).await? };
        snapshot.commit().await?;
        let plan_digest = plan.digest();
        Ok(Preview { tables, objects, gaps: plan.gaps, active_sessions, active_calls, plan_digest, as_of })
    }
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
