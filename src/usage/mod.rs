//! What a tenant used: calendar windows in its own time zone, and the SQL that reads them.

mod error;
mod figures;
mod reading;
mod series;
mod window;

pub use error::Error;
pub use figures::{Figures, Quota, QuotaState, Stats};
pub use reading::{Reader, Subject};
pub use series::{Bucket, Granularity, MAX_BUCKETS, SeriesRequest};
pub use window::{Span, Zone, all_zones};
