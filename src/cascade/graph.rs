//! From foreign keys to a plan.
//!
//! A row belongs to a tenant in one of two ways. Either a column of its own holds the tenant's id:
//! it refers to `tenants (id)`, or it is the tenant's column of a key into a table that has one. Or
//! it refers to a row that belongs to the tenant, in a table without such a column. A table in which
//! two ways could disagree is a gap.

use std::collections::BTreeSet;

use super::{
    Gap, GapKind, Plan, Step, StepKind,
    catalogue::{Catalogue, ForeignKey, PartialKey, ROOT, RowName, Table, TableName},
    way::{self, Way, Ways},
};

/// Plans from a catalogue; gaps that only the rows' number decides come later.
pub(super) fn plan(catalogue: &Catalogue) -> Plan {
    let root = TableName { schema: None, name: ROOT.to_owned() };
    let members = reachable(catalogue, &root);
    let mut gaps = Vec::new();
    let mut steps = Vec::new();
    let mut ways = Ways::new();
    ways.insert(root.clone(), vec![Way::Column("id".to_owned())]);

    let order = parents_first(catalogue, &members, &root, &mut gaps);
    for name in order {
        if name != root {
            let (found, gap) = ways_of(catalogue, &members, &ways, &name);
            gaps.extend(gap);
            ways.insert(name.clone(), found);
        }
        if catalogue.table(&name).is_none() {
            gaps.push(Gap::new(&name, None, GapKind::Unlisted));
        }
        steps.push(step(catalogue, &ways, name));
    }
    steps.reverse();
    gaps.extend(self_references(catalogue, &members, &ways));
    gaps.extend(partial_keys(catalogue, &members));
    gaps.extend(table_gaps(catalogue, &members));
    Plan { steps, gaps }
}

fn step(catalogue: &Catalogue, ways: &Ways, name: TableName) -> Step {
    let table = catalogue.table(&name);
    Step {
        kind: StepKind::Erase,
        ways: ways.get(&name).cloned().unwrap_or_default(),
        condition: way::condition(ways, &name),
        routes: way::routes(catalogue, ways, &name),
        rows: table.map_or(RowName::Place, |table| table.rows.clone()),
        names_objects: table.is_some_and(Table::names_objects),
        readable: table.is_some_and(|table| table.readable && !table.filtered),
        table: name,
    }
}

/// Every table from which foreign keys lead to `root`, over any path.
fn reachable(catalogue: &Catalogue, root: &TableName) -> BTreeSet<TableName> {
    let mut members = BTreeSet::from([root.clone()]);
    loop {
        let before = members.len();
        for key in &catalogue.keys {
            if members.contains(&key.parent) {
                members.insert(key.child.clone());
            }
        }
        if members.len() == before {
            return members;
        }
    }
}

/// Keys between two different tables of the plan.
fn edges<'a>(
    catalogue: &'a Catalogue,
    members: &'a BTreeSet<TableName>,
) -> impl Iterator<Item = &'a ForeignKey> + Clone {
    catalogue.keys.iter().filter(|key| {
        key.child != key.parent && members.contains(&key.child) && members.contains(&key.parent)
    })
}

/// All members, every parent before its children. Those on a circle follow in the order of their
/// names, with a gap that names them.
fn parents_first(
    catalogue: &Catalogue,
    members: &BTreeSet<TableName>,
    root: &TableName,
    gaps: &mut Vec<Gap>,
) -> Vec<TableName> {
    let mut order = Vec::new();
    let mut left = members.clone();
    while !left.is_empty() {
        let free: Vec<TableName> = left
            .iter()
            .filter(|name| {
                !edges(catalogue, members).any(|key| key.child == **name && left.contains(&key.parent))
            })
            .cloned()
            .collect();
        if free.is_empty() {
            break;
        }
        left.retain(|name| !free.contains(name));
        order.extend(free);
    }
    // What is left lies on a circle or below one; what nothing of it refers to is not on it.
    let mut circle = left.clone();
    loop {
        let leaf = circle
            .iter()
            .find(|name| {
                !edges(catalogue, members).any(|key| key.parent == **name && circle.contains(&key.child))
            })
            .cloned();
        let Some(leaf) = leaf else { break };
        circle.remove(&leaf);
    }
    if let Some(first) = circle.first() {
        let names: Vec<_> = circle.iter().map(ToString::to_string).collect();
        gaps.push(Gap::new(first, None, GapKind::Cycle(names.join(", "))));
    }
    if left.remove(root) {
        order.insert(0, root.clone());
    }
    order.extend(left);
    order
}

