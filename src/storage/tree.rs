//! The files below a directory. Nothing outside of it is read, written or removed: no key leads out
//! by its name, and none through a link.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, DirEntry, ReadDir},
    io::ErrorKind::{self, DirectoryNotEmpty, InvalidFilename, IsADirectory, NotADirectory, NotFound},
    path::{Component, Path, PathBuf},
};

use super::Error;

/// A directory that was there a moment ago, with all links on the way to it followed.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
}

/// What came of the removal of some files.
#[derive(Debug, Default)]
pub(super) struct Removal {
    /// Those that are still there, or that no file can be named.
    pub(super) failed: Vec<(String, Error)>,
    /// Where the others were.
    pub(super) directories: BTreeSet<PathBuf>,
}

impl Tree {
    /// A root that is missing is no empty storage: its disk may just not be mounted.
    pub(super) fn open(root: &Path) -> Result<Self, Error> {
        let root = fs::canonicalize(root).map_err(|error| Error::io(root, &error))?;
        Ok(Self { root })
    }

    /// Where a file of this key can be written: the root, if the way to the file does not lead out.
    pub(super) fn prepare(&self, key: &str) -> Result<PathBuf, Error> {
        let path = self.path(key)?;
        if path.file_name().is_some_and(|name| is_unfinished(&name.to_string_lossy())) {
            return Err(Error::key(key, "names with # and digits at the end are kept for unfinished writes"));
        }
        for directory in path.ancestors().skip(1) {
            if self.holds(directory, key)? {
                break;
            }
        }
        Ok(self.root.clone())
    }

    pub(super) fn read(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let path = self.path(key)?;
        if !self.holds(&path, key)? {
            return Ok(None);
        }
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if is_absence(error.kind()) => Ok(None),
            Err(error) => Err(Error::io(&path, &error)),
        }
    }

    /// Removes files, and of links the link.
    pub(super) fn remove(&self, keys: Vec<String>) -> Removal {
        let (mut removal, mut absent) = (Removal::default(), BTreeSet::new());
        for key in keys {
            match self.remove_one(&key, &removal.directories, &mut absent) {
                Ok(Some(directory)) => {
                    removal.directories.insert(directory);
                }
                Ok(None) => {}
                Err(error) => removal.failed.push((key, error)),
            }
        }
        removal
    }

    /// The directory in which the file is no more, if that is there. `safe` are known to lie inside, `absent` not to
    /// be there.
    fn remove_one(
        &self,
        key: &str,
        safe: &BTreeSet<PathBuf>,
        absent: &mut BTreeSet<PathBuf>,
    ) -> Result<Option<PathBuf>, Error> {
        let path = self.path(key)?;
        let directory = path.parent().unwrap_or(&self.root);
        if absent.contains(directory) {
            return Ok(None);
        }
        if !safe.contains(directory) && !self.holds(directory, key)? {
            absent.insert(directory.to_owned());
            return Ok(None);
        }
        match fs::remove_file(&path) {
            Ok(()) => Ok(Some(directory.to_owned())),
            Err(error) if is_absence(error.kind()) => Ok(Some(directory.to_owned())),
            Err(error) if error.kind() == InvalidFilename => Err(too_long(key)),
            // Where a directory cannot be unlinked it may be told as a want of permission.
            Err(_) if fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir()) => Ok(None),
            Err(error) => Err(Error::io(&path, &error)),
        }
    }

    /// Removes these directories where they are empty, and those above them, up to the root. One that
    /// stays is no fault here: [`Tree::purge`] tells.
    pub(super) fn prune(&self, directories: BTreeSet<PathBuf>) {
        for directory in directories {
            let inside = directory.ancestors().take_while(|path| **path != *self.root);
            for path in inside {
                if fs::remove_dir(path).is_err_and(|error| error.kind() != NotFound) {
                    break;
                }
            }
        }
    }

    /// Files and links under a prefix, in the order in which the file system tells.
    pub(super) fn list(&self, prefix: &str, limit: usize) -> Result<Vec<(String, u64)>, Error> {
        let mut found = Vec::new();
        let mut open = Vec::new();
        let start = self.start(prefix)?;
        open.extend(read(&start)?.map(|entries| (start, prefix.to_owned(), entries)));
        while found.len() < limit
            && let Some((directory, prefix, entries)) = open.last_mut()
        {
            let Some(entry) = next(directory, entries)? else {
                open.pop();
                continue;
            };
            let path = entry.path();
            let Ok(name) = entry.file_name().into_string() else {
                return Err(Error::Refused(format!("{}: the name is no text", path.display())));
            };
            let key = format!("{prefix}{name}");
            match entry.metadata() {
                Ok(about) if about.is_dir() => {
                    open.extend(read(&path)?.map(|entries| (path, format!("{key}/"), entries)));
                }
                Ok(_) if is_unfinished(&name) => {}
                Ok(about) => found.push((key, about.len())),
                Err(error) if error.kind() == NotFound => {}
                Err(error) => return Err(Error::io(&path, &error)),
            }
        }
        Ok(found)
    }

    /// Removes temporary files, whose number it returns, and empty directories.
    pub(super) fn purge(&self, prefix: &str) -> Result<u64, Error> {
        let start = self.start(prefix)?;
        let removed = purge(&start)?;
        self.prune(start.parent().map(Path::to_owned).into_iter().collect());
        Ok(removed)
    }

    /// Removes the temporary files of some keys, whose number it returns, and directories that have become empty.
    pub(super) fn purge_of(&self, keys: &[String]) -> Result<u64, Error> {
        let mut names = BTreeMap::<PathBuf, BTreeSet<&str>>::new();
        for key in keys {
            let Ok(path) = self.path(key) else { continue };
            let (Some(directory), Some(name)) = (path.parent(), key.rsplit('/').next()) else { continue };
            if self.holds(directory, key).unwrap_or(false) {
                names.entry(directory.to_owned()).or_default().insert(name);
            }
        }
        let mut removed = 0;
        for (directory, names) in &names {
            let Some(mut entries) = read(directory)? else { continue };
            while let Some(entry) = next(directory, &mut entries)? {
                let name = entry.file_name();
                let Some(name) = name.to_str().filter(|name| is_unfinished(name)) else { continue };
                if name.rsplit_once('#').is_some_and(|(key, _)| names.contains(key)) {
                    removed += remove_unfinished(&entry.path())?;
                }
            }
        }
        self.prune(names.into_keys().collect());
        Ok(removed)
    }

    /// The path of a key, below the root as far as names can tell.
    fn path(&self, key: &str) -> Result<PathBuf, Error> {
        if key.contains('\0') {
            return Err(Error::key(key, "a file has no zero byte in its name"));
        }
        let mut path = self.root.clone();
        for part in key.split('/') {
            if !Path::new(part).components().eq([Component::Normal(part.as_ref())]) {
                return Err(Error::key(key, "between two / there must be the name of a file"));
            }
            path.push(part);
        }
        Ok(path)
    }

    fn start(&self, prefix: &str) -> Result<PathBuf, Error> {
        let name = prefix.strip_suffix('/').ok_or_else(|| Error::key(prefix, "a prefix ends with /"))?;
        let path = self.path(name)?;
        self.holds(&path, prefix)?;
        Ok(path)
    }

    /// Whether the path is there. An error when a link on the way leads out of the tree.
    fn holds(&self, path: &Path, key: &str) -> Result<bool, Error> {
        match fs::canonicalize(path) {
            Ok(real) if real.starts_with(&self.root) => Ok(true),
            Ok(_) => Err(Error::key(key, "a link leads out of the directory")),
            Err(error) if is_absence(error.kind()) => Ok(false),
            Err(error) if error.kind() == InvalidFilename => Err(too_long(key)),
            Err(error) => Err(Error::io(path, &error)),
        }
    }
}

