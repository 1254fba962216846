//! What a listing of a bucket does not show: older versions, delete markers, unfinished uploads.

use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::Method;

use super::{
    Bucket, Hidden, SINGLES, Target,
    answer::{self, UploadPage, VersionPage, Versioning},
    request::{Fault, Request},
};
use crate::storage::Error;

/// Which of the hidden things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Versions and delete markers that are not the latest of their key.
    Older,
    /// Delete markers that are the latest of their key.
    Markers,
    Uploads,
}

/// A page of one kind.
#[derive(Debug)]
struct Page {
    /// Of an upload, `version` is the id of the upload.
    targets: Vec<Target>,
    /// How many of the targets, the first ones, are versions and no markers.
    versions: usize,
    /// From where the next page goes, as the server says it.
    next: Option<Place>,
}

/// A place between two pages: a key, and the version or the upload of it.
#[derive(Clone, Debug, Default)]
struct Place {
    key: String,
    id: String,
}

/// Whose hidden things.
#[derive(Clone, Copy, Debug)]
enum Reach<'a> {
    /// Of all whole keys that begin so.
    Prefix(&'a str),
    /// Of one whole key, which comes first among those that begin with it.
    Key(&'a str),
    /// Of these whole keys, in order, wherever they are among those that begin so.
    Keys { prefix: &'a str, keys: &'a [String] },
}

impl<'a> Reach<'a> {
    fn prefix(self) -> &'a str {
        match self {
            Self::Prefix(prefix) | Self::Key(prefix) | Self::Keys { prefix, .. } => prefix,
        }
    }

    fn holds(self, key: &str) -> bool {
        match self {
            Self::Prefix(prefix) => key.starts_with(prefix),
            Self::Key(one) => key == one,
            Self::Keys { keys, .. } => keys.binary_search_by(|one| one.as_str().cmp(key)).is_ok(),
        }
    }
}

/// Removes what is hidden under a whole prefix.
pub(super) async fn purge(bucket: &Bucket, prefix: &str) -> Result<Hidden, Error> {
    let (mut hidden, reach) = (Hidden::default(), Reach::Prefix(prefix));
    // A marker hides the version below it, which comes back as an object when the marker goes first.
    for kind in [Kind::Older, Kind::Markers, Kind::Uploads] {
        sweep_or_believe(bucket, reach, kind, &mut hidden).await?;
    }
    Ok(hidden)
}

/// Removes what is hidden behind whole keys, wherever they are. Versions are looked for key by key, and only
/// where the bucket may keep some; uploads in one listing, for few are unfinished.
pub(super) async fn purge_keys(bucket: &Bucket, mut keys: Vec<String>) -> Result<Hidden, Error> {
    keys.sort_unstable();
    let mut hidden = Hidden::default();
    let [Some(first), Some(last)] = [keys.first(), keys.last()] else { return Ok(hidden) };
    if keeps_versions(bucket).await? {
        let each = stream::iter(keys.clone()).map(|key| versions_of(bucket, key));
        let all: Vec<_> = each.buffer_unordered(SINGLES).try_collect().await?;
        for one in all {
            hidden.versions += one.versions;
            hidden.markers += one.markers;
        }
    }
    let common = first.char_indices().zip(last.chars()).find(|((_, a), b)| a != b);
    let prefix = common.map_or(first.as_str(), |((place, _), _)| &first[..place]);
    let reach = Reach::Keys { prefix, keys: &keys };
    sweep_or_believe(bucket, reach, Kind::Uploads, &mut hidden).await?;
    Ok(hidden)
}

async fn versions_of(bucket: &Bucket, key: String) -> Result<Hidden, Error> {
    let mut hidden = Hidden::default();
    for kind in [Kind::Older, Kind::Markers] {
        sweep_or_believe(bucket, Reach::Key(&key), kind, &mut hidden).await?;
    }
    Ok(hidden)
}

/// Whether there can be versions: not in a bucket that never kept any, nor on a server that knows none.
async fn keeps_versions(bucket: &Bucket) -> Result<bool, Error> {
    match bucket.client.ask(Method::GET, &[("versioning", "")]).await {
        Ok(answer) => Ok(bucket.client.read::<Versioning>(&answer, "Versioning")?.status.is_some()),
        Err(fault) if fault.is_unknown_request() => Ok(false),
        Err(fault) => Err(fault.into_error()),
    }
}

async fn sweep_or_believe(
    bucket: &Bucket,
    reach: Reach<'_>,
    kind: Kind,
    hidden: &mut Hidden,
) -> Result<(), Error> {
    match sweep(bucket, reach, kind, hidden).await {
        Ok(()) => Ok(()),
        Err(fault) if fault.is_unknown_request() => believe(bucket, kind).await,
        Err(fault) => Err(fault.into_error()),
    }
}

