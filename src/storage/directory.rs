//! Objects as files below a directory. The work with files is done in threads of its own.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectStoreExt, PutPayload, local::LocalFileSystem, path::Path as StoreKey};

use super::{Error, Hidden, tree::Tree};

/// How many threads remove files at once.
const REMOVERS: usize = 8;
/// How many files one of them removes before it is another's turn.
const STRETCH: usize = 250;

#[derive(Clone, Debug)]
pub(super) struct Directory {
    root: PathBuf,
}

impl Directory {
    pub(super) fn at(root: PathBuf) -> Self {
        Self { root }
    }

    pub(super) fn address(&self) -> String {
        let path = fs::canonicalize(&self.root).unwrap_or_else(|_| self.root.clone());
        format!("file://{}", path.display())
    }

    pub(super) fn make(&self) -> Result<(), Error> {
        fs::create_dir_all(&self.root).map_err(|error| Error::io(&self.root, &error))
    }

    pub(super) async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<(), Error> {
        let owned = key.to_owned();
        let root = self.in_tree(move |tree| tree.prepare(&owned)).await?;
        let name = StoreKey::parse(key).map_err(|_| {
            Error::key(key, "a file that is written here has no control characters in its name")
        })?;
        let written = match LocalFileSystem::new_with_prefix(&root) {
            Ok(store) => store.put(&name, PutPayload::from(bytes)).await.map(|_| ()),
            Err(error) => Err(error),
        };
        written.map_err(|error| of_store(&root.join(key), &error))
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let key = key.to_owned();
        self.in_tree(move |tree| tree.read(&key)).await
    }

    pub(super) async fn remove(&self, keys: &[String]) -> Result<Vec<(String, Error)>, Error> {
        let stretches: Vec<_> = keys.chunks(STRETCH).map(<[String]>::to_vec).collect();
        let (failed, left) = stream::iter(stretches)
            .map(|keys| self.in_tree(move |tree| Ok(tree.remove(keys))))
            .buffer_unordered(REMOVERS)
            .try_fold((Vec::new(), BTreeSet::new()), async |(mut failed, mut left), stretch| {
                failed.extend(stretch.failed);
                left.extend(stretch.directories);
                Ok((failed, left))
            })
            .await?;
        // Only now: a directory may hold files of several stretches.
        self.in_tree(move |tree| {
            tree.prune(left);
            Ok(())
        })
        .await?;
        Ok(failed)
    }

    pub(super) async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<(String, u64)>, Error> {
        let prefix = prefix.to_owned();
        self.in_tree(move |tree| tree.list(&prefix, limit)).await
    }

    pub(super) async fn purge_hidden(&self, prefix: &str) -> Result<Hidden, Error> {
        let prefix = prefix.to_owned();
        let uploads = self.in_tree(move |tree| tree.purge(&prefix)).await?;
        Ok(Hidden { uploads, ..Hidden::default() })
    }

    pub(super) async fn purge_hidden_of(&self, keys: &[String]) -> Result<Hidden, Error> {
        let keys = keys.to_vec();
        let uploads = self.in_tree(move |tree| tree.purge_of(&keys)).await?;
        Ok(Hidden { uploads, ..Hidden::default() })
    }

    /// Lets `work` wait for the disk in a thread where it holds up nobody.
    async fn in_tree<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tree) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let root = self.root.clone();
        tokio::task::spawn_blocking(move || work(&Tree::open(&root)?))
            .await
            .map_err(|error| Error::Unavailable(format!("the work was cut short: {error}")))?
    }
}

/// A fault of the library, by the fault of the file system that it stems from.
fn of_store(path: &Path, error: &object_store::Error) -> Error {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    match cause.downcast_ref::<io::Error>() {
        Some(error) if error.kind() == ErrorKind::InvalidFilename => {
            Error::key(&path.to_string_lossy(), "the name of a file is too long")
        }
        Some(error) => Error::io(path, error),
        None => Error::Refused(format!("{}: {cause}", path.display())),
    }
}