fn too_long(key: &str) -> Error {
    Error::key(key, "it is longer than the name of a file can be")
}

/// Whether a path with this fault has no file.
fn is_absence(kind: ErrorKind) -> bool {
    matches!(kind, NotFound | NotADirectory | IsADirectory)
}

/// Whether a file of this name is a write that did not come to its end: such a file has the name of
/// the one that it is to become, `#` and a number.
fn is_unfinished(name: &str) -> bool {
    name.rsplit_once('#')
        .is_some_and(|(_, end)| !end.is_empty() && end.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The entries of a directory, or nothing where there is none any more.
fn read(directory: &Path) -> Result<Option<ReadDir>, Error> {
    match fs::read_dir(directory) {
        Ok(entries) => Ok(Some(entries)),
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => Ok(None),
        Err(error) => Err(Error::io(directory, &error)),
    }
}

fn next(directory: &Path, entries: &mut ReadDir) -> Result<Option<DirEntry>, Error> {
    entries.next().transpose().map_err(|error| Error::io(directory, &error))
}

/// Children first, so that a directory of empty directories goes.
fn purge(directory: &Path) -> Result<u64, Error> {
    let Some(mut entries) = read(directory)? else { return Ok(0) };
    let mut removed = 0;
    while let Some(entry) = next(directory, &mut entries)? {
        let path = entry.path();
        let kind = entry.file_type().map_err(|error| Error::io(&path, &error))?;
        if kind.is_dir() {
            removed += purge(&path)?;
        } else if is_unfinished(&entry.file_name().to_string_lossy()) {
            removed += remove_unfinished(&path)?;
        }
    }
    match fs::remove_dir(directory) {
        Err(error) if !matches!(error.kind(), NotFound | NotADirectory | DirectoryNotEmpty) => {
            Err(Error::io(directory, &error))
        }
        _ => Ok(removed),
    }
}

fn remove_unfinished(path: &Path) -> Result<u64, Error> {
    match fs::remove_file(path) {
        Ok(()) => Ok(1),
        Err(error) if error.kind() == NotFound => Ok(0),
        Err(error) => Err(Error::io(path, &error)),
    }
}
