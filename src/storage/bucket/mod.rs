//! Objects in a bucket that speaks S3.
//!
//! Requests are made here and not by the library `object_store`, which lends its credentials,
//! signatures and connections: its paths cannot hold every key of S3 (`a//b`, `/a`), it knows nothing
//! of versions and unfinished uploads, and one odd key fails a whole listing.

mod answer;
mod hidden;
mod request;

use futures_util::{StreamExt, TryStreamExt, stream};
use percent_encoding::percent_decode_str;
use reqwest::Method;
use url::Url;

use self::{
    answer::{Deleted, ObjectPage},
    request::{Client, Fault, Request},
};
use super::{Error, Hidden};

/// Most keys that one request may list or delete, by the rules of S3.
const PAGE: usize = 1000;
/// Most bytes that a key may have, by the rules of S3.
const LONGEST_KEY: usize = 1024;
/// Requests for bulk deletion at once.
const BULKS: usize = 4;
/// Requests that each delete one thing, at once.
const SINGLES: usize = 8;

#[derive(Clone, Debug)]
pub(super) struct Bucket {
    client: Client,
    /// What all keys here begin with: empty, or with `/` at its end.
    prefix: String,
}

/// One thing to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    /// The whole key, with the bucket's prefix.
    key: String,
    version: Option<String>,
}

