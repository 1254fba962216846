//! Objects in a bucket of a real S3 server: keys, versions, uploads, rights.

use tenant_gateway::storage::{Error, Hidden, Storage};

use crate::support::{FaultProxy, S3};

/// Keys that a platform might write, and how an address spells them.
const KEYS: [(&str, &str); 15] = [
    ("t/plain", "t/plain"),
    ("t/a b", "t/a%20b"),
    ("t/a+b", "t/a%2Bb"),
    ("t/a%2Fb", "t/a%252Fb"),
    ("t/a?b=c&d", "t/a%3Fb%3Dc%26d"),
    ("t/ü/日本.wav", "t/%C3%BC/%E6%97%A5%E6%9C%AC.wav"),
    ("t/a//b", "t/a//b"),
    ("t//", "t//"),
    ("t/<&>\"'", "t/%3C%26%3E%22%27"),
    ("t/#1", "t/%231"),
    ("t/ blank ", "t/%20blank%20"),
    ("t/cr\r", "t/cr%0D"),
    ("t/bell\u{7}", "t/bell%07"),
    ("t/~!*'()", "t/~!*'()"),
    ("t/\u{ffff}", "t/%EF%BF%BF"),
];

async fn keys(storage: &Storage, prefix: &str) -> Vec<String> {
    let listed = storage.list(prefix, usize::MAX).await.expect("a list");
    listed.into_iter().map(|(key, _)| key).collect()
}

#[tokio::test]
async fn a_key_is_the_key_that_the_platform_wrote() {
    let Some(server) = S3::shared().await else { return };
    let bucket = server.bucket().await;
    let storage = bucket.storage("");
    for (key, path) in KEYS {
        bucket.write(path, "12345");
        assert_eq!(storage.get(key).await.expect(key).as_deref(), Some(&b"12345"[..]), "{key:?}");
        storage.put(key, b"123456".to_vec()).await.expect(key);
    }
    assert_eq!(bucket.objects().await, KEYS.len(), "what was written are the same objects");
    let mut listed = storage.list("t/", usize::MAX).await.expect("a list");
    listed.sort();
    let mut expected = KEYS.map(|(key, _)| (key.to_owned(), 6));
    expected.sort();
    assert_eq!(listed, expected);

    bucket.write("other", "");
    bucket.write("%2Ft/leading", "");
    let gone: Vec<_> = expected.into_iter().map(|(key, _)| key).collect();
    assert!(storage.remove(&gone).await.expect("a removal").is_empty());
    assert_eq!(bucket.objects().await, 2);
    assert!(storage.remove(&["/t/leading".to_owned()]).await.expect("a removal").is_empty());
    assert_eq!(bucket.objects().await, 1);
    assert_eq!(storage.get("t/plain").await.expect("an answer"), None);
}

#[tokio::test]
async fn keys_with_dots_are_themselves_and_others_are_told() {
    let Some(server) = S3::shared().await else { return };
    let bucket = server.bucket().await;
    let storage = bucket.storage("");
    for path in ["t/../secret", "secret", "t/./x", "t/x"] {
        bucket.write(path, "s");
    }
    let long = "x".repeat(1025);
    let asked = ["t/../secret", "t/./x", "", &long, "t/../\u{1}", "t/x"].map(str::to_owned);
    let failed = storage.remove(&asked).await.expect("a removal");
    assert_eq!(failed.iter().map(|(key, _)| &**key).collect::<Vec<_>>(), ["", &long, "t/../\u{1}"]);
    assert!(failed.iter().all(|(_, error)| matches!(error, Error::Key { .. })), "{failed:?}");
    assert_eq!(bucket.objects().await, 1);
    assert!(bucket.has("secret").await);
    for key in ["t/../secret", "..", "", &long] {
        assert!(matches!(storage.get(key).await, Err(Error::Key { .. })), "{key:?}");
        assert!(matches!(storage.put(key, vec![1]).await, Err(Error::Key { .. })), "{key:?}");
    }
    for prefix in ["", "t"] {
        assert!(matches!(storage.list(prefix, 1).await, Err(Error::Key { .. })), "{prefix:?}");
        assert!(matches!(storage.purge_hidden(prefix).await, Err(Error::Key { .. })), "{prefix:?}");
    }
}

