//! The life of a deletion: asked for, waited for, carried out in batches that survive any crash, and
//! proven. Its record outlives the tenant.

mod backlog;
pub mod certificate;
mod closing;
mod deletions;
mod entry;
mod erasure;
mod journal;
mod log;
mod objects;
mod obstacle;
mod pace;
mod places;
mod preview;
mod record;
mod request;
mod rows;
mod store;
mod storing;
mod worker;

pub use backlog::Backlog;
pub use certificate::Certificate;
pub use deletions::{Bell, Deletions, Unchanged, check_text};
pub use entry::Error;
pub use pace::Limits;
pub use preview::Preview;
pub use record::{Block, BlockCode, Deletion, Status, TableProgress};
pub use request::{Refusal, Request};
pub use store::{Criteria, by_ids, newest_of, tables_of};
pub use worker::{Tools, Worker};
