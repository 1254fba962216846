//! What operators see: metrics, the log, and traces. And what none of them shows.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Bytes, http::HeaderMap, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, common::v1::any_value::Value as Told, trace::v1::Span,
};
use prost::Message;
use serde_json::{Value, json};

use crate::support::{Backend, Program, Rows, TenantRow, TestApp, Token, bearer, client, on, on_both};

async fn metrics(url: &str) -> String {
    let answer = client().get(url).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    answer.text().await.expect("text")
}

/// What stands in the row that begins so.
fn row<'a>(metrics: &'a str, name: &str) -> &'a str {
    let name = format!("tenant_gateway_{name} ");
    metrics.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or_else(|| panic!("{name}: {metrics}"))
}

#[tokio::test]
async fn requests_statements_connections_and_the_lag_are_measured() {
    on_both(async |app| {
        let tenant = app.tenant(TenantRow::default()).await;
        let agent = app.agent(tenant).await;
        for _ in 0..3 {
            let named = "query Figures($id: ID!) { tenant(id: $id) { stats { totalAgents } } }";
            app.data(Token::Admin, named, json!({ "id": tenant })).await;
        }
        app.post(Token::Admin, "query Wrong { nothing }", json!({})).await;
        app.post(Token::None, "{ viewer { role } }", json!({})).await;
        app.call(&crate::support::Call::of(&agent, crate::support::noon())).await;
        tokio::time::sleep(Duration::from_millis(30)).await;
        let seen = metrics(&format!("{}/metrics", app.url)).await;
        let count = |name: &str| row(&seen, name);
        let at_least = |name: &str, least: f64| {
            let found: f64 = row(&seen, name).parse().expect("a number");
            assert!(found >= least, "{name}: {found}");
            found
        };
        assert_eq!(count("requests_total{operation=\"Figures\",code=\"OK\"}"), "3");
        assert_eq!(count("request_seconds_count{operation=\"Figures\"}"), "3");
        assert_eq!(count("requests_total{operation=\"(other)\",code=\"GRAPHQL_VALIDATION_FAILED\"}"), "1");
        assert_eq!(count("requests_total{operation=\"(none)\",code=\"UNAUTHENTICATED\"}"), "1");
        at_least("statement_seconds_count", 3.0);
        at_least("connections_open", 1.0);
        at_least("pool_connections", 1.0);
        // One call, one difference.
        let is_embedded = app.backend() == sea_orm::DbBackend::Sqlite;
        assert_eq!(count("usage_unfolded"), if is_embedded { "0" } else { "1" });
        let lag = at_least("usage_fold_lag_seconds", if is_embedded { 0.0 } else { 0.001 });
        assert!(lag < 60.0, "{lag} s");
        assert_eq!(count("deletions_open{status=\"erasing\"}"), "0");
    })
    .await;
}

#[tokio::test]
async fn metrics_can_have_an_address_of_their_own() {
    on(Backend::Sqlite, async |app: TestApp| {
        let program = Program::serve(&app.database_url, &["--metrics-listen", "127.0.0.1:0"]);
        let port = program.address(" metrics");
        assert_ne!(port, program.port);
        let public = client().get(program.url("/metrics")).send().await.expect("an answer");
        assert_eq!(public.status(), 404);
        program.ask("query Named { viewer { role } }").await;
        let seen = metrics(&format!("http://127.0.0.1:{port}/metrics")).await;
        assert!(seen.contains("operation=\"Named\""), "{seen}");
        let api = client().post(format!("http://127.0.0.1:{port}/graphql")).send().await.expect("an answer");
        assert_eq!(api.status(), 404);
    })
    .await;
}

