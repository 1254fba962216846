//! The gaps that tables and keys show by themselves, whatever rows there are.

use std::collections::BTreeSet;

use super::{
    Gap, GapKind, Settings,
    catalogue::{Catalogue, ForeignKey, Heir, PartialKey, Table, TableName},
};

/// All of them, for the tables of a plan.
pub(super) fn all(
    catalogue: &Catalogue,
    settings: &Settings,
    keys: &[ForeignKey],
    members: &BTreeSet<TableName>,
) -> Vec<Gap> {
    let inside = || keys.iter().filter(|key| members.contains(&key.child) && members.contains(&key.parent));
    let first = |key: &ForeignKey| key.child_columns.first().cloned();
    let crossing = inside().filter(|key| key.child.is_root() && key.parent.is_root()).map(|key| {
        let kind = GapKind::CrossingSelfReference(key.child_columns.join(", "));
        Gap::new(&key.child, first(key).as_deref(), kind)
    });
    let unproven = inside().filter(|key| !key.is_validated).map(|key| {
        let kind = GapKind::NotValidated(key.child_columns.join(", "));
        Gap::new(&key.child, first(key).as_deref(), kind)
    });
    let unlisted = members.iter().filter(|name| catalogue.table(name).is_none());
    let unlisted = unlisted.map(|name| Gap::new(name, None, GapKind::Unlisted));
    let mut gaps: Vec<_> = unlisted.chain(crossing).chain(unproven).collect();
    gaps.extend(partial_keys(catalogue, members));
    gaps.extend(table_gaps(catalogue, settings, keys, members));
    for heir in catalogue.heirs.iter().filter(|heir| is_unbound(heir, keys, members)) {
        let gap = Gap::new(&heir.table, None, GapKind::Heir(heir.parent.to_string()));
        let is_told = |told: &Gap| {
            told.table == gap.table && matches!(told.kind, GapKind::NoForeignKey | GapKind::Heir(_))
        };
        if !gaps.iter().any(is_told) && !settings.ignores(catalogue, &heir.table) {
            gaps.push(gap);
        }
    }
    gaps
}

/// Whether rows can be in a table only because a tenant's could be in the one that it inherits from: none of
/// that one's keys is its own too.
fn is_unbound(heir: &Heir, keys: &[ForeignKey], members: &BTreeSet<TableName>) -> bool {
    let leading = |table: &TableName| -> BTreeSet<&Vec<String>> {
        let leading = keys.iter().filter(|key| key.child == *table && members.contains(&key.parent));
        leading.map(|key| &key.child_columns).collect()
    };
    members.contains(&heir.parent) && leading(&heir.parent).is_disjoint(&leading(&heir.table))
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
fn table_gaps(
    catalogue: &Catalogue,
    settings: &Settings,
    keys: &[ForeignKey],
    members: &BTreeSet<TableName>,
) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let names_tenant =
        |table: &&Table| table.columns.iter().any(|column| column.name.eq_ignore_ascii_case("tenant_id"));
    let bound = |table: &Table| {
        keys.iter().any(|key| {
            key.child == table.name
                && members.contains(&key.parent)
                && key.child_columns.iter().any(|column| column.eq_ignore_ascii_case("tenant_id"))
        })
    };
    for table in catalogue.tables.iter().filter(names_tenant) {
        if !bound(table) && !settings.ignores(catalogue, &table.name) {
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
    let kept = |view: &TableName| settings.ignores(catalogue, view);
    for copy in
        catalogue.materialised.iter().filter(|copy| members.contains(&copy.table) && !kept(&copy.view))
    {
        gaps.push(Gap::new(&copy.view, None, GapKind::Materialised(copy.table.to_string())));
    }
    gaps
}
