//! Rows that come in while their tenant is being erased, into tables that nothing keeps them out of.
//!
//! A batch that deletes the rows they refer to would take them along uncounted, by `CASCADE`, or leave
//! them with a reference to nothing. So they go first, in the same transaction, and are counted.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend};
use uuid::Uuid;

use super::{
    Plan, Step, TableName,
    catalogue::{Catalogue, ForeignKey},
    circle::Order,
    doubt::carries_tenant,
    gone::{self, Gone},
    stretch::{Only, Stretch, sql_of},
    way::{Hop, Route, Ways},
};
use crate::database;

/// Late rows of one deletion's one batch that one statement takes.
const AT_ONCE: u64 = 1_000;

/// Rows that hang below those of a step.
#[derive(Clone, Debug)]
pub(super) struct Late {
    /// From the step's table down to theirs.
    hops: Vec<Hop>,
    table: TableName,
    /// The column to set to null, where that is enough.
    column: Option<String>,
}

/// Finds, for each step, the tables that late rows can come into, the lowest first; and whether nothing at all can
/// refer to its rows when its turn comes.
pub(super) fn find(catalogue: &Catalogue, order: &Order, ways: &Ways, steps: &mut [Step]) {
    for step in steps.iter_mut() {
        // Somebody else's trigger deletes whatever it likes, and relies on keys for the rest.
        let runs_others = catalogue.table(&step.table).is_none_or(|table| table.runs_others);
        let mut keys = catalogue.keys.iter().filter(|key| key.parent == step.table && !key.is_implied);
        step.is_unreferred = !runs_others
            && keys.all(|key| {
                // A fence keeps out rows of the tenant: only by a key that carries it, these are all that can refer.
                let is_fenced = catalogue.table(&key.child).is_some_and(|table| table.is_fenced);
                let is_kept = key.child != key.parent && order.kept.iter().any(|kept| kept.is(key));
                is_fenced && is_kept && carries_tenant(key, ways)
            });
    }
    let below_root = steps.iter_mut().filter(|step| step.erases() && !step.table.is_root());
    for step in below_root.filter(|step| step.together.is_empty()) {
        let mut found = Vec::new();
        below(catalogue, order, &step.table, &[], &mut found);
        step.late = found;
    }
}

fn below(catalogue: &Catalogue, order: &Order, parent: &TableName, above: &[Hop], found: &mut Vec<Late>) {
    let broken = order.broken.iter().map(|(key, column)| (key, Some(column.clone())));
    let kept = order.kept.iter().map(|key| (key, None));
    let leading = |key: &ForeignKey| {
        key.parent == *parent
            && !key.is_implied
            && !key.child.is_root()
            && catalogue.table(&key.child).is_some_and(|table| !table.is_fenced)
    };
    for (key, column) in broken.chain(kept).filter(|(key, _)| leading(key)) {
        let mut hops = above.to_vec();
        hops.push(Hop {
            parent_columns: key.parent_columns.clone(),
            child: key.child.clone(),
            columns: key.child_columns.clone(),
            is_indexed: catalogue
                .table(&key.child)
                .is_some_and(|table| table.is_indexed_by(&key.child_columns)),
        });
        if column.is_none() {
            below(catalogue, order, &key.child, &hops, found);
        }
        found.push(Late { hops, table: key.child.clone(), column });
    }
}

/// Deletes the late rows below a stretch of a step; holds the rows of the stretch first, so that no more
/// come in. Returns what went, by table.
pub(super) async fn take(
    transaction: &DatabaseTransaction,
    plan: &Plan,
    step: &Step,
    stretch: Stretch<'_>,
    tenant: Uuid,
    deletion: Uuid,
) -> Result<Vec<(TableName, Gone)>, database::Error> {
    let mut taken = Vec::new();
    if step.late.is_empty() {
        return Ok(taken);
    }
    let backend = transaction.get_database_backend();
    if backend == DbBackend::Postgres {
        let mut sql = sql_of(backend, tenant);
        let condition = stretch.rows_of(&mut sql, step, Only::All, AT_ONCE)?;
        let held = format!("SELECT 1 FROM {} WHERE {condition} FOR UPDATE", step.table.quoted());
        gone::number(transaction, sql, &format!("SELECT count(*) AS n FROM ({held}) s")).await?;
    }
    for late in &step.late {
        let Some(erasing) = plan.erasing_from(&late.table) else { continue };
        let mut route: Route = stretch.route.clone();
        route.hops.extend(late.hops.iter().cloned());
        let below = Stretch { route: &route, ..stretch };
        let mut total = Gone::default();
        loop {
            let mut sql = sql_of(backend, tenant);
            let only = late.column.as_deref().map_or(Only::All, Only::Set);
            let condition = below.rows_of(&mut sql, erasing, only, AT_ONCE)?;
            let gone = match &late.column {
                Some(column) => gone::set_null(transaction, erasing, sql, column, &condition).await?,
                None => gone::delete(transaction, erasing, sql, &condition, deletion).await?,
            };
            total += gone;
            if gone.rows < AT_ONCE {
                break;
            }
        }
        if late.column.is_none() && total.rows > 0 {
            taken.push((late.table.clone(), total));
        }
    }
    Ok(taken)
}