#[tokio::test]
async fn the_log_tells_of_every_operation_and_no_secret() {
    on_both(async |app| {
        let program =
            Program::with(&app.database_url, &["--log-format", "json"], &[("RUST_LOG", "debug,sqlx=warn")]);
        let tenant = app.tenant(TenantRow { name: "Acme".into(), ..TenantRow::default() }).await;
        let (token, secret) = (bearer(Token::Tenant(tenant)), "+15550100999");
        let document = "query Look($id: ID!, $name: String) { tenant(id: $id) { stats { totalAgents } } \
            tenants(filter: { nameContains: $name }) { totalCount } }";
        let body = json!({ "query": document, "variables": { "id": tenant, "name": secret } });
        let request =
            client().post(program.url("/graphql")).bearer_auth(&token).header("x-request-id", "from-outside");
        let answer = request.json(&body).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.json::<Value>().await.expect("JSON").get("errors"), None);
        // What goes wrong tells of itself too.
        let refused = client().post(program.url("/graphql")).bearer_auth("not.a.token").json(&body).send();
        assert_eq!(refused.await.expect("an answer").status(), 401);
        let link = client()
            .get(program.url(&format!("/graphql?query={{viewer{{role}}}}&variables={{\"a\":\"{secret}\"}}")));
        link.bearer_auth(&token).send().await.expect("an answer");
        let malformed = format!("{{\"query\": \"{{ viewer {{ role }} }}\", \"variables\": \"{secret}\"}}");
        let request = client()
            .post(program.url("/graphql"))
            .bearer_auth(&token)
            .header("content-type", "application/json");
        assert_eq!(request.body(malformed).send().await.expect("an answer").status(), 400);
        // A name that somebody has made up takes no room.
        let endless = "x".repeat(50_000);
        let named = client()
            .post(program.url("/graphql"))
            .bearer_auth(&token)
            .header("x-request-id", &endless[..5_000]);
        let answer =
            named.json(&json!({ "query": "{", "operationName": endless })).send().await.expect("an answer");
        assert!(answer.headers()["x-request-id"].len() < 64, "another name is given");
        tokio::time::sleep(Duration::from_millis(300)).await;

        let log = program.log();
        let lines: Vec<Value> = log
            .iter()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
            .collect();
        let told =
            lines.iter().find(|line| line["operation"] == "Look").unwrap_or_else(|| panic!("{log:#?}"));
        assert_eq!(told["message"], "answered");
        assert_eq!(told["viewer"], "tester");
        assert_eq!(told["role"], "tenant");
        assert_eq!(told["tenant"], json!(tenant.to_string()));
        assert_eq!(told["code"], "OK");
        assert_eq!(told["kind"], "query");
        assert_eq!(told["span"]["request_id"], "from-outside");
        assert!(told["duration_ms"].as_f64().expect("a number") > 0.0);
        assert!((2..=3).contains(&told["statements"].as_u64().expect("a count")), "{told}");
        assert!(lines.iter().any(|line| line["code"] == "UNAUTHENTICATED"));
        let all = log.concat();
        assert!(log.iter().all(|line| line.len() < 4_000), "no line is as long as somebody likes");
        assert!(!all.contains(&token) && !all.contains("not.a.token"), "no token is in the log");
        assert!(!all.contains(secret) && !all.contains("5550100999"), "no variable is in the log");
        assert!(!all.contains("the secret of every test"), "no secret is in the log");
    })
    .await;
}

