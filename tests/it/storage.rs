//! Objects in a directory: keys are exact, and nothing outside of it is touched.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use tempfile::TempDir;
use tenant_gateway::storage::{Error, Hidden, Storage};

/// A storage in `objects`, with `secret` beside it.
struct Place {
    around: TempDir,
    storage: Storage,
}

impl Place {
    fn new() -> Self {
        let around = tempfile::tempdir().expect("a directory");
        fs::write(around.path().join("secret"), "s").expect("a file beside it");
        let storage = Storage::open(&format!("file://{}/objects", around.path().display()));
        Self { storage: storage.expect("a storage"), around }
    }

    fn root(&self) -> PathBuf {
        self.around.path().join("objects")
    }

    fn write(&self, key: &str) {
        let path = self.root().join(key);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(path, "12345").expect("a file");
    }

    async fn keys(&self, prefix: &str) -> Vec<String> {
        let listed = self.storage.list(prefix, usize::MAX).await.expect("a list");
        let mut keys: Vec<_> = listed.into_iter().map(|(key, _)| key).collect();
        keys.sort();
        keys
    }

    fn secret_is_there(&self) -> bool {
        fs::read_to_string(self.around.path().join("secret")).is_ok_and(|text| text == "s")
    }
}

fn owned(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|&key| key.to_owned()).collect()
}

fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).expect("a directory").next().is_none()
}

#[tokio::test]
async fn a_key_is_the_name_of_the_file() {
    const KEYS: [&str; 12] = [
        "t/plain",
        "t/a b",
        "t/ a ",
        "t/a%2Fb",
        "t/a?b=c&d",
        "t/ü/日本.wav",
        "t/a#b",
        "t/a\\b",
        "t/~[x]",
        "t/...",
        "t/-",
        "t/a+b",
    ];
    let place = Place::new();
    for key in KEYS {
        place.storage.put(key, b"12345".to_vec()).await.expect(key);
        assert_eq!(fs::read(place.root().join(key)).expect(key), b"12345", "{key}");
        assert_eq!(place.storage.get(key).await.expect(key).as_deref(), Some(&b"12345"[..]), "{key}");
    }
    // Written by others: the gateway itself writes no such names.
    for key in ["t/new\nline", "t/tab\there", "t/x#1"] {
        place.write(key);
    }
    let mut expected = owned(&KEYS);
    expected.extend(owned(&["t/new\nline", "t/tab\there"]));
    expected.sort();
    assert_eq!(place.keys("t/").await, expected);
    let listed = place.storage.list("t/ü/", 9).await.expect("a list");
    assert_eq!(listed, [("t/ü/日本.wav".to_owned(), 5)]);

    expected.push("t/x#1".to_owned());
    assert!(place.storage.remove(&expected).await.expect("a removal").is_empty());
    assert!(is_empty(&place.root()), "the directories go with their last file, and the root stays");
    assert_eq!(place.storage.get("t/plain").await.expect("an answer"), None);
}

#[tokio::test]
async fn a_key_that_can_be_no_file_is_told_and_the_rest_goes() {
    let long = format!("t/{}", "x".repeat(300));
    let bad = [
        "",
        "/",
        ".",
        "..",
        "../secret",
        "t/../../secret",
        "/etc/passwd",
        "t//b",
        "t/",
        "t/./b",
        "a\0b",
        &long,
    ];
    let place = Place::new();
    place.write("t/b");
    place.write("t/c");
    let mut keys = owned(&["t/b", "t/c"]);
    keys.splice(1..1, owned(&bad));
    let failed = place.storage.remove(&keys).await.expect("a removal");
    assert_eq!(failed.iter().map(|(key, _)| &**key).collect::<Vec<_>>(), bad);
    for (key, error) in failed {
        assert!(matches!(&error, Error::Key { key: named, .. } if *named == key), "{key:?}: {error}");
        assert!(!error.is_passing());
    }
    assert!(is_empty(&place.root()));
    for key in bad {
        assert!(matches!(place.storage.put(key, vec![1]).await, Err(Error::Key { .. })), "{key:?}");
        if key != long {
            assert!(matches!(place.storage.get(key).await, Err(Error::Key { .. })), "{key:?}");
        }
    }
    for prefix in ["", "t", "../", "/", "t/../../", "t//"] {
        assert!(matches!(place.storage.list(prefix, 9).await, Err(Error::Key { .. })), "{prefix:?}");
        assert!(matches!(place.storage.purge_hidden(prefix).await, Err(Error::Key { .. })), "{prefix:?}");
    }
    assert!(matches!(place.storage.put("t/x#12", vec![1]).await, Err(Error::Key { .. })), "kept for writes");
    assert!(place.secret_is_there());
}

