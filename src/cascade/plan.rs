//! The plan: which rows of which tables, in which order.

use sha2::{Digest, Sha256};

use super::{Gap, catalogue::TableName};

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
    /// The columns that lead to the tenant.
    pub(super) by: Vec<String>,
    /// A condition true for the tenant's rows; its one parameter, `$1`, is the tenant's id.
    pub(super) condition: String,
    /// Whether the gateway sees all of its rows.
    pub(super) readable: bool,
}

impl Plan {
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
        }
        hex(&hash.finalize())
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
