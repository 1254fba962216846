//! What went wrong with the database, sorted by what to do next.

use sea_orm::{DbErr, RuntimeErr, sqlx};
use thiserror::Error as ThisError;

/// A fault of the database. The text of one may hold internals: it is for logs and terminals, and
/// never reaches a client of the API.
#[derive(Debug, ThisError)]
pub enum Error {
    /// The address is of no database that the gateway knows.
    #[error("the database address must start with sqlite:// or postgres://")]
    Address,
    /// Nobody answers, or no connection came free in time: try again later.
    #[error("the database cannot be reached: {0}")]
    Unavailable(String),
    /// Another transaction was in the way and this one was rolled back: try again.
    #[error("the database is busy: {0}")]
    Contention(String),
    /// A number grew beyond its type.
    #[error("a number is out of range: {0}")]
    OutOfRange(String),
    /// A row with the same key is there already.
    #[error("the row exists already: {0}")]
    Duplicate(String),
    /// The database's user may not do this.
    #[error("the database user lacks a right: {0}")]
    Denied(String),
    /// A row refers to one that is not there, or is referred to.
    #[error("a foreign key is in the way: {0}")]
    ForeignKey(String),
    /// A table, or a column, is not there any more: what the statement was made from has changed.
    #[error("a table has changed: {0}")]
    Changed(String),
    /// Rows of this table refer to one another in a circle, so that none can be deleted first.
    #[error("rows of {0} refer to one another in a circle")]
    Circle(String),
    /// The database refused a statement, or its rows are not what they should be: trying again
    /// will not help.
    #[error("the database refused: {0}")]
    Refused(String),
}

/// SQLSTATEs after which the same transaction may succeed: serialization failure, deadlock, lock
/// not available, and a statement cancelled by its timeout.
const CONTENTION: [&str; 4] = ["40001", "40P01", "55P03", "57014"];

/// Classes 08 and 57P: the connection, or the server, is going away; 53: it is full; 25P03: the server has
/// ended a transaction that stood still for too long, and the connection with it.
fn is_going_away(code: &str) -> bool {
    code == "25P03" || ["08", "57P", "53"].iter().any(|class| code.starts_with(class))
}

/// A key with `ON DELETE RESTRICT` has a SQLSTATE of its own; SQLite tells of it as of a trigger.
fn is_restricted(text: &str, code: Option<&str>) -> bool {
    code == Some("23001") || text.contains("FOREIGN KEY constraint failed")
}

/// SQLSTATEs for a table, a column or a schema that is not there; and what has no code of its own.
fn has_changed(code: Option<&str>, text: &str) -> bool {
    let told = ["no such table", "no such column", "could not open relation", "cached plan must not change"];
    matches!(code, Some("42P01" | "42703" | "3F000")) || told.iter().any(|told| text.contains(told))
}

impl Error {
    /// Any fault while connecting means that the database cannot be reached.
    pub(super) fn while_connecting(error: DbErr) -> Self {
        let text = match error {
            DbErr::Conn(RuntimeErr::SqlxError(cause)) => cause.to_string(),
            other => other.to_string(),
        };
        Self::Unavailable(text)
    }

    fn from_sqlx(error: &sqlx::Error, text: String) -> Self {
        match error {
            sqlx::Error::Database(fault) => match fault.code().as_deref() {
                Some(code) if CONTENTION.contains(&code) => Self::Contention(text),
                _ if fault.is_unique_violation() => Self::Duplicate(text),
                _ if fault.is_foreign_key_violation() || is_restricted(&text, fault.code().as_deref()) => {
                    Self::ForeignKey(text)
                }
                Some("22003") => Self::OutOfRange(text),
                Some("42501") => Self::Denied(text),
                _ if has_changed(fault.code().as_deref(), &text) => Self::Changed(text),
                Some(code) if is_going_away(code) => Self::Unavailable(text),
                // SQLite's SQLITE_BUSY and SQLITE_LOCKED, with whatever detail is in the high byte.
                Some(code)
                    if code.parse::<u32>().is_ok_and(|n| matches!(n & 0xff, 5 | 6)) && code.len() < 5 =>
                {
                    Self::Contention(text)
                }
                _ if text.contains("integer overflow") => Self::OutOfRange(text),
                _ => Self::Refused(text),
            },
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(text),
            _ => Self::Refused(text),
        }
    }
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        let text = error.to_string();
        match &error {
            DbErr::Conn(RuntimeErr::SqlxError(cause))
            | DbErr::Exec(RuntimeErr::SqlxError(cause))
            | DbErr::Query(RuntimeErr::SqlxError(cause)) => Self::from_sqlx(cause, text),
            DbErr::ConnectionAcquire(_) => Self::Unavailable(text),
            _ => Self::Refused(text),
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let text = error.to_string();
        Self::from_sqlx(&error, text)
    }
}
