//! The harness: a gateway on a fresh database, and rows to put into it.

mod app;
mod databases;
mod faults;
mod program;
mod rows;
mod s3;

pub use app::{Answer, SECRET, TestApp, Token, client, token};
pub use databases::{Backend, Place, on, on_both, places};
pub use faults::FaultProxy;
pub use program::{Program, bearer, connect, raw};
pub use rows::{Agent, Call, Rows, Session, TenantRow, id};
pub use s3::{Bucket, S3};

use chrono::{DateTime, Utc};

/// An instant of a test.
pub fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant in RFC 3339")
}

/// What the clock of a test shows unless the test sets it.
pub fn noon() -> DateTime<Utc> {
    at("2026-03-18T12:00:00Z")
}
