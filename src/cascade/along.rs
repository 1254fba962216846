//! Tables whose rows are erased along with the rows that they refer to, stretch by stretch.
//!
//! A foreign key is looked up for every row that goes, and finds whatever its child table held for it, erased or
//! not, until the database has cleared that away. Right behind the child's rows that costs little; after
//! all of them have gone, more than all the rest.
//!
//! On PostgreSQL, that is. SQLite forgets rows at once, and may look a foreign key up by the tenant alone, through
//! whatever the tenant has left in the child table: there all children go first.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, DatabaseTransaction};
use uuid::Uuid;

use super::{
    Plan, Step, TableName,
    catalogue::{Catalogue, ForeignKey, RowName, Table, quote},
    circle::{Order, above},
    gone::{self, Gone},
    key::{self, Key, KeyColumn},
    stretch::{Stretch, sql_of},
    way::{Form, Route},
};
use crate::database::{self, Sql};

/// A stretch of fewer rows than these is short because each of them takes long: it may have very many rows
/// along.
const FEW: u64 = 100;
/// Rows that then go in one batch.
const MOST: u64 = 1_000;

/// A table whose rows go along with those of a step.
#[derive(Clone, Debug)]
pub(super) struct Along {
    pub(super) table: TableName,
    /// The column that holds the tenant's id.
    column: String,
    form: Form,
    /// The columns that hold the key by which the step walks, in its order.
    key: Vec<KeyColumn>,
    /// The columns of that key.
    parent_key: Vec<String>,
}

/// Finds the tables that go along with each step: those that nothing refers to, and that an index leads to from
/// the step's own key. Only the gateway's own tables: it knows that the two sides of a key compare alike there,
/// and that no row comes in between.
pub(super) fn find(catalogue: &Catalogue, order: &Order, steps: &mut [Step]) {
    let mut found: BTreeMap<TableName, Vec<Along>> = BTreeMap::new();
    for child in steps.iter() {
        let keys = order.kept.iter().filter(|key| key.child == child.table);
        let alongs = keys.filter_map(|key| {
            let parent = steps.iter().find(|step| step.erases() && step.table == key.parent)?;
            let depth = above(&order.kept, &key.parent).len();
            Some((depth, key.parent.clone(), along(catalogue, order, child, parent, key)?))
        });
        // The lowest of its parents has the most rows.
        if let Some((_, parent, along)) = alongs.max_by_key(|(depth, parent, _)| (*depth, parent.clone())) {
            found.entry(parent).or_default().push(along);
        }
    }
    for step in steps.iter_mut().filter(|step| step.erases()) {
        step.along = found.remove(&step.table).unwrap_or_default();
    }
}

fn along(
    catalogue: &Catalogue,
    order: &Order,
    child: &Step,
    parent: &Step,
    key: &ForeignKey,
) -> Option<Along> {
    let is_own = |step: &Step| catalogue.table(&step.table).is_some_and(|table| table.is_fenced);
    let is_leaf = order.kept.iter().all(|other| other.parent != child.table);
    let others = order.kept.iter().filter(|other| other.child == child.table && other.parent != key.parent);
    // What goes before such a parent cannot wait for this one.
    let mut parents = others.map(|other| &other.parent).filter(|name| !name.is_root());
    let is_below = parents.any(|other| above(&order.kept, other).contains(&key.parent));
    let is_placed = child.rows == RowName::Place;
    if !(is_own(child) && is_own(parent) && is_leaf && is_placed && child.erases()) || is_below {
        return None;
    }
    let (theirs, own) = (walked(parent)?, walked(child)?);
    let Key::Columns(walked) = &theirs.key else { return None };
    let table = catalogue.table(&child.table)?;
    let referring = |name: &str| {
        let position = key.parent_columns.iter().position(|column| column == name)?;
        Some(key.child_columns[position].clone())
    };
    let is_whole = key.parent_columns.len() == walked.len() + 1;
    let columns: Vec<_> = walked.iter().map(|column| referring(&column.name)).collect::<Option<_>>()?;
    let leads = [own.column.clone()].into_iter().chain(columns.iter().cloned()).collect::<Vec<_>>();
    let is_indexed = table.indexes.iter().any(|index| index.is_sorted && index.columns.starts_with(&leads));
    (is_whole && is_indexed && referring(&theirs.column)? == own.column).then(|| Along {
        table: child.table.clone(),
        column: own.column.clone(),
        form: own.form,
        parent_key: walked.iter().map(|column| column.name.clone()).collect(),
        key: columns.iter().map(|name| KeyColumn::of(table, name)).collect(),
    })
}

/// The one route by which a step walks its own table, where it has no other and nothing goes before.
pub(super) fn walked(step: &Step) -> Option<&Route> {
    let [route] = &step.routes[..] else { return None };
    (route.hops.is_empty() && step.together.is_empty() && step.leaves_first.is_empty()).then_some(route)
}