#[tokio::test]
async fn a_prefix_of_the_address_goes_before_every_key() {
    let Some(server) = S3::shared().await else { return };
    let bucket = server.bucket().await;
    let storage = bucket.storage("some/where%20else/");
    storage.put("t/a", b"1".to_vec()).await.expect("a write");
    assert!(bucket.has("some/where%20else/t/a").await);
    bucket.write("t/b", "");
    bucket.write("some/where%20else/t/%07", "");
    let mut listed = keys(&storage, "t/").await;
    listed.sort();
    assert_eq!(listed, ["t/\u{7}", "t/a"]);
    listed.push("t/b".to_owned());
    assert!(storage.remove(&listed).await.expect("a removal").is_empty());
    assert!(bucket.has("t/b").await);
    assert_eq!(bucket.objects().await, 1);
    let failed = storage.remove(&["t/../\u{1}".to_owned()]).await.expect("a removal");
    assert_eq!(failed[0].0, "t/../\u{1}", "told as it was asked");
}

#[tokio::test]
async fn a_list_goes_on_until_its_limit_or_its_end() {
    let Some(server) = S3::shared().await else { return };
    let bucket = server.bucket().await;
    let proxy = FaultProxy::start(server.address).await;
    let storage = bucket.storage_at(&proxy.url, "");
    for number in 0..10 {
        bucket.write(&format!("t/{number}"), "");
    }
    bucket.write("t2", "");
    proxy.small_pages(3);
    for (limit, requests, found) in [(0, 0, 0), (2, 1, 2), (3, 1, 3), (8, 3, 8), (10, 4, 10), (99, 4, 10)] {
        assert_eq!(storage.list("t/", limit).await.expect("a list").len(), found, "{limit}");
        assert_eq!(proxy.requests().len(), requests, "{limit}");
    }
    let mut all = keys(&storage, "t/").await;
    all.sort();
    assert_eq!(all, (0..10).map(|number| format!("t/{number}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_thousand_keys_are_one_request() {
    let Some(server) = S3::shared().await else { return };
    let bucket = server.bucket().await;
    let proxy = FaultProxy::start(server.address).await;
    let storage = bucket.storage_at(&proxy.url, "");
    for number in [0, 500, 999, 1000, 2002, 2003] {
        bucket.write(&format!("t/{number}"), "");
    }
    let keys: Vec<_> = (0..2003).map(|number| format!("t/{number}")).collect();
    assert!(storage.remove(&keys).await.expect("a removal").is_empty());
    let requests = proxy.requests();
    assert_eq!(requests.len(), 3, "{requests:?}");
    assert!(requests.iter().all(|request| request.starts_with("POST ") && request.contains("?delete")));
    assert!(bucket.objects().await == 1 && bucket.has("t/2003").await);
}

#[tokio::test]
async fn versions_and_markers_are_removed_and_none_comes_back() {
    let Some(server) = S3::shared().await else { return };
    let bucket = server.bucket().await;
    bucket.keep_versions().await;
    let storage = bucket.storage("");
    for path in ["t/1/gone", "t/1/gone", "t/1/gone", "t/1/live", "t/1/live", "t/10/other", "t/1/blank%20"] {
        bucket.write(path, "x");
    }
    let gone = ["t/1/gone", "t/10/other", "t/1/blank "].map(str::to_owned);
    assert!(storage.remove(&gone).await.expect("a removal").is_empty());
    assert_eq!(keys(&storage, "t/").await, ["t/1/live"], "nothing of the rest shows");

    let purged = storage.purge_hidden("t/1/").await.expect("a purge");
    // Three versions of the first, one of the third, and an older one of what is live.
    assert_eq!(purged, Hidden { versions: 5, markers: 2, uploads: 0 });
    assert_eq!(keys(&storage, "t/").await, ["t/1/live"]);
    assert_eq!(bucket.count("?versions&prefix=t/1/", "<Key>").await, 1);
    assert_eq!(bucket.count("?versions&prefix=t/10/", "<Key>").await, 2, "another's");
    assert_eq!(storage.purge_hidden("t/1/").await.expect("a purge"), Hidden::default());
    let purged = storage.purge_hidden("t/10/").await.expect("a purge");
    assert_eq!(purged, Hidden { versions: 1, markers: 1, uploads: 0 });
}

#[tokio::test]
async fn what_is_hidden_behind_a_key_goes_and_what_is_behind_longer_keys_stays() {
    let Some(server) = S3::shared().await else { return };
    let bucket = server.bucket().await;
    let ours = ["some/a", "some/b%20c", "some/none", "some/z"].map(|key| key.replace("%20", " "));
    for key in ["some/a", "some/a1", "some/other"] {
        bucket.begin_upload(key).await;
    }
    let storage = bucket.storage("");
    // It has never kept versions, and is not asked for any.
    let purged = storage.purge_hidden_of(&ours).await.expect("a purge");
    assert_eq!(purged, Hidden { versions: 0, markers: 0, uploads: 1 });
    assert_eq!(bucket.count("?uploads", "<UploadId>").await, 2, "of others");
    bucket.keep_versions().await;
    for path in ["some/a"; 5].iter().chain(&["some/a1", "some/a1", "some/b%20c", "some/z", "some/z"]) {
        bucket.write(path, "x");
    }
    let proxy = FaultProxy::start(server.address).await;
    let storage = bucket.storage_at(&proxy.url, "");
    assert!(storage.remove(&ours[..3]).await.expect("a removal").is_empty());
    proxy.small_pages(2);
    let purged = storage.purge_hidden_of(&ours).await.expect("a purge");
    // All of the first two, with the marks that removing them has made, and the older one of the last.
    assert_eq!(purged, Hidden { versions: 7, markers: 2, uploads: 0 });
    assert_eq!(keys(&storage, "some/").await, ["some/a1", "some/z"], "nothing has come back");
    assert_eq!(bucket.count("?versions&prefix=some/", "<Key>").await, 3, "another's two, and what lives");
    assert_eq!(storage.purge_hidden_of(&ours).await.expect("a purge"), Hidden::default());
}

#[tokio::test]
async fn versions_beyond_one_page_do_not_come_back_when_their_marker_goes() {
    let Some(server) = S3::shared().await else { return };
    let bucket = server.bucket().await;
    bucket.keep_versions().await;
    for path in ["t/1/a"; 7].iter().chain(&["t/1/b", "t/1/c", "t/1/c", "t/1/d"]) {
        bucket.write(path, "");
    }
    let proxy = FaultProxy::start(server.address).await;
    let storage = bucket.storage_at(&proxy.url, "");
    storage.remove(&["t/1/a".to_owned(), "t/1/d".to_owned()]).await.expect("a removal");
    proxy.small_pages(3);
    let purged = storage.purge_hidden("t/1/").await.expect("a purge");
    assert_eq!(purged, Hidden { versions: 9, markers: 2, uploads: 0 });
    assert_eq!(bucket.count("?versions&prefix=t/1/", "<Key>").await, 2);
    assert_eq!(keys(&storage, "t/1/").await, ["t/1/b", "t/1/c"]);
}

#[tokio::test]
async fn unfinished_uploads_are_aborted_below_the_prefix_only() {
    let Some(server) = S3::shared().await else { return };
    let bucket = server.bucket().await;
    for key in ["t/1/a", "t/1/a", "t/1/b%20c", "t/10/d"] {
        bucket.begin_upload(key).await;
    }
    let storage = bucket.storage("");
    assert_eq!(keys(&storage, "t/").await, [""; 0]);
    let purged = storage.purge_hidden("t/1/").await.expect("a purge");
    assert_eq!(purged, Hidden { versions: 0, markers: 0, uploads: 3 });
    assert_eq!(bucket.count("?uploads", "<UploadId>").await, 1);
    assert_eq!(storage.purge_hidden("t/1/").await.expect("a purge"), Hidden::default());
}

#[tokio::test]
async fn a_server_that_ignores_prefixes_costs_nobody_an_object() {
    let Some(server) = S3::shared().await else { return };
    let bucket = server.bucket().await;
    bucket.keep_versions().await;
    for path in ["t/1/a", "t/2/a", "t/2/a"] {
        bucket.write(path, "");
    }
    bucket.begin_upload("t/2/b").await;
    bucket.begin_upload("t/1/b").await;
    let proxy = FaultProxy::start(server.address).await;
    proxy.ignore_prefixes();
    let storage = bucket.storage_at(&proxy.url, "");
    assert_eq!(keys(&storage, "t/1/").await, ["t/1/a"]);
    let purged = storage.purge_hidden("t/1/").await.expect("a purge");
    assert_eq!(purged, Hidden { versions: 0, markers: 0, uploads: 1 });
    assert_eq!(bucket.count("?versions", "<Key>").await, 3);
    assert_eq!(bucket.count("?uploads", "<UploadId>").await, 1);
}
