//! Why figures cannot be given.

use chrono::NaiveDate;
use thiserror::Error as ThisError;

use crate::database;

/// A failed read is one of these, never zeros.
#[derive(Debug, ThisError)]
pub enum Error {
    /// The tenant's row names a zone that the IANA database lacks.
    #[error(
        "the time zone {0:?} is not in the IANA database; set the tenant's time_zone to one that is, such as Europe/Berlin"
    )]
    UnknownZone(String),
    /// The calendar ends before the window does.
    #[error("the date {0} is out of range")]
    Calendar(NaiveDate),
    /// The range is empty, too early or has too many buckets.
    #[error("{0}")]
    Range(String),
    /// A figure is beyond the type the API gives it.
    #[error("{0} is beyond what its type can hold")]
    OutOfRange(&'static str),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] database::Error),
}
