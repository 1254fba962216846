//! What goes wrong with storage, sorted by what to do next.

use std::{
    io::{self, ErrorKind},
    path::Path,
};

use thiserror::Error as ThisError;

/// A fault of object storage. Its text names the key, the bucket or the path, and no secret.
#[derive(Debug, ThisError)]
pub enum Error {
    /// The address, with the variables beside it, is of no storage that the gateway can use.
    #[error("the storage address must be file:///DIRECTORY or s3://BUCKET[/PREFIX]: {0}")]
    Address(String),
    /// There is no object of this key and there cannot be one: there is nothing to remove.
    #[error("{key:?} names no object: {reason}")]
    Key {
        /// The key, or the prefix.
        key: String,
        /// Why not.
        reason: &'static str,
    },
    /// Nobody answers, or the answer was to come back later: the same request may succeed.
    #[error("object storage does not answer: {0}")]
    Unavailable(String),
    /// The storage does not let the gateway do this.
    #[error("object storage denies access: {0}")]
    Denied(String),
    /// The storage refused, and will again.
    #[error("object storage refused: {0}")]
    Refused(String),
}

impl Error {
    /// Whether the same request may succeed later, without anybody changing anything.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    pub(super) fn address(reason: &str) -> Self {
        Self::Address(reason.to_owned())
    }

    pub(super) fn key(key: &str, reason: &'static str) -> Self {
        Self::Key { key: key.to_owned(), reason }
    }

    /// A fault of the file system. What it cannot do with this path will stay so; the rest, such as a
    /// full disk or a share that is away, may pass.
    pub(super) fn io(path: &Path, error: &io::Error) -> Self {
        let text = format!("{}: {error}", path.display());
        match error.kind() {
            ErrorKind::PermissionDenied => Self::Denied(text),
            ErrorKind::NotFound
            | ErrorKind::NotADirectory
            | ErrorKind::IsADirectory
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::InvalidInput
            | ErrorKind::InvalidFilename
            | ErrorKind::Unsupported => Self::Refused(text),
            _ => Self::Unavailable(text),
        }
    }
}