#[tokio::test]
async fn no_link_leads_out() {
    let place = Place::new();
    place.write("t/real");
    let (root, outside) = (place.root(), place.around.path());
    fs::create_dir(outside.join("out")).expect("a directory");
    fs::write(outside.join("out/x#1"), "s").expect("a file");
    symlink(outside.join("out"), root.join("t/out")).expect("a link");
    symlink(outside.join("secret"), root.join("t/link")).expect("a link");

    let key = "t/out/x#1".to_owned();
    let failed = place.storage.remove(std::slice::from_ref(&key)).await.expect("a removal");
    assert!(matches!(failed[..], [(_, Error::Key { .. })]), "{failed:?}");
    assert!(matches!(place.storage.put("t/out/y", vec![1]).await, Err(Error::Key { .. })));
    assert!(matches!(place.storage.put("t/out/new/y", vec![1]).await, Err(Error::Key { .. })));
    assert!(matches!(place.storage.get("t/link").await, Err(Error::Key { .. })));
    assert!(matches!(place.storage.list("t/out/", 9).await, Err(Error::Key { .. })));
    assert!(matches!(place.storage.purge_hidden("t/out/").await, Err(Error::Key { .. })));
    assert_eq!(place.storage.purge_hidden("t/").await.expect("a purge"), Hidden::default());

    // A link is an object of its own: it goes, and what it points to stays.
    let listed = place.keys("t/").await;
    assert_eq!(listed, ["t/link", "t/out", "t/real"]);
    assert!(place.storage.remove(&listed).await.expect("a removal").is_empty());
    assert!(is_empty(&root) && place.secret_is_there());
    assert_eq!(fs::read_dir(outside.join("out")).expect("a directory").count(), 1);
}

#[tokio::test]
async fn what_is_not_there_is_removed_already() {
    let place = Place::new();
    place.write("t/a/file");
    let keys = owned(&["t/none", "none/at/all", "t/a/file/below", "t/a"]);
    assert!(place.storage.remove(&keys).await.expect("a removal").is_empty());
    assert_eq!(place.keys("t/").await, ["t/a/file"], "a directory is no object");
    assert!(place.storage.remove(&[]).await.expect("a removal").is_empty());
}

#[tokio::test]
async fn unfinished_writes_and_empty_directories_are_found_below_the_prefix_only() {
    let place = Place::new();
    for key in ["t/1/a", "t/1/a#1", "t/1/deep/er/b#2#33", "t/1/gone/c#7", "t/10/d#1", "t/1/e#x", "t/1/#"] {
        place.write(key);
    }
    fs::create_dir_all(place.root().join("t/1/x/y/z")).expect("directories");
    assert_eq!(place.keys("t/1/").await, ["t/1/#", "t/1/a", "t/1/e#x"]);
    let purged = place.storage.purge_hidden("t/1/").await.expect("a purge");
    assert_eq!(purged, Hidden { uploads: 3, ..Hidden::default() });
    let left: Vec<_> = fs::read_dir(place.root().join("t/1")).expect("a directory").collect();
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(place.root().join("t/10/d#1").exists(), "another's");

    place.storage.remove(&place.keys("t/1/").await).await.expect("a removal");
    fs::create_dir_all(place.root().join("t/1/x")).expect("directories");
    let storage = place.storage.clone();
    let purging = tokio::spawn(async move { storage.purge_hidden("t/1/").await });
    assert_eq!(purging.await.expect("a task").expect("a purge"), Hidden::default());
    assert!(!place.root().join("t/1").exists() && place.root().join("t/10").exists());
    assert_eq!(place.storage.purge_hidden("t/1/").await.expect("nothing there"), Hidden::default());
}