/// Removes all things of a kind, page by page.
async fn sweep(bucket: &Bucket, reach: Reach<'_>, kind: Kind, hidden: &mut Hidden) -> Result<(), Fault> {
    let mut from = None;
    let mut last = None;
    loop {
        let page = page(bucket, reach, kind, from.as_ref()).await?;
        let Some(first) = page.targets.first().cloned() else {
            match page.next {
                Some(next) if !matches!(reach, Reach::Key(key) if next.key.as_str() > key) => {
                    from = Some(next);
                }
                _ => return Ok(()),
            }
            continue;
        };
        if last.as_ref() == Some(&first) {
            let text =
                format!("{}, key {:?}: it was removed and is still there", bucket.client.bucket, first.key);
            return Err(Fault::Error(Error::Unavailable(text)));
        }
        let (all, versions) = (page.targets.len(), page.versions);
        remove(bucket, kind, page.targets).await.map_err(Fault::Error)?;
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        match kind {
            Kind::Uploads => hidden.uploads += count(all),
            Kind::Older | Kind::Markers => {
                hidden.versions += count(versions);
                hidden.markers += count(all - versions);
            }
        }
        // The same page again: the place after it may have been one of those that are gone now.
        last = Some(first);
    }
}

async fn page(bucket: &Bucket, reach: Reach<'_>, kind: Kind, from: Option<&Place>) -> Result<Page, Fault> {
    let (what, most, id) = match kind {
        Kind::Older | Kind::Markers => ("versions", "max-keys", "version-id-marker"),
        Kind::Uploads => ("uploads", "max-uploads", "upload-id-marker"),
    };
    let mut query = vec![(what, ""), ("encoding-type", "url"), (most, "1000"), ("prefix", reach.prefix())];
    if let Some(from) = from {
        query.push(("key-marker", &from.key));
        // A place may be between two keys.
        query.extend((!from.id.is_empty()).then_some((id, &*from.id)));
    }
    let answer = bucket.client.ask(Method::GET, &query).await?;
    let page = match kind {
        Kind::Uploads => uploads(bucket, &answer, reach),
        Kind::Older | Kind::Markers => versions(bucket, &answer, reach, kind),
    };
    page.map_err(Fault::Error)
}

fn versions(bucket: &Bucket, answer: &[u8], reach: Reach<'_>, kind: Kind) -> Result<Page, Error> {
    let read: VersionPage = bucket.client.read(answer, "ListVersionsResult")?;
    let decode = answer::decoder(read.encoding_type.as_deref());
    let mut targets = Vec::new();
    let mut versions = 0;
    for (is_version, list) in [(true, read.versions), (false, read.markers)] {
        for found in list {
            let is_meant = match kind {
                Kind::Older => !found.is_latest,
                _ => !is_version && found.is_latest,
            };
            let key = decode(found.key)?;
            if is_meant && reach.holds(&key) {
                versions += usize::from(is_version);
                targets.push(Target { key, version: Some(found.id) });
            }
        }
    }
    let next = place(read.is_truncated, read.next_key_marker, read.next_version_id_marker, decode)?;
    Ok(Page { targets, versions, next })
}

fn uploads(bucket: &Bucket, answer: &[u8], reach: Reach<'_>) -> Result<Page, Error> {
    let read: UploadPage = bucket.client.read(answer, "ListMultipartUploadsResult")?;
    let decode = answer::decoder(read.encoding_type.as_deref());
    let mut targets = Vec::new();
    for found in read.uploads {
        let key = decode(found.key)?;
        if reach.holds(&key) {
            targets.push(Target { key, version: Some(found.id) });
        }
    }
    let next = place(read.is_truncated, read.next_key_marker, read.next_upload_id_marker, decode)?;
    Ok(Page { targets, versions: 0, next })
}

fn place(
    is_truncated: bool,
    key: Option<String>,
    id: Option<String>,
    decode: impl Fn(String) -> Result<String, Error>,
) -> Result<Option<Place>, Error> {
    let key = key.filter(|_| is_truncated).map(decode).transpose()?;
    Ok(key.map(|key| Place { key, id: id.unwrap_or_default() }))
}

/// Removes all targets, or fails with the first that stays.
async fn remove(bucket: &Bucket, kind: Kind, targets: Vec<Target>) -> Result<(), Error> {
    if kind != Kind::Uploads {
        return bucket.delete(targets).await?.into_iter().next().map_or(Ok(()), |(_, error)| Err(error));
    }
    stream::iter(targets).map(|upload| abort(bucket, upload)).buffer_unordered(SINGLES).try_collect().await
}

async fn abort(bucket: &Bucket, upload: Target) -> Result<(), Error> {
    let query = [("uploadId", upload.version.as_deref().unwrap_or_default())];
    let request = Request { key: Some(&upload.key), query: &query, ..Request::new(Method::DELETE) };
    match bucket.client.send(&request).await {
        Err(fault) if !fault.is_missing_object() => Err(fault.into_error()),
        _ => Ok(()),
    }
}

/// What to make of a server that does not know the question.
async fn believe(bucket: &Bucket, kind: Kind) -> Result<(), Error> {
    let name = &bucket.client.bucket;
    if kind == Kind::Uploads {
        tracing::warn!("{name}: the server knows no uploads in parts, so none is looked for");
        return Ok(());
    }
    match bucket.client.ask(Method::GET, &[("versioning", "")]).await {
        Ok(answer) => {
            let read: Versioning = bucket.client.read(&answer, "Versioning")?;
            if let Some(status) = read.status {
                let text = format!("{name}: it keeps versions ({status}) and the server does not tell them");
                return Err(Error::Refused(text));
            }
        }
        Err(fault) if fault.is_unknown_request() => {}
        Err(fault) => return Err(fault.into_error()),
    }
    tracing::warn!("{name}: the server knows no versions, so none is looked for");
    Ok(())
}
