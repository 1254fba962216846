//! What a tenant used: calendar windows in its own time zone, and the SQL that reads them.

mod columns;
mod counting;
mod error;
mod figures;
mod fold;
mod keeper;
mod parts;
mod ranges;
mod reading;
mod rebuild;
mod series;
mod series_reading;
mod summing;
mod verify;
mod window;

pub use error::Error;
pub use figures::{Figures, Quota, QuotaState, Stats};
pub use fold::Folded;
pub use keeper::{Keeper, Lease};
pub use ranges::{ZoneMonth, months};
pub use reading::{Known, Reader, Reading};
pub use rebuild::{Asked, Building, Rebuilt};
pub use series::{Bucket, Granularity, MAX_BUCKETS, Series, SeriesRequest};
pub use verify::{Difference, Grain};
pub use window::{Span, Zone, all_zones};
