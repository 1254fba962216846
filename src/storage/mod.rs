//! Object storage: where the bytes of recordings and files live. A local directory, or a bucket that
//! speaks S3.
//!
//! A key is taken as it is written, byte for byte: nothing is encoded, joined or made shorter, so a
//! key names the object that whoever wrote its row has made. A key that can name no object there is
//! refused ([`Error::Key`]). In a bucket, one with `.` or `..` between two `/` is listed and removed, but
//! not written or read, for no request can name it; nor can an unfinished upload of such a key be
//! aborted, which [`Storage::purge_hidden`] tells.

mod bucket;
mod directory;
mod error;
mod tree;

use std::{path::Path, sync::Arc};

use url::Url;

pub use self::error::Error;
use self::{bucket::Bucket, directory::Directory};

/// Where objects are kept. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Storage {
    place: Place,
    address: Arc<str>,
}

#[derive(Clone, Debug)]
enum Place {
    Directory(Directory),
    Bucket(Bucket),
}

/// What a plain listing does not show, and has been removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hidden {
    /// Older versions of objects, in a bucket that keeps them.
    pub versions: u64,
    /// Marks that say that an object was deleted, in such a bucket.
    pub markers: u64,
    /// Uploads that were begun and never finished; in a directory, the temporary files of such writes.
    pub uploads: u64,
}

/// Whether [`Storage::open`] would take this address. Opens nothing and asks nobody.
///
/// # Errors
///
/// [`Error::Address`] when it would not.
pub fn check(url: &str) -> Result<(), Error> {
    Storage::at(url, variables()).map(|_| ())
}

/// The environment, as far as it is text.
fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

impl Storage {
    /// Opens `file:///ABSOLUTE/PATH`, making the directory where it is missing, or
    /// `s3://BUCKET[/PREFIX]`, where nobody is asked before the first use.
    ///
    /// S3 reads the environment's usual variables: `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` (or
    /// the roles of a container, a web identity or an instance), `AWS_SESSION_TOKEN`, `AWS_REGION`,
    /// `AWS_ENDPOINT_URL`, `AWS_VIRTUAL_HOSTED_STYLE_REQUEST`, and `AWS_ALLOW_HTTP` for an endpoint
    /// without TLS.
    ///
    /// # Errors
    ///
    /// [`Error::Address`] for any other address; what stands in the way of making the directory.
    pub fn open(url: &str) -> Result<Self, Error> {
        Self::open_with(url, variables())
    }

    /// As [`Storage::open`], with these variables in place of the environment's.
    ///
    /// # Errors
    ///
    /// As [`Storage::open`].
    pub fn open_with(url: &str, variables: impl Iterator<Item = (String, String)>) -> Result<Self, Error> {
        let Self { place, .. } = Self::at(url, variables)?;
        if let Place::Directory(directory) = &place {
            directory.make()?;
        }
        Ok(Self::of(place))
    }

    /// As [`Storage::open`], for who only reads: a directory that is missing is not made, and asking it
    /// for anything is an error.
    ///
    /// # Errors
    ///
    /// [`Error::Address`].
    pub fn open_existing(url: &str) -> Result<Self, Error> {
        Self::at(url, std::env::vars())
    }

    /// Opens a directory, making it where it is missing.
    ///
    /// # Errors
    ///
    /// What stands in the way of making it.
    pub fn open_directory(path: &Path) -> Result<Self, Error> {
        let directory = Directory::at(path.to_owned());
        directory.make()?;
        Ok(Self::of(Place::Directory(directory)))
    }

    fn at(url: &str, variables: impl Iterator<Item = (String, String)>) -> Result<Self, Error> {
        let url = Url::parse(url).map_err(|_| Error::address("it is no URL"))?;
        let place = match url.scheme() {
            "file" => {
                let path = url.to_file_path().map_err(|()| Error::address("the path must be absolute"))?;
                Place::Directory(Directory::at(path))
            }
            "s3" => Place::Bucket(Bucket::at(&url, variables)?),
            other => return Err(Error::address(&format!("{other}:// is neither"))),
        };
        Ok(Self::of(place))
    }

