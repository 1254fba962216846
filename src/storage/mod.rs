//! Object storage: where the bytes of recordings and files live.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use object_store::{ObjectStore, ObjectStoreExt, PutPayload, local::LocalFileSystem, path::Path as Key};
use thiserror::Error as ThisError;
use url::Url;

/// A fault of object storage.
#[derive(Debug, ThisError)]
pub enum Error {
    /// The address is of no storage that the gateway can use.
    #[error("the storage address must start with file://, followed by an absolute path")]
    Address,
    /// The storage did not do what was asked.
    #[error("object storage failed: {0}")]
    Failed(String),
}

/// Where objects are kept. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Storage {
    store: Arc<dyn ObjectStore>,
}

/// The directory that `file:///ABSOLUTE/PATH` names. Makes nothing.
///
/// # Errors
///
/// [`Error::Address`] for any other address.
pub fn directory(url: &str) -> Result<PathBuf, Error> {
    Url::parse(url)
        .ok()
        .filter(|url| url.scheme() == "file")
        .and_then(|url| url.to_file_path().ok())
        .ok_or(Error::Address)
}

impl Storage {
    /// Opens `file:///ABSOLUTE/PATH`, making the directory where it is missing.
    ///
    /// # Errors
    ///
    /// [`Error::Address`] for any other address, [`Error::Failed`] when it cannot be made.
    pub fn open(url: &str) -> Result<Self, Error> {
        Self::open_directory(&directory(url)?)
    }

    /// Opens a directory, making it where it is missing.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] when it cannot be made.
    pub fn open_directory(path: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(path).map_err(|error| Error::Failed(error.to_string()))?;
        let store =
            LocalFileSystem::new_with_prefix(path).map_err(|error| Error::Failed(error.to_string()))?;
        Ok(Self { store: Arc::new(store) })
    }

    /// Writes one object, replacing an older one of the same key.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] when it was not written.
    pub async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<(), Error> {
        self.store
            .put(&Key::from(key), PutPayload::from(bytes))
            .await
            .map(|_| ())
            .map_err(|error| Error::Failed(error.to_string()))
    }
}