/// How a table's rows belong to their tenant, and a gap where two ways could disagree.
fn ways_of(
    catalogue: &Catalogue,
    members: &BTreeSet<TableName>,
    ways: &Ways,
    name: &TableName,
) -> (Vec<Way>, Option<Gap>) {
    // On a circle a parent may have no way yet: that is a gap already.
    let found: BTreeSet<Way> = edges(catalogue, members)
        .filter(|key| key.child == *name && ways.contains_key(&key.parent))
        .map(|key| through(key, ways))
        .collect();
    let gap = (found.len() > 1).then(|| {
        let keys: Vec<_> = found.iter().map(|way| format!("({})", way.columns().join(", "))).collect();
        Gap::new(name, None, GapKind::TwoOwners(keys.join(" and ")))
    });
    (found.into_iter().collect(), gap)
}

fn through(key: &ForeignKey, ways: &Ways) -> Way {
    let tenants = ways.get(&key.parent).into_iter().flatten().filter_map(|way| match way {
        Way::Column(column) => Some(column),
        Way::Parent { .. } => None,
    });
    for tenant in tenants {
        if let Some(position) = key.parent_columns.iter().position(|column| column == tenant) {
            return Way::Column(key.child_columns[position].clone());
        }
    }
    Way::Parent {
        columns: key.child_columns.clone(),
        parent: key.parent.clone(),
        parent_columns: key.parent_columns.clone(),
    }
}

/// Keys from a table to itself that can lead from one tenant to another, or that keep its rows from being
/// erased together.
fn self_references(catalogue: &Catalogue, members: &BTreeSet<TableName>, ways: &Ways) -> Vec<Gap> {
    // The tenant's column must refer to itself.
    let carries = |key: &ForeignKey, tenant: &String| {
        key.child_columns
            .iter()
            .zip(&key.parent_columns)
            .any(|(child, parent)| child == tenant && parent == tenant)
    };
    let crossing = |key: &ForeignKey| {
        let ways = ways.get(&key.child).map(Vec::as_slice).unwrap_or_default();
        !ways.iter().any(|way| matches!(way, Way::Column(tenant) if carries(key, tenant)))
    };
    let own = catalogue.keys.iter().filter(|key| key.child == key.parent && members.contains(&key.child));
    own.flat_map(|key| {
        let columns = || key.child_columns.join(", ");
        let crossing = crossing(key).then(|| GapKind::CrossingSelfReference(columns()));
        let row_by_row = key.row_by_row.then(|| GapKind::RowByRow(columns()));
        let first = key.child_columns.first().map(String::as_str);
        crossing.into_iter().chain(row_by_row).map(move |kind| Gap::new(&key.child, first, kind))
    })
    .collect()
}

/// Keys of one partition that lead to a tenant. What is true of a partition's rows need not be true of
/// the whole table's, and a step erases from whole tables.
fn partial_keys(catalogue: &Catalogue, members: &BTreeSet<TableName>) -> Vec<Gap> {
    let leading = catalogue.partial_keys.iter().filter(|partial| members.contains(&partial.key.parent));
    leading
        .map(|PartialKey { key, partition }| {
            let kind = GapKind::PartialKey {
                columns: key.child_columns.join(", "),
                partition: partition.to_string(),
            };
            Gap::new(&key.child, key.child_columns.first().map(String::as_str), kind)
        })
        .collect()
}

/// Gaps that each table, or materialised view, shows by itself.
fn table_gaps(catalogue: &Catalogue, members: &BTreeSet<TableName>) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let names_tenant =
        |table: &&Table| table.columns.iter().any(|column| column.name.eq_ignore_ascii_case("tenant_id"));
    let bound = |table: &Table| {
        catalogue.keys.iter().any(|key| {
            key.child == table.name
                && members.contains(&key.parent)
                && key.child_columns.iter().any(|column| column.eq_ignore_ascii_case("tenant_id"))
        })
    };
    for table in catalogue.tables.iter().filter(names_tenant) {
        if !bound(table) {
            gaps.push(Gap::new(&table.name, Some("tenant_id"), GapKind::NoForeignKey));
        }
    }
    let planned = catalogue.tables.iter().filter(|table| members.contains(&table.name));
    for table in planned.chain(&catalogue.records) {
        if !table.missing.is_empty() {
            gaps.push(Gap::new(&table.name, None, GapKind::NotGranted(table.missing.join(" and "))));
        }
        if table.filtered {
            gaps.push(Gap::new(&table.name, None, GapKind::Filtered));
        }
    }
    for copy in catalogue.materialised.iter().filter(|copy| members.contains(&copy.table)) {
        gaps.push(Gap::new(&copy.view, None, GapKind::Materialised(copy.table.to_string())));
    }
    gaps
}