impl Bucket {
    /// The bucket of `s3://BUCKET[/PREFIX]`.
    pub(super) fn at(url: &Url, variables: impl Iterator<Item = (String, String)>) -> Result<Self, Error> {
        let name = url.host_str().filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| Error::address("s3:// must be followed by the name of a bucket"))?;
        let is_bare = url.username().is_empty() && url.password().is_none() && url.port().is_none();
        if !is_bare || url.query().is_some() || url.fragment().is_some() {
            return Err(Error::address("of s3:// only a bucket and a prefix may follow"));
        }
        let path = percent_decode_str(url.path()).decode_utf8();
        let path = path.map_err(|_| Error::address("the prefix is no UTF-8"))?;
        let prefix = path.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Ok(Self { client: Client::new(name, variables)?, prefix })
    }

    pub(super) fn address(&self) -> String {
        format!("s3://{}/{}", self.client.bucket, self.prefix)
    }

    pub(super) async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<(), Error> {
        let whole = self.whole(key)?;
        let request = Request { key: Some(&whole), body: bytes.into(), ..Request::new(Method::PUT) };
        self.client.send(&request).await.map(|_| ()).map_err(Fault::into_error)
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let whole = self.whole(key)?;
        let request = Request { key: Some(&whole), ..Request::new(Method::GET) };
        match self.client.send(&request).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(fault) if fault.is_missing_object() => Ok(None),
            Err(fault) => Err(fault.into_error()),
        }
    }

    pub(super) async fn remove(&self, keys: &[String]) -> Result<Vec<(String, Error)>, Error> {
        let mut failed = Vec::new();
        let mut targets = Vec::with_capacity(keys.len());
        for key in keys {
            match self.whole(key) {
                Ok(whole) => targets.push(Target { key: whole, version: None }),
                Err(error) => failed.push((key.clone(), error)),
            }
        }
        for (target, error) in self.delete(targets).await? {
            failed.push((target.key[self.prefix.len()..].to_owned(), error));
        }
        Ok(failed)
    }

    pub(super) async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<(String, u64)>, Error> {
        let whole = self.whole_prefix(prefix)?;
        let mut found = Vec::new();
        let mut token = None::<String>;
        while found.len() < limit {
            let most = (limit - found.len()).min(PAGE).to_string();
            let mut query =
                vec![("encoding-type", "url"), ("list-type", "2"), ("max-keys", &most), ("prefix", &whole)];
            query.extend(token.as_deref().map(|token| ("continuation-token", token)));
            let answer = self.client.ask(Method::GET, &query).await.map_err(Fault::into_error)?;
            let page: ObjectPage = self.client.read(&answer, "ListBucketResult")?;
            let decode = answer::decoder(page.encoding_type.as_deref());
            for object in page.contents {
                let key = decode(object.key)?;
                // A server that does not know prefixes would have strangers' objects removed.
                if key.starts_with(&whole) {
                    found.push((key[self.prefix.len()..].to_owned(), object.size));
                }
            }
            token = page.next_continuation_token.filter(|_| page.is_truncated);
            if token.is_none() {
                break;
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    pub(super) async fn purge_hidden(&self, prefix: &str) -> Result<Hidden, Error> {
        hidden::purge(self, &self.whole_prefix(prefix)?).await
    }

    pub(super) async fn purge_hidden_of(&self, keys: &[String]) -> Result<Hidden, Error> {
        // A key that can name no object has nothing hidden behind it.
        hidden::purge_keys(self, keys.iter().filter_map(|key| self.whole(key).ok()).collect()).await
    }

    /// Deletes objects or versions, answering with those that are still there.
    async fn delete(&self, targets: Vec<Target>) -> Result<Vec<(Target, Error)>, Error> {
        let (plain, odd): (Vec<_>, Vec<_>) =
            targets.into_iter().partition(|target| answer::is_plain(&target.key));
        let mut failed: Vec<_> = stream::iter(plain.chunks(PAGE).map(<[Target]>::to_vec))
            .map(|targets| self.delete_bulk(targets))
            .buffer_unordered(BULKS)
            .try_concat()
            .await?;
        let left: Vec<_> = stream::iter(odd)
            .map(|target| self.delete_one(target))
            .buffer_unordered(SINGLES)
            .try_collect()
            .await?;
        failed.extend(left.into_iter().flatten());
        Ok(failed)
    }

    /// One request for up to a page of plain keys.
    async fn delete_bulk(&self, targets: Vec<Target>) -> Result<Vec<(Target, Error)>, Error> {
        let order = answer::deletion(targets.iter().map(|target| (&*target.key, target.version.as_deref())));
        let request = Request {
            query: &[("delete", "")],
            digest: Some(request::md5(order.as_bytes())),
            body: order.into(),
            ..Request::new(Method::POST)
        };
        let answer = self.client.send(&request).await.map_err(Fault::into_error)?;
        let answer: Deleted = self.client.read(&answer, "DeleteResult")?;
        let mut failed = Vec::new();
        for error in answer.errors {
            let target = targets.iter().find(|target| {
                let is_any = target.version.is_none() || error.version_id.is_none();
                target.key == error.key && (is_any || target.version == error.version_id)
            });
            let what = format!("{}, key {:?}", self.client.bucket, error.key);
            let fault = Fault::told(&what, &error.code, &error.message);
            match target {
                Some(_) if fault.is_missing_object() => {}
                Some(target) => failed.push((target.clone(), fault.into_error())),
                // Nobody knows which one is meant: none counts as gone.
                None => return Err(fault.into_error()),
            }
        }
        Ok(failed)
    }

    /// One request for a key that XML cannot carry.
    async fn delete_one(&self, target: Target) -> Result<Option<(Target, Error)>, Error> {
        let query: Vec<_> = target.version.iter().map(|version| ("versionId", &**version)).collect();
        let request = Request { key: Some(&target.key), query: &query, ..Request::new(Method::DELETE) };
        match self.client.send(&request).await {
            Ok(_) => Ok(None),
            Err(fault) if fault.is_missing_object() => Ok(None),
            Err(Fault::Error(error @ Error::Key { .. })) => Ok(Some((target, error))),
            Err(fault) => Err(fault.into_error()),
        }
    }

    /// The key as the bucket has it.
    fn whole(&self, key: &str) -> Result<String, Error> {
        if key.is_empty() {
            return Err(Error::key(key, "it is empty"));
        }
        let whole = format!("{}{key}", self.prefix);
        if whole.len() > LONGEST_KEY {
            return Err(Error::key(key, "it is longer than a key in a bucket can be"));
        }
        Ok(whole)
    }

    fn whole_prefix(&self, prefix: &str) -> Result<String, Error> {
        if !prefix.ends_with('/') {
            return Err(Error::key(prefix, "a prefix ends with /"));
        }
        self.whole(prefix)
    }
}
