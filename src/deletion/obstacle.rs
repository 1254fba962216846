//! What can be in the way of a deletion, and whether it may go away by itself.

use super::{BlockCode, Error, Refusal};
use crate::{database, storage};

/// Something in the way. Each display sentence is for people, with what to do and without internals.
#[derive(Debug, thiserror::Error)]
pub(super) enum Obstacle {
    /// Another process works on the deletion.
    #[error("another process works on it")]
    LeaseLost,
    /// There is no tenant any more.
    #[error(
        "somebody deleted the tenant before erasing began; nothing was erased by this deletion, and nothing is \
         proven: cancel it, or resume it if the tenant is there again"
    )]
    NoTenant,
    /// It may not begin.
    #[error(transparent)]
    Refused(Refusal),
    /// The database does not answer, or others are in the way.
    #[error("the database is busy or cannot be reached; it is tried again by itself")]
    Database(database::Error),
    /// A foreign key is in the way of a batch.
    #[error(
        "rows that refer to the tenant's keep these from being erased; it is tried again with the tables as they \
         are then, and the log names the foreign key"
    )]
    ForeignKey(String),
    /// A table is not as it was when the plan was made.
    #[error(
        "a table changed while rows were erased; it is tried again with the tables as they are then, and the log \
         names it"
    )]
    Changed(String),
    /// Rows of one table refer to one another in a circle.
    #[error("rows of {0} refer to one another in a circle; set one of their references to NULL")]
    Circle(String),
    /// The database's user lacks a right.
    #[error(
        "the gateway's database user lacks a right, or a row-level policy hides rows from it; the log names it"
    )]
    Denied(String),
    /// Trying again will not help.
    #[error("the database refused a statement; the log has its words")]
    Fault(database::Error),
    /// Rows stay however often they are deleted.
    #[error(
        "rows of {0} were still there after they had been deleted: a trigger or a rule keeps them; let it permit the \
         deletion, or drop it"
    )]
    RowsRemain(String),
    /// Writers keep adding rows.
    #[error("writers keep adding rows as fast as they are erased; stop those that write for this tenant")]
    Flooded,
    /// A transaction holds the tenant's row.
    #[error("a transaction of another program holds the tenant's row; end it")]
    Held,
    /// A transaction has written to tables that no foreign key binds to a tenant.
    #[error("a transaction of another program has written to one of {0} and has not ended; end it")]
    Written(String),
    /// Its objects may be in another storage.
    #[error(
        "deletions were done with another object storage than this gateway has, and the log names both: where that is \
         a mistake, start it with the right --storage-url; where storage has moved, resume the deletion with force"
    )]
    OtherStorage,
    /// Object storage.
    #[error("object storage did not do what it was asked; the log has its words")]
    Storage(#[from] storage::Error),
}

impl Obstacle {
    /// How clients are told.
    pub(super) fn code(&self) -> BlockCode {
        match self {
            Self::Refused(Refusal::ActiveSessions { .. }) => BlockCode::ActiveSessions,
            Self::Refused(Refusal::Busy) | Self::Flooded | Self::Held | Self::Written(_) => {
                BlockCode::Writers
            }
            Self::Refused(_) => BlockCode::PlanIncomplete,
            Self::NoTenant => BlockCode::TenantNotFound,
            Self::Denied(_) => BlockCode::PermissionDenied,
            Self::Circle(_) => BlockCode::ForeignKeyCycle,
            Self::RowsRemain(_) | Self::ForeignKey(_) => BlockCode::RowsRemain,
            Self::Storage(_) => BlockCode::StorageFailed,
            Self::OtherStorage => BlockCode::OtherStorage,
            Self::LeaseLost | Self::Database(_) | Self::Changed(_) | Self::Fault(_) => BlockCode::Internal,
        }
    }

    /// Whether trying again soon is of no use, although it may go away by itself.
    pub(super) fn is_lasting(&self) -> bool {
        matches!(self, Self::Flooded | Self::OtherStorage)
    }

    /// Whether it may go away by itself.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::LeaseLost
            | Self::Database(_)
            | Self::ForeignKey(_)
            | Self::Changed(_)
            | Self::Flooded
            | Self::Held
            | Self::OtherStorage
            | Self::Written(_) => true,
            Self::Refused(refusal) => matches!(refusal, Refusal::Busy),
            Self::Storage(error) => error.is_passing(),
            Self::NoTenant | Self::Circle(_) | Self::Denied(_) | Self::Fault(_) | Self::RowsRemain(_) => {
                false
            }
        }
    }
}

impl From<database::Error> for Obstacle {
    fn from(error: database::Error) -> Self {
        use database::Error as Cause;
        tracing::debug!(%error, "a step of a deletion failed");
        match error {
            Cause::Unavailable(_) | Cause::Contention(_) | Cause::Duplicate(_) => Self::Database(error),
            Cause::ForeignKey(reason) => Self::ForeignKey(reason),
            Cause::Denied(reason) => Self::Denied(reason),
            Cause::Changed(reason) => Self::Changed(reason),
            Cause::Circle(table) => Self::Circle(table),
            Cause::Address | Cause::OutOfRange(_) | Cause::Refused(_) => Self::Fault(error),
        }
    }
}

impl From<sea_orm::DbErr> for Obstacle {
    fn from(error: sea_orm::DbErr) -> Self {
        database::Error::from(error).into()
    }
}

impl From<Error> for Obstacle {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(Refusal::TenantNotFound) => Self::NoTenant,
            Error::Refused(refusal) => Self::Refused(refusal),
            Error::Database(error) => error.into(),
        }
    }
}
