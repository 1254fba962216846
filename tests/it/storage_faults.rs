//! A bucket that fails: what is told, what may pass, and that nothing counts as done that is not.

use std::time::{Duration, Instant};

use reqwest::Method;
use tenant_gateway::storage::{Error, Hidden, Storage};

use crate::support::{Bucket, FaultProxy, S3, client};

/// One outcome of each thing that a storage can do, without its value.
async fn each(storage: &Storage) -> [(&'static str, Result<(), Error>); 6] {
    [
        ("put", storage.put("t/new", vec![1]).await),
        ("get", storage.get("t/a").await.map(|_| ())),
        ("remove", storage.remove(&["t/a".to_owned()]).await.map(|_| ())),
        ("remove what is odd", storage.remove(&["t/\u{1}".to_owned()]).await.map(|_| ())),
        ("list", storage.list("t/", 9).await.map(|_| ())),
        ("purge", storage.purge_hidden("t/").await.map(|_| ())),
    ]
}

async fn behind_a_proxy(server: &S3) -> (Bucket, FaultProxy, Storage) {
    let bucket = server.bucket().await;
    let proxy = FaultProxy::start(server.address).await;
    let storage = bucket.storage_at(&proxy.url, "");
    (bucket, proxy, storage)
}

#[tokio::test]
async fn a_moment_of_trouble_is_waited_out_and_more_is_told_as_passing() {
    let Some(server) = S3::shared().await else { return };
    let (bucket, proxy, storage) = behind_a_proxy(server).await;
    bucket.write("t/a", "");
    proxy.fail_next(2);
    assert!(storage.remove(&["t/a".to_owned()]).await.expect("a removal").is_empty());
    assert_eq!((proxy.requests().len(), bucket.objects().await), (3, 0));
    proxy.fail_next(usize::MAX);
    for (what, outcome) in each(&storage).await {
        let error = outcome.expect_err(what);
        assert!(error.is_passing() && error.to_string().contains("503 SlowDown"), "{what}: {error}");
    }
    proxy.heal();
    for (what, outcome) in each(&storage).await {
        outcome.expect(what);
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_answer() {
    let Some(server) = S3::shared().await else { return };
    let (bucket, proxy, storage) = behind_a_proxy(server).await;
    bucket.write("t/a", "");
    proxy.cut();
    for (what, outcome) in each(&storage).await {
        let error = outcome.expect_err(what);
        assert!(error.is_passing() && error.to_string().contains(&bucket.name), "{what}: {error}");
    }
    // What was done before the break is done; asking again is all it takes.
    proxy.heal();
    assert!(storage.remove(&["t/a".to_owned()]).await.expect("a removal").is_empty());
}

#[tokio::test]
async fn nobody_at_the_address_may_pass() {
    let Some(server) = S3::shared().await else { return };
    let bucket = server.bucket().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let nobody = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    for (what, outcome) in each(&bucket.storage_at(&nobody, "")).await {
        assert!(outcome.expect_err(what).is_passing(), "{what}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_not_waited_for_for_ever() {
    let Some(server) = S3::shared().await else { return };
    let (_bucket, proxy, storage) = behind_a_proxy(server).await;
    proxy.slow(60_000);
    let start = Instant::now();
    let error = storage.list("t/", 9).await.expect_err("no answer");
    assert!(error.is_passing(), "{error}");
    let waited = start.elapsed();
    assert!(Duration::from_secs(9) < waited && waited < Duration::from_secs(20), "{waited:?}");
    assert_eq!(proxy.requests().len(), 1, "another such wait is up to who asked");
}

#[tokio::test]
async fn one_key_of_many_stays_and_is_told() {
    let Some(server) = S3::shared().await else { return };
    let (bucket, proxy, storage) = behind_a_proxy(server).await;
    for key in ["t/a", "t/b", "t/c"] {
        bucket.write(key, "");
    }
    let keys = ["t/a", "t/b", "t/c"].map(str::to_owned);
    proxy.keep("t/b");
    let failed = storage.remove(&keys).await.expect("a removal");
    assert!(matches!(&failed[..], [(key, error)] if key == "t/b" && error.is_passing()), "{failed:?}");
    assert!(bucket.has("t/b").await && bucket.objects().await == 1);
    proxy.heal();

    // The server itself refuses by a policy of the bucket.
    let resource = format!("arn:aws:s3:::{}/t/b", bucket.name);
    let rule = format!(
        r#"{{"Statement":[{{"Effect":"Deny","Principal":"*","Action":"s3:DeleteObject","Resource":"{resource}"}}]}}"#
    );
    bucket.ask(Method::PUT, "?policy", rule).await;
    let failed = storage.remove(&keys).await.expect("a removal");
    assert!(matches!(&failed[..], [(key, Error::Denied(_))] if key == "t/b"), "{failed:?}");
    assert!(bucket.has("t/b").await);
}

#[tokio::test]
async fn not_found_is_gone() {
    let Some(server) = S3::shared().await else { return };
    let (bucket, proxy, storage) = behind_a_proxy(server).await;
    bucket.write("t/a", "");
    bucket.write("t/%01", "");
    proxy.not_found();
    let keys = ["t/a", "t/b", "t/\u{1}", "t/\u{2}"].map(str::to_owned);
    assert!(storage.remove(&keys).await.expect("a removal").is_empty());
    assert_eq!(bucket.objects().await, 0);
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_no_empty_bucket() {
    let Some(server) = S3::shared().await else { return };
    let bucket = server.bucket().await;
    bucket.ask(Method::DELETE, "", "").await;
    for (what, outcome) in each(&bucket.storage("")).await {
        let error = outcome.expect_err(what);
        assert!(matches!(error, Error::Refused(_)), "{what}: {error}");
        assert!(error.to_string().contains(&bucket.name) && error.to_string().contains("NoSuchBucket"));
    }
}

#[tokio::test]
async fn a_server_that_does_not_tell_is_believed_unless_the_bucket_says_otherwise() {
    let Some(server) = S3::shared().await else { return };
    let (bucket, proxy, storage) = behind_a_proxy(server).await;
    bucket.begin_upload("t/a").await;
    proxy.unknown("versions");
    let purged = storage.purge_hidden("t/").await.expect("a purge");
    assert_eq!(purged, Hidden { uploads: 1, ..Hidden::default() });
    proxy.unknown("versioning");
    proxy.unknown("uploads");
    assert_eq!(storage.purge_hidden("t/").await.expect("a purge"), Hidden::default());

    proxy.heal();
    bucket.keep_versions().await;
    proxy.unknown("versions");
    let error = storage.purge_hidden("t/").await.expect_err("versions that nobody sees");
    assert!(matches!(error, Error::Refused(_)) && error.to_string().contains("Enabled"), "{error}");
}

/// Asks the part of the server that knows users.
async fn administer(server: &S3, form: &[(&str, &str)]) -> String {
    let scope = "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/iam/aws4_request";
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let request = client()
        .post(format!("http://{}/", server.address))
        .header("authorization", format!("{scope}, SignedHeaders=host, Signature=0"))
        .header("content-type", "application/x-www-form-urlencoded");
    let answer = request.body(body).send().await.expect("an answer");
    assert!(answer.status().is_success(), "{form:?}");
    answer.text().await.expect("text")
}

/// A user who may do these things, and the user's key and secret.
async fn user(server: &S3, name: &str, actions: &str) -> (String, String) {
    let rule = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":[{actions}],"Resource":"*"}}]}}"#
    );
    administer(server, &[("Action", "CreateUser"), ("UserName", name)]).await;
    let policy =
        [("Action", "PutUserPolicy"), ("UserName", name), ("PolicyName", "p"), ("PolicyDocument", &rule)];
    administer(server, &policy).await;
    let made = administer(server, &[("Action", "CreateAccessKey"), ("UserName", name)]).await;
    let part = |name: &str| {
        let rest = made.split(&format!("<{name}>")).nth(1).expect("an element");
        rest.split('<').next().expect("its text").to_owned()
    };
    (part("AccessKeyId"), part("SecretAccessKey"))
}

#[tokio::test]
async fn signatures_are_right_and_rights_are_told() {
    // Of its own: what is asked from now on is checked for everybody.
    let Some(server) = S3::start().await else { return };
    let bucket = server.bucket().await;
    bucket.keep_versions().await;
    for key in ["t/a%20b", "t/%01", "t/c"] {
        bucket.write(key, "");
    }
    bucket.begin_upload("t/a%20b").await;
    let (id, secret) = user(&server, "all", r#""s3:*""#).await;
    let (few_id, few_secret) =
        user(&server, "few", r#""s3:PutObject","s3:GetObject","s3:ListBucket","s3:DeleteObject""#).await;
    let switch = client().post(format!("http://{}/moto-api/reset-auth", server.address)).body("0");
    assert!(switch.send().await.expect("an answer").status().is_success());

    let endpoint = format!("http://{}", server.address);
    let few = bucket.storage_as(&endpoint, "", (&few_id, &few_secret));
    let error = few.purge_hidden("t/").await.expect_err("no right to see versions");
    assert!(matches!(error, Error::Denied(_)) && error.to_string().contains(&bucket.name), "{error}");
    few.put("t/a?b=c&d/ü+%2F", b"x".to_vec()).await.expect("a write");

    let all = bucket.storage_as(&endpoint, "", (&id, &secret));
    assert_eq!(all.get("t/a?b=c&d/ü+%2F").await.expect("a read").as_deref(), Some(&b"x"[..]));
    let listed = all.list("t/", 9).await.expect("a list");
    assert_eq!(listed.len(), 4);
    let keys: Vec<_> = listed.into_iter().map(|(key, _)| key).collect();
    assert!(all.remove(&keys).await.expect("a removal").is_empty());
    let purged = all.purge_hidden("t/").await.expect("a purge");
    assert_eq!(purged, Hidden { versions: 4, markers: 4, uploads: 1 });

    for (what, outcome) in each(&bucket.storage_as(&endpoint, "", (&id, "the wrong secret"))).await {
        let error = outcome.expect_err(what);
        assert!(matches!(error, Error::Denied(_)), "{what}: {error}");
        assert!(!error.to_string().contains("the wrong secret") && !error.to_string().contains(&secret));
    }
}
