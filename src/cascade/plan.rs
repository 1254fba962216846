//! The plan: which rows of which tables, in which order.

use sha2::{Digest, Sha256};

use super::{
    Gap,
    catalogue::{RowName, TableName},
    way::{Route, Way},
};

/// Every table that can reach a tenant, children before their parents, `tenants` last.
#[derive(Clone, Debug)]
pub struct Plan {
    /// In the order of erasure.
    pub steps: Vec<Step>,
    /// What cannot be erased safely. With any, nothing may be.
    pub gaps: Vec<Gap>,
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
        }
        hex(&hash.finalize())
    }

    /// The steps that delete, `tenants` included.
    pub(super) fn erasing(&self) -> impl DoubleEndedIterator<Item = &Step> {
        self.steps.iter().filter(|step| step.erases())
    }

    /// The steps that delete rows that belong to a tenant.
    pub(super) fn below_root(&self) -> impl DoubleEndedIterator<Item = &Step> {
        let end = self.steps.len().saturating_sub(1);
        self.steps[..end].iter().filter(|step| step.erases())
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
