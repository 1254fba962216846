//! Rows that belong to two tenants: what no foreign key rules out, and only the rows can tell.

use std::collections::BTreeSet;

use sea_orm::ConnectionTrait;
use uuid::Uuid;

use super::{
    Gap, GapKind, Plan,
    catalogue::{ForeignKey, TableName, quote},
    stretch::sql_of,
    way::{self, Way, Ways, list},
};
use crate::database;

/// A question that finds a row of a table that belongs to the tenant by one key and to another by
/// another.
#[derive(Clone, Debug)]
pub(super) struct Doubt {
    table: TableName,
    keys: String,
    /// A condition true for such rows, which go by the name `r`; `$1` is the tenant's id.
    condition: String,
}

/// Gaps that a tenant's own rows make: those that belong to it and to another one. Reads the tenant's
/// rows of the tables where no foreign key rules that out, and nothing else.
///
/// # Errors
///
/// [`database::Error`].
pub async fn crossings<C: ConnectionTrait>(
    connection: &C,
    plan: &Plan,
    tenant: Uuid,
) -> Result<Vec<Gap>, database::Error> {
    let mut gaps = Vec::new();
    for doubt in &plan.doubts {
        if !plan.steps.iter().any(|step| step.table == doubt.table && step.readable) {
            continue;
        }
        let sql = sql_of(connection.get_database_backend(), tenant);
        let text = format!("SELECT 1 AS n FROM {} r WHERE {} LIMIT 1", doubt.table.quoted(), doubt.condition);
        let gap = || Gap::new(&doubt.table, None, GapKind::SharedRows(doubt.keys.clone()));
        if connection.query_one_raw(sql.statement(&text)).await?.is_some() && !gaps.contains(&gap()) {
            gaps.push(gap());
        }
    }
    Ok(gaps)
}

/// Every such question. `ways` find the rows of each table, `claims` are all that could, and `unkept` are
/// the keys that no way goes by.
pub(super) fn all(ways: &Ways, claims: &Ways, unkept: &[&ForeignKey]) -> Vec<Doubt> {
    let of_table = |(table, claimed): (&TableName, &Vec<Way>)| {
        let mut all: BTreeSet<Way> = claimed.iter().cloned().collect();
        let more = unkept.iter().filter(|key| key.child == *table && !carries_tenant(key, ways));
        all.extend(more.map(|key| Way::Parent {
            columns: key.child_columns.clone(),
            parent: key.parent.clone(),
            parent_columns: key.parent_columns.clone(),
        }));
        let pairs = all.iter().flat_map(|one| all.iter().map(move |other| (one, other)));
        let undecided = pairs.filter(|(one, other)| one != other && !both_columns(one, other));
        undecided.map(|(one, other)| doubt(table, ways, one, other)).collect::<Vec<_>>()
    };
    claims.iter().flat_map(of_table).collect()
}

/// Whether the key holds the tenant's column on both sides, so that both rows are of one tenant.
pub(super) fn carries_tenant(key: &ForeignKey, ways: &Ways) -> bool {
    let is_tenant = |table, name: &String| {
        let ways: &[Way] = ways.get(table).map(Vec::as_slice).unwrap_or_default();
        ways.iter().any(|way| matches!(way, Way::Column(column, _) if column == name))
    };
    key.child_columns
        .iter()
        .zip(&key.parent_columns)
        .any(|(child, parent)| is_tenant(&key.child, child) && is_tenant(&key.parent, parent))
}

/// Two columns are a gap whatever the rows hold.
fn both_columns(one: &Way, other: &Way) -> bool {
    matches!((one, other), (Way::Column(..), Way::Column(..)))
}

/// Rows that are the tenant's by `one`, and by `other` somebody else's.
fn doubt(table: &TableName, ways: &Ways, one: &Way, other: &Way) -> Doubt {
    let by = |way: &Way| format!("({})", way.columns().join(", "));
    let mut keys = [by(one), by(other)];
    keys.sort();
    let is_elses = match other {
        Way::Column(column, form) => format!("r.{} <> {}", quote(column), form.tenant()),
        Way::Parent { columns, parent, parent_columns } => {
            let (own, theirs) = (list(columns, Some("r")), list(parent_columns, Some("p")));
            format!(
                "EXISTS (SELECT 1 FROM {} p WHERE ({theirs}) = ({own}) AND NOT coalesce({}, false))",
                parent.quoted(),
                way::condition(ways, parent)
            )
        }
    };
    let condition = format!("{} AND {is_elses}", one.condition(ways));
    Doubt { table: table.clone(), keys: keys.join(" and "), condition }
}
