//! From foreign keys to a plan.
//!
//! A row belongs to a tenant in one of two ways. Either a column of its own holds the tenant's id:
//! it refers to `tenants (id)`, or it is the tenant's column of a key into a table that has one. Or
//! it refers to a row that belongs to the tenant. Where two ways could disagree, the rows decide: see
//! [`super::doubt`].

use std::collections::BTreeSet;

use super::{
    Gap, GapKind, Plan, Settings, Step, StepKind,
    catalogue::{Catalogue, ForeignKey, RowName, Table, TableName},
    circle::{self, Order},
    doubt, holes, late,
    way::{self, Form, Way, Ways},
    work,
};

/// Plans from a catalogue; gaps that only the rows decide come later.
pub(super) fn plan(catalogue: &Catalogue, settings: &Settings) -> Plan {
    let root = TableName::root();
    let root = catalogue.table(&root).map_or(root, |table| table.name.clone());
    let mut keys = catalogue.keys.clone();
    keys.extend(settings.keys(catalogue));
    let members = reachable(&keys, &root);
    let mut order = circle::arrange(catalogue, &keys, &members);
    let mut gaps = std::mem::take(&mut order.gaps);

    let mut ways = Ways::from([(root.clone(), vec![Way::Column("id".to_owned(), Form::Id)])]);
    let mut claims = ways.clone();
    for name in order.tables.iter().filter(|name| **name != root) {
        let found = ways_of(catalogue, &order.kept, &ways, name);
        gaps.extend(two_columns(name, &found));
        ways.insert(name.clone(), needed(catalogue, name, &found));
        claims.insert(name.clone(), found);
    }
    gaps.extend(holes::all(catalogue, settings, &keys, &members));
    let breaks = order.broken.iter().map(|(key, column)| {
        let kind = StepKind::Break { column: column.clone() };
        Step { kind, ..step(catalogue, &ways, &order, &key.child) }
    });
    let mut breaks: Vec<Step> = breaks.collect();
    breaks.dedup_by(|a, b| a.table == b.table && a.kind == b.kind);
    let erasing = order.tables.iter().rev().map(|name| step(catalogue, &ways, &order, name));
    let mut steps: Vec<Step> = breaks.into_iter().chain(erasing).collect();
    late::find(catalogue, &order, &ways, &mut steps);
    let work = work::order(catalogue, &order, &steps).unwrap_or_else(|| (0..steps.len() - 1).collect());
    let unkept = keys.iter().filter(|key| {
        members.contains(&key.child)
            && (key.child == key.parent || order.broken.iter().any(|(broken, _)| broken.is(key)))
    });
    gaps.extend(steps.iter().filter_map(|step| not_updatable(catalogue, step)));
    let doubts = doubt::all(&ways, &claims, &unkept.collect::<Vec<_>>());
    Plan { steps, order: work, gaps, doubts }
}

fn step(catalogue: &Catalogue, ways: &Ways, order: &Order, name: &TableName) -> Step {
    let table = catalogue.table(name);
    let group = order.together.iter().find(|group| group.contains(name));
    let together = group.map(|group| order.tables.iter().rev().filter(|name| group.contains(*name)).cloned());
    Step {
        kind: StepKind::Erase,
        ways: ways.get(name).cloned().unwrap_or_default(),
        condition: way::condition(ways, name),
        routes: way::routes(catalogue, ways, name),
        rows: table.map_or(RowName::Place, |table| table.rows.clone()),
        names_objects: table.is_some_and(Table::names_objects),
        readable: table.is_some_and(|table| table.readable && !table.filtered),
        together: together.into_iter().flatten().collect(),
        leaves_first: order.leaves_first.iter().filter(|key| key.child == *name).cloned().collect(),
        late: Vec::new(),
        is_unreferred: false,
        table: name.clone(),
    }
}

/// What a step changes or holds, it needs a right to change.
fn not_updatable(catalogue: &Catalogue, step: &Step) -> Option<Gap> {
    let table = catalogue.table(&step.table)?;
    let (is_granted, what) = match &step.kind {
        StepKind::Break { column } => (
            table.column(column).is_some_and(|column| column.is_updatable),
            format!("UPDATE ({column}) on it"),
        ),
        StepKind::Erase if step.is_held() => {
            (table.columns.iter().any(|column| column.is_updatable), "UPDATE on it".to_owned())
        }
        StepKind::Erase => return None,
    };
    (!is_granted).then(|| Gap::new(&step.table, None, GapKind::NotGranted(what)))
}

/// Every table from which foreign keys lead to `root`, over any path.
fn reachable(keys: &[ForeignKey], root: &TableName) -> BTreeSet<TableName> {
    let mut members = BTreeSet::from([root.clone()]);
    loop {
        let before = members.len();
        for key in keys {
            if members.contains(&key.parent) {
                members.insert(key.child.clone());
            }
        }
        if members.len() == before {
            return members;
        }
    }
}

/// Every way in which a table's rows can belong to a tenant, columns first.
fn ways_of(catalogue: &Catalogue, kept: &[ForeignKey], ways: &Ways, name: &TableName) -> Vec<Way> {
    let keys = kept.iter().filter(|key| key.child == *name);
    let found: BTreeSet<Way> = keys.map(|key| through(catalogue, key, ways)).collect();
    found.into_iter().collect()
}

fn through(catalogue: &Catalogue, key: &ForeignKey, ways: &Ways) -> Way {
    let tenants = ways.get(&key.parent).into_iter().flatten().filter_map(|way| match way {
        Way::Column(column, _) => Some(column),
        Way::Parent { .. } => None,
    });
    for tenant in tenants {
        if let Some(position) = key.parent_columns.iter().position(|column| column == tenant) {
            let column = &key.child_columns[position];
            return Way::Column(column.clone(), Form::of(catalogue, &key.child, column));
        }
    }
    Way::Parent {
        columns: key.child_columns.clone(),
        parent: key.parent.clone(),
        parent_columns: key.parent_columns.clone(),
    }
}

/// Two columns that each name a tenant need not agree in any row.
fn two_columns(name: &TableName, ways: &[Way]) -> Option<Gap> {
    let columns: Vec<_> = ways
        .iter()
        .filter(|way| matches!(way, Way::Column(..)))
        .map(|way| way.columns().join(", "))
        .collect();
    (columns.len() > 1).then(|| {
        let keys: Vec<_> = columns.iter().map(|column| format!("({column})")).collect();
        Gap::new(name, None, GapKind::TwoOwners(keys.join(" and ")))
    })
}

/// The ways that find every row: a column that always names the tenant needs no other.
fn needed(catalogue: &Catalogue, name: &TableName, ways: &[Way]) -> Vec<Way> {
    let always = ways.iter().find(|way| {
        let Way::Column(column, _) = way else { return false };
        catalogue.table(name).and_then(|table| table.column(column)).is_some_and(|column| !column.is_nullable)
    });
    always.map_or_else(|| ways.to_vec(), |way| vec![way.clone()])
}
