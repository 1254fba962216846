//! In which order tables can be erased, and what has to happen first where foreign keys form a circle.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Gap, GapKind,
    catalogue::{Catalogue, ForeignKey, TableName},
};

/// An order, and what makes it possible.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// Parents before their children.
    pub(super) tables: Vec<TableName>,
    /// Keys whose column is set to null first, with that column.
    pub(super) broken: Vec<(ForeignKey, String)>,
    /// Keys that the order keeps to: none of them is on a circle.
    pub(super) kept: Vec<ForeignKey>,
    /// Tables that only a transaction that defers their keys can erase, each circle together.
    pub(super) together: Vec<BTreeSet<TableName>>,
    /// Keys of a table to itself that let rows go only after those that refer to them.
    pub(super) leaves_first: Vec<ForeignKey>,
    /// Circles that nothing can break.
    pub(super) gaps: Vec<Gap>,
}

/// Arranges the tables that lead to the root.
pub(super) fn arrange(catalogue: &Catalogue, keys: &[ForeignKey], members: &BTreeSet<TableName>) -> Order {
    let inside = |key: &&ForeignKey| members.contains(&key.child) && members.contains(&key.parent);
    let (own, between): (Vec<ForeignKey>, Vec<ForeignKey>) =
        keys.iter().filter(inside).cloned().partition(|key| key.child == key.parent);
    let tenant_columns = tenant_columns(&between);
    let mut order = Order { kept: between, ..Order::default() };
    while let Some(circle) = circle(&order.kept) {
        order.open(catalogue, &tenant_columns, &circle);
    }
    order.tables = parents_first(members, &order.kept);
    // A reference from a tenant to a tenant is a gap; no order helps.
    for key in own.into_iter().filter(|key| !key.child.is_root()) {
        if let Some(column) = nullable(catalogue, &tenant_columns, &order.kept, &key) {
            order.broken.push((key, column));
        } else if key.is_deferrable {
            order.join(BTreeSet::from([key.child]));
        } else {
            order.leaves_first.push(key);
        }
    }
    order
}

impl Order {
    /// Takes one key out of a circle.
    fn open(
        &mut self,
        catalogue: &Catalogue,
        tenant_columns: &BTreeMap<TableName, BTreeSet<String>>,
        circle: &BTreeSet<TableName>,
    ) {
        let on_circle = |key: &ForeignKey| circle.contains(&key.child) && circle.contains(&key.parent);
        let breakable = (0..self.kept.len()).find_map(|at| {
            let key = &self.kept[at];
            let others: Vec<_> = self
                .kept
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != at)
                .map(|(_, key)| key.clone())
                .collect();
            let belongs_anyway = reaches_root(&others, &key.child);
            let column =
                (on_circle(key) && belongs_anyway).then(|| nullable(catalogue, tenant_columns, &others, key));
            Some((at, column.flatten()?))
        });
        if let Some((at, column)) = breakable {
            let key = self.kept.remove(at);
            self.broken.push((key, column));
            return;
        }
        // The tenant's own row goes alone, at the very end.
        let has_root = circle.iter().any(TableName::is_root);
        let deferrable = self.kept.iter().position(|key| !has_root && on_circle(key) && key.is_deferrable);
        if let Some(at) = deferrable {
            self.kept.remove(at);
            self.join(circle.clone());
            return;
        }
        if let Some(first) = circle.first() {
            let names: Vec<_> = circle.iter().map(ToString::to_string).collect();
            self.gaps.push(Gap::new(first, None, GapKind::Cycle(names.join(", "))));
        }
        self.kept.retain(|key| !on_circle(key));
    }

    /// Lets tables be erased in one transaction, with those that were to be with any of them.
    fn join(&mut self, mut tables: BTreeSet<TableName>) {
        self.together.retain(|group| {
            let is_apart = group.is_disjoint(&tables);
            if !is_apart {
                tables.extend(group.iter().cloned());
            }
            is_apart
        });
        self.together.push(tables);
    }
}

/// A column of the key that may be null without a row's belonging to somebody else, or to nobody.
fn nullable(
    catalogue: &Catalogue,
    tenant_columns: &BTreeMap<TableName, BTreeSet<String>>,
    others: &[ForeignKey],
    key: &ForeignKey,
) -> Option<String> {
    let table = catalogue.table(&key.child)?;
    if key.is_implied || key.matches_fully && key.child_columns.len() > 1 {
        return None;
    }
    let names_tenant =
        |column: &String| tenant_columns.get(&key.child).is_some_and(|columns| columns.contains(column));
    let is_needed = |column: &String| {
        others.iter().any(|other| other.child == key.child && other.child_columns.contains(column))
    };
    let may_be_null = |column: &String| table.column(column).is_some_and(|column| column.is_nullable);
    key.child_columns
        .iter()
        .find(|column| may_be_null(column) && !names_tenant(column) && !is_needed(column))
        .cloned()
}

/// The columns of each table that hold a tenant's id, by any of its keys.
fn tenant_columns(keys: &[ForeignKey]) -> BTreeMap<TableName, BTreeSet<String>> {
    let mut columns = BTreeMap::from([(TableName::root(), BTreeSet::from(["id".to_owned()]))]);
    loop {
        let before: usize = columns.values().map(BTreeSet::len).sum();
        for key in keys {
            let of_parent = columns.get(&key.parent).cloned().unwrap_or_default();
            let pairs = key.child_columns.iter().zip(&key.parent_columns);
            let found: Vec<_> = pairs
                .filter(|(_, parent)| of_parent.contains(*parent))
                .map(|(child, _)| child.clone())
                .collect();
            columns.entry(key.child.clone()).or_default().extend(found);
        }
        if columns.values().map(BTreeSet::len).sum::<usize>() == before {
            return columns;
        }
    }
}

/// Every table that keys lead to from this one, itself only if it is on a circle.
pub(super) fn above(keys: &[ForeignKey], table: &TableName) -> BTreeSet<TableName> {
    let mut found = BTreeSet::new();
    let mut left = vec![table.clone()];
    while let Some(table) = left.pop() {
        for key in keys.iter().filter(|key| key.child == table) {
            if found.insert(key.parent.clone()) {
                left.push(key.parent.clone());
            }
        }
    }
    found
}

fn reaches_root(keys: &[ForeignKey], table: &TableName) -> bool {
    table.is_root() || above(keys, table).iter().any(TableName::is_root)
}

/// The tables of one circle, with all other circles through any of them.
fn circle(keys: &[ForeignKey]) -> Option<BTreeSet<TableName>> {
    let children: BTreeSet<_> = keys.iter().map(|key| &key.child).collect();
    children.into_iter().find_map(|table| {
        let above_it = above(keys, table);
        above_it
            .contains(table)
            .then(|| above_it.into_iter().filter(|other| above(keys, other).contains(table)).collect())
    })
}

/// All members, every parent before its children, by keys without a circle.
fn parents_first(members: &BTreeSet<TableName>, keys: &[ForeignKey]) -> Vec<TableName> {
    let (mut order, mut left) = (Vec::new(), members.clone());
    while !left.is_empty() {
        let is_free =
            |name: &TableName| !keys.iter().any(|key| key.child == *name && left.contains(&key.parent));
        let free: BTreeSet<TableName> = left.iter().filter(|name| is_free(name)).cloned().collect();
        if free.is_empty() {
            order.extend(left);
            break;
        }
        left.retain(|name| !free.contains(name));
        // The root is the first of all, even where a broken key leads from it.
        let (root, others): (Vec<_>, Vec<_>) = free.into_iter().partition(TableName::is_root);
        order.extend(root);
        order.extend(others);
    }
    order
}