#[tokio::test]
async fn unfinished_writes_of_a_key_are_found_wherever_it_is() {
    let place = Place::new();
    for key in ["some/a#1", "some/a#22", "some/ab#1", "some/b", "else/where/c#3", "top#4", "t/d#1"] {
        place.write(key);
    }
    let keys = owned(&["some/a", "some/b", "else/where/c", "top", "none/at/all", "../x", ""]);
    let purged = place.storage.purge_hidden_of(&keys).await.expect("a purge");
    assert_eq!(purged, Hidden { uploads: 4, ..Hidden::default() });
    assert!(place.root().join("some/ab#1").exists() && place.root().join("t/d#1").exists(), "others'");
    assert!(place.root().join("some/b").exists() && !place.root().join("else").exists());
    assert_eq!(place.storage.purge_hidden_of(&keys).await.expect("nothing there"), Hidden::default());
}

#[tokio::test]
async fn a_list_stops_at_its_limit() {
    let place = Place::new();
    for number in 0..30 {
        place.write(&format!("t/{}/{number}", number % 7));
    }
    let mut seen = 0;
    loop {
        let storage = place.storage.clone();
        let listing = tokio::spawn(async move { storage.list("t/", 8).await });
        let page = listing.await.expect("a task").expect("a list");
        assert!(page.len() <= 8);
        if page.is_empty() {
            break;
        }
        seen += page.len();
        let keys: Vec<_> = page.into_iter().map(|(key, _)| key).collect();
        assert!(place.storage.remove(&keys).await.expect("a removal").is_empty());
    }
    assert_eq!(seen, 30);
    assert_eq!(place.storage.list("t/", 8).await.expect("a list"), []);
}

#[tokio::test]
async fn a_directory_that_has_gone_is_no_empty_storage() {
    let place = Place::new();
    fs::remove_dir_all(place.root()).expect("a directory");
    let errors = [
        place.storage.remove(&owned(&["t/a"])).await.map(|_| ()),
        place.storage.list("t/", 9).await.map(|_| ()),
        place.storage.get("t/a").await.map(|_| ()),
        place.storage.put("t/a", vec![1]).await,
        place.storage.purge_hidden("t/").await.map(|_| ()),
    ];
    for result in errors {
        let error = result.expect_err("no directory");
        assert!(matches!(error, Error::Refused(_)) && error.to_string().contains("objects"), "{error}");
    }
}

#[tokio::test]
async fn thousands_of_files_go_side_by_side_and_each_is_accounted_for() {
    let place = Place::new();
    let mut keys: Vec<_> = (0..2000).map(|number| format!("t/{}/{number}", number % 3)).collect();
    for key in &keys {
        place.write(key);
    }
    keys.insert(777, "t//".to_owned());
    keys.push("t/0/never".to_owned());
    let storage = place.storage.clone();
    let removing = tokio::spawn(async move { storage.remove(&keys).await });
    let failed = removing.await.expect("a task").expect("a removal");
    assert_eq!(failed.iter().map(|(key, _)| &**key).collect::<Vec<_>>(), ["t//"]);
    assert!(is_empty(&place.root()));
}

#[test]
fn an_address_that_is_none_is_told_without_its_secrets() {
    let open = |url: &str, variables: &[(&str, &str)]| {
        let variables = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        Storage::open_with(url, variables.collect::<Vec<_>>().into_iter())
    };
    let keys = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "hush")];
    assert!(open("s3://bucket/a/b/", &keys).is_ok());
    let http = [("AWS_ENDPOINT_URL", "http://127.0.0.1:1"), ("AWS_ACCESS_KEY_ID", "id")];
    for (url, variables, part) in [
        ("x", &keys[..], "no URL"),
        ("file://relative/x", &keys, "absolute"),
        ("s3://", &keys, "name of a bucket"),
        ("s3:///prefix", &keys, "name of a bucket"),
        ("s3://id:hush@bucket", &keys, "only a bucket"),
        ("s3://bucket/?x=hush", &keys, "only a bucket"),
        ("gs://bucket", &keys, "gs:// is neither"),
        ("s3://bucket", &http[..], "AWS_ALLOW_HTTP"),
        ("s3://bucket", &[("AWS_SECRET_ACCESS_KEY", "hush")], "ccess"),
        ("s3://bucket", &[("AWS_ENDPOINT_URL", "hush")], "AWS_ENDPOINT_URL"),
    ] {
        let error = open(url, variables).expect_err(url);
        assert!(matches!(error, Error::Address(_)) && error.to_string().contains(part), "{url}: {error}");
        assert!(!error.to_string().contains("hush") && !error.is_passing(), "{url}: {error}");
    }
}
