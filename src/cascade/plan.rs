//! The plan: which rows of which tables, in which order.

use sha2::{Digest, Sha256};

use super::{
    Gap,
    catalogue::{ForeignKey, RowName, TableName},
    doubt::Doubt,
    late::Late,
    way::{Route, Way, list},
};

/// Every table that can reach a tenant, `tenants` last.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Children before their parents.
    pub steps: Vec<Step>,
    /// The order in which the steps but the last are worked off, by their places in `steps`.
    pub order: Vec<usize>,
    /// What cannot be erased safely. With any, nothing may be.
    pub gaps: Vec<Gap>,
    /// What only a tenant's rows can tell; see [`super::crossings`].
    pub(super) doubts: Vec<Doubt>,
}

/// One table of the plan.
#[derive(Clone, Debug)]
pub struct Step {
    /// The table.
    pub table: TableName,
    /// What is done to the tenant's rows of it.
    pub kind: StepKind,
    /// How its rows belong to their tenant.
    pub(super) ways: Vec<Way>,
    /// A condition true for the tenant's rows; its one parameter, `$1`, is the tenant's id.
    pub(super) condition: String,
    /// How batches reach the rows.
    pub(super) routes: Vec<Route>,
    /// How one row is named.
    pub(super) rows: RowName,
    /// Whether the rows name objects in storage.
    pub(super) names_objects: bool,
    /// Whether the gateway sees all of its rows.
    pub(super) readable: bool,
    /// Tables that are erased in one transaction with this one, itself among them; none for most.
    pub(super) together: Vec<TableName>,
    /// Keys of the table to itself for whose sake rows go only after those that refer to them.
    pub(super) leaves_first: Vec<ForeignKey>,
    /// Rows that can come in while the step is under way, and have to go before the rows that they refer to.
    pub(super) late: Vec<Late>,
    /// Whether no row refers to those of the tenant when the step's turn comes: all that could have gone before, and
    /// nobody can write more.
    pub(super) is_unreferred: bool,
}

/// What a step does to the tenant's rows of its table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// Deletes them.
    Erase,
    /// Sets this column to null, by which rows refer to one another in a circle.
    Break {
        /// The column.
        column: String,
    },
}

impl Step {
    /// The one route by which it walks its own table, where it has no other and nothing goes before.
    pub(super) fn walked(&self) -> Option<&Route> {
        let [route] = &self.routes[..] else { return None };
        (route.hops.is_empty() && self.together.is_empty() && self.leaves_first.is_empty()).then_some(route)
    }

    /// Whether rows have to be locked before they are deleted, because others could come to refer to them.
    pub(super) fn is_held(&self) -> bool {
        !self.late.is_empty() || !self.together.is_empty()
    }

    /// Whether its batches need not look for rows that refer to theirs.
    #[must_use]
    pub fn is_unreferred(&self) -> bool {
        self.is_unreferred && self.erases()
    }

    /// A query for the tenant's rows, each once, with `more` columns (such as `, size_bytes`): by several ways
    /// one `OR` would read the whole table.
    pub(super) fn query(&self, more: &str) -> String {
        let table = self.table.quoted();
        let name = match &self.rows {
            _ if self.routes.len() < 2 => "1 AS one".to_owned(),
            RowName::Place => "ctid".to_owned(),
            RowName::PlaceInPartition => "tableoid, ctid".to_owned(),
            RowName::Columns(columns) if columns.is_empty() => {
                return format!("SELECT 1 AS one{more} FROM {table} WHERE {}", self.condition);
            }
            RowName::Columns(columns) => list(columns, None),
        };
        let queries = self.routes.iter().map(|route| {
            let condition = route.condition();
            format!("SELECT {name}{more} FROM {table} WHERE {condition}")
        });
        queries.collect::<Vec<_>>().join(" UNION ")
    }

    /// Whether the step deletes rows; one that does not makes others ready to be deleted.
    #[must_use]
    pub fn erases(&self) -> bool {
        self.kind == StepKind::Erase
    }
}

impl Plan {
    /// The last step: the tenant's own row.
    ///
    /// # Panics
    ///
    /// Never: every plan has one.
    #[must_use]
    pub fn root(&self) -> &Step {
        &self.steps[self.steps.len() - 1]
    }

    /// Whether the gateway sees all rows of its own table of this name.
    #[must_use]
    pub fn sees(&self, table: &str) -> bool {
        let mut own = self.steps.iter().filter(|step| step.table.schema.is_none());
        own.any(|step| step.table.name == table && step.readable)
    }

    /// SHA-256, in hexadecimal, of what would be erased and how: the same for the same tables and
    /// keys, whatever rows they hold.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for step in &self.steps {
            hash.update(step.table.quoted());
            hash.update([0]);
            hash.update(&step.condition);
            hash.update([0]);
            if let StepKind::Break { column } = &step.kind {
                hash.update(column);
            }
            hash.update([0]);
            for table in &step.together {
                hash.update(table.quoted());
                hash.update([0]);
            }
            hash.update([0]);
        }
        // A place in the work is one in this order.
        for at in &self.order {
            hash.update(at.to_string());
            hash.update([0]);
        }
        hex(&hash.finalize())
    }

    /// The steps that delete, `tenants` included.
    pub(super) fn erasing(&self) -> impl DoubleEndedIterator<Item = &Step> {
        self.steps.iter().filter(|step| step.erases())
    }

    /// The steps but the last.
    pub(super) fn below_root(&self) -> impl DoubleEndedIterator<Item = &Step> {
        self.steps[..self.steps.len().saturating_sub(1)].iter()
    }

    /// The step that erases from a table.
    pub(super) fn erasing_from(&self, table: &TableName) -> Option<&Step> {
        self.erasing().find(|step| step.table == *table)
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