    fn of(place: Place) -> Self {
        let address = match &place {
            Place::Directory(directory) => directory.address(),
            Place::Bucket(bucket) => bucket.address(),
        };
        Self { place, address: address.into() }
    }

    /// Where it is, the same however it was written: `file://` and the path, with links followed where it is there
    /// already, or `s3://` and the bucket with its prefix. Which server has the bucket is not told.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Writes one object, replacing an older one of the same key. It is there whole or not at all.
    ///
    /// # Errors
    ///
    /// [`Error`], when it was not written.
    pub async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<(), Error> {
        match &self.place {
            Place::Directory(directory) => directory.put(key, bytes).await,
            Place::Bucket(bucket) => bucket.put(key, bytes).await,
        }
    }

    /// Reads one object, or nothing where there is none of this key.
    ///
    /// # Errors
    ///
    /// [`Error`], when it is unknown whether there is one.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        match &self.place {
            Place::Directory(directory) => directory.get(key).await,
            Place::Bucket(bucket) => bucket.get(key).await,
        }
    }

    /// Removes objects, 1,000 a request where the storage has such requests. One that is not there is
    /// removed already. Directories that have become empty go too. Answers with an entry for each key
    /// that could not be removed; the objects of all other keys are gone.
    ///
    /// # Errors
    ///
    /// What keeps the storage from removing anything more, such as its absence or a missing bucket.
    /// Some objects may be gone then; ask again for all.
    pub async fn remove(&self, keys: &[String]) -> Result<Vec<(String, Error)>, Error> {
        match &self.place {
            Place::Directory(directory) => directory.remove(keys).await,
            Place::Bucket(bucket) => bucket.remove(keys).await,
        }
    }

    /// Up to `limit` objects whose keys begin with `prefix`, which ends with `/`: key and bytes, in no
    /// promised order. Fewer than `limit` are all.
    ///
    /// # Errors
    ///
    /// [`Error::Key`] for another prefix; [`Error`] when the storage does not tell.
    pub async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<(String, u64)>, Error> {
        match &self.place {
            Place::Directory(directory) => directory.list(prefix, limit).await,
            Place::Bucket(bucket) => bucket.list(prefix, limit).await,
        }
    }

    /// Removes what [`Storage::list`] does not show under `prefix`, which ends with `/`, and tells how
    /// many of each there were. In a bucket: older versions and delete markers, and unfinished
    /// uploads. In a directory: temporary files of unfinished writes, and empty directories.
    ///
    /// A bucket that keeps no versions has none to remove. A server that does not know the question
    /// for versions is believed to keep none, unless the bucket says that it does; one that does not
    /// know the question for uploads is believed to have no uploads in parts. Both are logged.
    ///
    /// # Errors
    ///
    /// [`Error::Key`] for another prefix; [`Error`] when the storage does not tell or does not remove,
    /// for want of a permission for instance. Ask again then: what is gone already is not counted.
    pub async fn purge_hidden(&self, prefix: &str) -> Result<Hidden, Error> {
        match &self.place {
            Place::Directory(directory) => directory.purge_hidden(prefix).await,
            Place::Bucket(bucket) => bucket.purge_hidden(prefix).await,
        }
    }

    /// As [`Storage::purge_hidden`], of these very keys, wherever they are. In a directory the temporary files
    /// only.
    ///
    /// # Errors
    ///
    /// [`Error`] when the storage does not tell or does not remove; as there.
    pub async fn purge_hidden_of(&self, keys: &[String]) -> Result<Hidden, Error> {
        match &self.place {
            Place::Directory(directory) => directory.purge_hidden_of(keys).await,
            Place::Bucket(bucket) => bucket.purge_hidden_of(keys).await,
        }
    }
}
