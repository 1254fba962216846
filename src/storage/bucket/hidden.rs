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

/// Removes what is hidden under a whole prefix.
pub(super) async fn purge(bucket: &Bucket, prefix: &str) -> Result<Hidden, Error> {
    let mut hidden = Hidden::default();
    // A marker hides the version below it, which comes back as an object when the marker goes first.
    for kind in [Kind::Older, Kind::Markers, Kind::Uploads] {
        match sweep(bucket, prefix, kind, &mut hidden).await {
            Ok(()) => {}
            Err(fault) if fault.is_unknown_request() => believe(bucket, kind).await?,
            Err(fault) => return Err(fault.into_error()),
        }
    }
    Ok(hidden)
}

/// Removes all things of a kind, page by page.
async fn sweep(bucket: &Bucket, prefix: &str, kind: Kind, hidden: &mut Hidden) -> Result<(), Fault> {
    let mut from = None;
    let mut last = None;
    loop {
        let page = page(bucket, prefix, kind, from.as_ref()).await?;
        let Some(first) = page.targets.first().cloned() else {
            match page.next {
                Some(next) => from = Some(next),
                None => return Ok(()),
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

async fn page(bucket: &Bucket, prefix: &str, kind: Kind, from: Option<&Place>) -> Result<Page, Fault> {
    let (what, most, id) = match kind {
        Kind::Older | Kind::Markers => ("versions", "max-keys", "version-id-marker"),
        Kind::Uploads => ("uploads", "max-uploads", "upload-id-marker"),
    };
    let mut query = vec![(what, ""), ("encoding-type", "url"), (most, "1000"), ("prefix", prefix)];
    if let Some(from) = from {
        query.push(("key-marker", &from.key));
        // A place may be between two keys.
        query.extend((!from.id.is_empty()).then_some((id, &*from.id)));
    }
    let answer = bucket.client.ask(Method::GET, &query).await?;
    let page = match kind {
        Kind::Uploads => uploads(bucket, &answer, prefix),
        Kind::Older | Kind::Markers => versions(bucket, &answer, prefix, kind),
    };
    page.map_err(Fault::Error)
}

fn versions(bucket: &Bucket, answer: &[u8], prefix: &str, kind: Kind) -> Result<Page, Error> {
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
            if is_meant && key.starts_with(prefix) {
                versions += usize::from(is_version);
                targets.push(Target { key, version: Some(found.id) });
            }
        }
    }
    let next = place(read.is_truncated, read.next_key_marker, read.next_version_id_marker, decode)?;
    Ok(Page { targets, versions, next })
}

fn uploads(bucket: &Bucket, answer: &[u8], prefix: &str) -> Result<Page, Error> {
    let read: UploadPage = bucket.client.read(answer, "ListMultipartUploadsResult")?;
    let decode = answer::decoder(read.encoding_type.as_deref());
    let mut targets = Vec::new();
    for found in read.uploads {
        let key = decode(found.key)?;
        if key.starts_with(prefix) {
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