/// The order in which steps are worked off: children before their parents, but those that go along with a step
/// after it, for the rows that it left. Rows that name objects go as early as they can: while the others go,
/// their objects do. None where there is no such order.
pub(super) fn order(catalogue: &Catalogue, order: &Order, steps: &[Step]) -> Option<Vec<usize>> {
    let names_objects = |name: &TableName| catalogue.table(name).is_some_and(Table::names_objects);
    let rank = |at: usize| {
        let step: &Step = &steps[at];
        let brings_objects = step.along.iter().any(|along| names_objects(&along.table));
        let depth = above(&order.kept, &step.table).len();
        (brings_objects || names_objects(&step.table), depth, steps.len() - at)
    };
    let goes_along =
        |child: &TableName, parent: &Step| parent.along.iter().any(|along| along.table == *child);
    let waits = |at: usize, left: &BTreeMap<usize, _>| {
        left.keys().map(|other| (&steps[*other], &steps[at])).any(|(other, step)| {
            let is_child = |child: &Step, parent: &Step| {
                order.kept.iter().any(|key| key.child == child.table && key.parent == parent.table)
            };
            is_child(other, step) && !goes_along(&other.table, step) || goes_along(&step.table, other)
        })
    };
    // What breaks circles comes first.
    let (breaks, erasing): (Vec<_>, Vec<_>) = (0..steps.len() - 1).partition(|at| !steps[*at].erases());
    let mut left: BTreeMap<usize, _> = erasing.into_iter().map(|at| (at, rank(at))).collect();
    let mut found = breaks;
    while !left.is_empty() {
        let free = left.iter().filter(|(at, _)| !waits(**at, &left));
        let next = *free.max_by_key(|(_, rank)| **rank)?.0;
        left.remove(&next);
        found.push(next);
    }
    Some(found)
}

impl Along {
    /// Deletes up to `most` of the rows that refer to those of the step which `parents`, the end of a query with
    /// its values in `sql`, finds on PostgreSQL.
    pub(super) async fn erase_below(
        &self,
        transaction: &DatabaseTransaction,
        plan: &Plan,
        sql: Sql,
        parents: &str,
        most: u64,
        deletion: Uuid,
    ) -> Result<Gone, database::Error> {
        let Some(step) = plan.erasing_from(&self.table) else { return Ok(Gone::default()) };
        let (table, tenant) = (self.table.quoted(), quote(&self.column));
        let parent_columns: Vec<_> = self.parent_key.iter().map(|name| quote(name)).collect();
        let equal = self.key.iter().zip(&parent_columns);
        let equal: Vec<_> =
            equal.map(|(own, theirs)| format!("c.{} = p.{theirs}", quote(&own.name))).collect();
        let condition = format!(
            "ctid = ANY (ARRAY (SELECT s.ctid FROM (SELECT {} {parents} OFFSET 0) p CROSS JOIN LATERAL \
             (SELECT c.ctid FROM {table} c WHERE c.{tenant} = {} AND {} OFFSET 0) s LIMIT {most}))",
            parent_columns.join(", "),
            self.form.tenant(),
            equal.join(" AND "),
        );
        gone::delete(transaction, step, sql, &condition, deletion).await
    }

    /// Deletes the rows that refer to a stretch of the step, which is to have about `rows` rows. Returns what
    /// went, and whether there may be more.
    pub(super) async fn erase(
        &self,
        transaction: &DatabaseTransaction,
        plan: &Plan,
        stretch: Stretch<'_>,
        tenant: Uuid,
        rows: u64,
        deletion: Uuid,
    ) -> Result<(Gone, bool), database::Error> {
        let Some(step) = plan.erasing_from(&self.table) else { return Ok((Gone::default(), false)) };
        let mut sql = sql_of(transaction.get_database_backend(), tenant);
        let mut condition = format!("{} = {}", quote(&self.column), self.form.tenant());
        for (ordering, end) in [(">", stretch.after), ("<=", stretch.until)] {
            if let Some(end) = end {
                condition += " AND ";
                condition += &key::compared(&mut sql, &self.key, ordering, end)?;
            }
        }
        // Rows that refer to nothing are not bounded by the stretch.
        for column in &self.key {
            condition += " AND ";
            condition += &quote(&column.name);
            condition += " IS NOT NULL";
        }
        if rows < FEW {
            let table = self.table.quoted();
            condition =
                format!("ctid = ANY (ARRAY (SELECT ctid FROM {table} WHERE {condition} LIMIT {MOST}))");
        }
        let gone = gone::delete(transaction, step, sql, &condition, deletion).await?;
        Ok((gone, rows < FEW && gone.rows >= MOST))
    }
}
