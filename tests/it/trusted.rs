//! Documents that clients name instead of sending them, and a mode in which nothing else is answered.

use serde_json::{Value, json};

use crate::support::{Backend, Program, TestApp, Token, bearer, client, on};

const DOCUMENT: &str = "query Me { viewer { role } }";

/// A file with one document, under the name `me`.
fn manifest() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), json!({ "me": DOCUMENT }).to_string()).expect("a manifest");
    file
}

fn code(answer: &Value) -> &Value {
    &answer["errors"][0]["extensions"]["code"]
}

#[tokio::test]
async fn a_document_is_named_in_every_way_that_clients_have() {
    on(Backend::Sqlite, async |app: TestApp| {
        let file = manifest();
        let path = file.path().to_str().expect("text");
        let program = Program::serve(&app.database_url, &["--trusted-documents", path]);
        let hash = "9e107d9d372bb6826bd81d3542a419d6";
        let role = json!({ "viewer": { "role": "ADMIN" } });
        let by_id: Value =
            program.post(Token::Admin, &json!({ "documentId": "me" })).await.json().await.expect("JSON");
        assert_eq!(by_id["data"], role);
        let apollo = json!({ "extensions": { "persistedQuery": { "version": 1, "sha256Hash": "me" } } });
        let by_hash: Value = program.post(Token::Admin, &apollo).await.json().await.expect("JSON");
        assert_eq!(by_hash["data"], role);
        let link = client().get(program.url("/graphql?documentId=me")).bearer_auth(bearer(Token::Admin));
        let by_link: Value = link.send().await.expect("an answer").json().await.expect("JSON");
        assert_eq!(by_link["data"], role);
        let unknown: Value =
            program.post(Token::Admin, &json!({ "documentId": hash })).await.json().await.expect("JSON");
        assert_eq!(code(&unknown), "DOCUMENT_NOT_FOUND");
        assert_eq!(unknown.get("data"), None);
        let nothing: Value = program.post(Token::Admin, &json!({})).await.json().await.expect("JSON");
        assert_eq!(code(&nothing), "BAD_REQUEST");
        assert_eq!(
            program.ask("{ viewer { expiresAt } }").await.get("errors"),
            None,
            "others are answered too"
        );
    })
    .await;
}

#[tokio::test]
async fn where_only_trusted_documents_are_answered_nothing_else_is() {
    on(Backend::Sqlite, async |app: TestApp| {
        let file = manifest();
        let path = file.path().to_str().expect("text");
        let only = ["--trusted-documents", path, "--trusted-documents-only"];
        let program = Program::serve(&app.database_url, &only);
        assert_eq!(program.ask(DOCUMENT).await["data"]["viewer"]["role"], "ADMIN");
        for document in
            ["{ viewer { role } }", "{ __schema { queryType { name } } }", "{ viewerr { role } }", "{"]
        {
            let answer = program.ask(document).await;
            assert_eq!(code(&answer), "DOCUMENT_NOT_FOUND", "{document}");
            assert!(!answer.to_string().contains("Did you mean"), "{answer}");
        }
        let events = client().post(program.url("/graphql")).bearer_auth(bearer(Token::Admin));
        let events =
            events.header("accept", "text/event-stream").json(&json!({ "query": "{ viewer { role } }" }));
        let events = events.send().await.expect("an answer").text().await.expect("text");
        assert!(events.contains("DOCUMENT_NOT_FOUND"), "{events}");
        let playground = client().get(program.url("/graphiql")).send().await.expect("an answer");
        assert_eq!(playground.status(), 404);
    })
    .await;
}

#[tokio::test]
async fn a_manifest_that_cannot_be_read_is_refused_at_the_start() {
    on(Backend::Sqlite, async |app: TestApp| {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "{\"me\": \"{\"}").expect("a manifest");
        let path = file.path().to_str().expect("text").to_owned();
        let url = app.database_url.clone();
        let refused = tokio::task::spawn_blocking(move || {
            crate::cli::run(&["serve", "--database-url", &url, "--trusted-documents", &path])
        });
        crate::cli::refuses(&refused.await.expect("an output"), "no GraphQL");
    })
    .await;
}

/// What is large is sent in fewer bytes to whoever takes that; what is small, and a stream, are not.
#[tokio::test]
async fn large_answers_are_compressed() {
    on(Backend::Sqlite, async |app: TestApp| {
        let ask = async |document: &str, accept: &str| {
            let request = app.client.post(format!("{}/graphql", app.url));
            let request = request.bearer_auth(app.token(Token::Admin).expect("a token"));
            let request = request.header("accept-encoding", "gzip").header("accept", accept);
            request.json(&json!({ "query": document })).send().await.expect("an answer")
        };
        let schema = "{ __schema { types { name description fields { name description } } } }";
        let large = ask(schema, "application/json").await;
        assert_eq!(large.headers()["content-encoding"], "gzip");
        assert!(large.headers()["vary"].to_str().expect("text").contains("accept-encoding"));
        let packed = large.bytes().await.expect("bytes").len();
        let plain = app.post(Token::Admin, schema, json!({})).await.body.to_string().len();
        assert!(packed * 3 < plain, "{packed} of {plain} bytes");
        let small = ask("{ viewer { role } }", "application/json").await;
        assert_eq!(small.headers().get("content-encoding"), None);
        let stream = ask(schema, "text/event-stream").await;
        assert_eq!(stream.headers().get("content-encoding"), None);
    })
    .await;
}