/// What is refused is told with its viewer, as far as that is known, and before the process ends.
#[tokio::test]
async fn what_is_refused_is_told_with_its_viewer() {
    on_both(async |app| {
        let mut program =
            Program::with(&app.database_url, &["--log-format", "json"], &[("RUST_LOG", "info")]);
        let tenant = app.tenant(TenantRow::default()).await;
        for (token, body, status) in [
            (bearer(Token::Tenant(tenant)), "{}", 400),
            (bearer(Token::Tenant(tenant)), "[1, 2]", 400),
            (bearer(Token::Tenant(tenant)), r#"{"query": "{ a"}"#, 200),
            ("not.a.token".to_owned(), "{}", 401),
        ] {
            let request = client().post(program.url("/graphql")).bearer_auth(token);
            let sent = request.header("content-type", "application/json").body(body).send();
            assert_eq!(sent.await.expect("an answer").status(), status, "{body}");
        }
        program.signal("INT");
        assert!(program.ended().await.success());
        // What it has written is read by a thread of the test.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let lines = program.log().into_iter().filter_map(|line| serde_json::from_str::<Value>(&line).ok());
        let refused: Vec<Value> = lines.filter(|line| line["message"] == "refused").collect();
        assert_eq!(refused.len(), 4, "{refused:#?}");
        for line in &refused[..3] {
            let who = (&line["viewer"], &line["role"], &line["tenant"]);
            assert_eq!(who, (&json!("tester"), &json!("tenant"), &json!(tenant.to_string())), "{line}");
        }
        assert_eq!(refused[3].get("viewer"), None, "{}", refused[3]);
        assert_eq!(refused[3]["code"], "UNAUTHENTICATED");
    })
    .await;
}

/// A collector that keeps what it is sent.
async fn collector() -> (String, Arc<Mutex<Vec<Span>>>) {
    let spans = Arc::new(Mutex::new(Vec::new()));
    let kept = spans.clone();
    let take = post(async move |headers: HeaderMap, body: Bytes| {
        assert_eq!(headers["content-type"], "application/x-protobuf");
        let request = ExportTraceServiceRequest::decode(body).expect("an export of OTLP");
        for resource in request.resource_spans {
            let attributes = &resource.resource.as_ref().expect("a resource").attributes;
            let name = attributes.iter().find(|attribute| attribute.key == "service.name").expect("a name");
            let name = name.value.as_ref().and_then(|value| value.value.clone());
            assert_eq!(name, Some(Told::StringValue("tenant-gateway".to_owned())));
            for scope in resource.scope_spans {
                kept.lock().expect("spans").extend(scope.spans);
            }
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/v1/traces", take)).await });
    (address, spans)
}

fn hex(bytes: &[u8]) -> String {
    let number = bytes.iter().fold(0, |number: u128, byte| number << 8 | u128::from(*byte));
    format!("{number:0width$x}", width = bytes.len() * 2)
}

#[tokio::test]
async fn traces_go_to_a_collector_as_a_part_of_the_callers() {
    on_both(async |app| {
        let (address, spans) = collector().await;
        let mut program = Program::serve(&app.database_url, &["--otlp-endpoint", &address]);
        let tenant = app.tenant(TenantRow::default()).await;
        let (trace, caller) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
        let request = client().post(program.url("/graphql")).bearer_auth(bearer(Token::Admin));
        let request = request.header("traceparent", format!("00-{trace}-{caller}-01"));
        let document = "query Traced($id: ID!) { tenant(id: $id) { stats { totalAgents } } }";
        let answer = request.json(&json!({ "query": document, "variables": { "id": tenant } })).send().await;
        assert_eq!(answer.expect("an answer").status(), 200);
        // What is left is sent at the end.
        program.signal("INT");
        program.ended().await;
        let spans = spans.lock().expect("spans");
        let own: Vec<&Span> = spans.iter().filter(|span| hex(&span.trace_id) == trace).collect();
        let named = |name: &str| {
            *own.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{name}: {own:#?}"))
        };
        let request = named("request");
        assert_eq!(hex(&request.parent_span_id), caller, "a part of the caller's trace");
        let load = named("load");
        assert_eq!(load.parent_span_id, request.span_id, "a resolver that reads");
        let batch = named("batch");
        assert_eq!(batch.parent_span_id, load.span_id, "the statement that it shares");
        let statement = own.iter().find(|span| span.name == "statement").expect("a statement");
        assert_eq!(statement.parent_span_id, batch.span_id);
        let all = format!("{own:?}");
        assert!(!all.contains(&tenant.to_string()), "no variable is in a trace");
        assert!(!all.contains("Bearer"), "no token is in a trace");
    })
    .await;
}
