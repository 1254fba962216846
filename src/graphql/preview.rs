//! `DeletionPreview`.

use async_graphql::{ID, SimpleObject};

use super::{
    error::Fault,
    scalar::{DateTime, Int64},
    stats::{int, int64},
};
use crate::deletion::Preview;

/// What a deletion of the tenant would erase now, from one snapshot of the database. Reading it
/// changes nothing.
#[derive(Clone, Debug, SimpleObject)]
pub struct DeletionPreview {
    /// The tenant that would be erased.
    tenant_id: ID,
    /// Every table with rows of tenants, in the order of erasure: children before their parents.
    tables: Vec<PlannedTable>,
    /// Rows in all of these tables.
    total_rows: Int64,
    /// Objects, such as recordings, that these rows name in storage.
    object_count: Int64,
    /// Bytes of these objects, as the rows say.
    object_bytes: Int64,
    /// What keeps the tenant from being erased. Empty: nothing does.
    gaps: Vec<PlanGap>,
    /// Sessions with a recent sign of life; with any, a deletion needs `force`. 0 also when they could
    /// not be counted: a gap says so then.
    active_sessions: i32,
    /// Calls going on; with any, a deletion needs `force`. 0 also when they could not be counted: a gap
    /// says so then.
    active_calls: i32,
    /// Names this plan: pass it to `deleteTenant` to be sure that nothing else is erased.
    plan_digest: String,
    /// The instant of the snapshot.
    as_of: DateTime,
}

/// One table of the plan.
#[derive(Clone, Debug, SimpleObject)]
pub struct PlannedTable {
    /// The table.
    name: String,
    /// The tenant's rows in it.
    row_count: Int64,
    /// Whether the rows were counted one by one; false where a huge table was estimated.
    is_exact: bool,
}

/// Something that cannot be erased safely. While there is one, `deleteTenant` refuses.
#[derive(Clone, Debug, SimpleObject)]
pub struct PlanGap {
    /// The table, or materialised view.
    table: String,
    /// The column, where one column is the matter.
    column: Option<String>,
    /// What is wrong.
    reason: String,
    /// What closes it.
    remedy: String,
}

impl DeletionPreview {
    pub(super) fn new(tenant_id: ID, preview: &Preview) -> Result<Self, Fault> {
        let tables = preview
            .tables
            .iter()
            .map(|counted| {
                Ok(PlannedTable {
                    name: counted.table.to_string(),
                    row_count: int64(counted.rows, "rowCount")?,
                    is_exact: counted.is_exact,
                })
            })
            .collect::<Result<_, Fault>>()?;
        let gaps = preview.gaps.iter().map(|gap| PlanGap {
            table: gap.table.clone(),
            column: gap.column.clone(),
            reason: gap.reason(),
            remedy: gap.remedy(),
        });
        Ok(Self {
            tenant_id,
            tables,
            total_rows: int64(preview.tables.iter().map(|counted| counted.rows).sum(), "totalRows")?,
            object_count: int64(preview.objects.count, "objectCount")?,
            object_bytes: int64(preview.objects.bytes, "objectBytes")?,
            gaps: gaps.collect(),
            active_sessions: int(preview.active_sessions, "activeSessions")?,
            active_calls: int(preview.active_calls, "activeCalls")?,
            plan_digest: preview.plan_digest.clone(),
            as_of: DateTime(preview.as_of),
        })
    }
}
