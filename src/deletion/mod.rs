//! The life of one deletion: what it refuses, what it erases, and the record that outlives the tenant.

pub mod certificate;
mod erase;
mod preview;
mod record;
mod request;
mod store;

pub use erase::{Eraser, Error};
pub use preview::{Preview, preview};
pub use record::{Deletion, Status, TableProgress};
pub use request::{Refusal, Request};
pub use store::{Criteria, by_ids, newest_of, tables_of};
