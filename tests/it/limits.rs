//! What a request may ask for, how it may come, and what every answer carries.

use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::support::{Program, Rows, TenantRow, TestApp, Token, bearer, connect, on_both, raw};

/// A document beyond a limit is refused before it is validated, with a sentence that names the limit.
#[tokio::test]
async fn documents_beyond_a_limit_are_refused_quickly() {
    on_both(async |app| {
        let mut bomb = "{ ...f0 }".to_owned();
        for number in 0..60 {
            let next = number + 1;
            bomb.extend([format!(" fragment f{number} on Query {{ ...f{next} ...f{next} }}")]);
        }
        bomb += " fragment f60 on Query { viewer { role } }";
        let many = |text: &str, times: usize| text.repeat(times);
        let aliases: Vec<_> = (0..10_000).map(|number| format!("a{number}: viewer {{ role }}")).collect();
        let few_aliases: Vec<_> = (0..300).map(|number| format!("a{number}: role")).collect();
        for (document, limit) in [
            (bomb, "costs more than"),
            (format!("{{ {} }}", aliases.join(" ")), "tokens"),
            (format!("{{ viewer {{ {} }} }}", few_aliases.join(" ")), "aliases"),
            (format!("{{ viewer {} {{ role }} }}", many("@skip(if: false) ", 500)), "directives"),
            (format!("{{ {} }}", many("viewer { role } ", 60)), "at its root"),
            (format!("{{ {} role {} }}", many("viewer { ", 40), many("} ", 40)), "nested deeper"),
            (format!("{{ tenant(id: {}1{}) {{ id }} }}", many("[", 2_000), many("]", 2_000)), "brackets"),
            (
                format!("{{ tenants(first: 100) {{ nodes {{ {} }} }} }}", many("id name status ", 200)),
                "costs more than",
            ),
        ] {
            let asked = app.post(Token::Admin, &document, json!({}));
            let answer = tokio::time::timeout(Duration::from_secs(5), asked).await.expect("an answer soon");
            assert_eq!(answer.codes(), ["GRAPHQL_VALIDATION_FAILED"], "{limit}: {answer:?}");
            let sentence = answer.body["errors"][0]["message"].as_str().expect("a sentence");
            assert!(sentence.contains(limit), "{limit}: {sentence}");
        }
        // Limits of pages that a variable sizes hold for a document that was answered before with a smaller one.
        let page =
            format!("query ($n: Int) {{ tenants(first: $n) {{ nodes {{ {} }} }} }}", many("id name ", 300));
        assert!(app.post(Token::Admin, &page, json!({ "n": 1 })).await.body.get("errors").is_none());
        assert_eq!(
            app.post(Token::Admin, &page, json!({ "n": 100 })).await.codes(),
            ["GRAPHQL_VALIDATION_FAILED"]
        );
    })
    .await;
}

/// What a text hides from a glance: brackets after what looks like the end of a string, fragments without a field,
/// series that are long.
#[tokio::test]
async fn what_hides_its_size_is_refused_too() {
    on_both(async |app| {
        let brackets = "[".repeat(5_000) + "1" + &"]".repeat(5_000);
        let hidden = format!(r#"{{ a(id: """\\""" """, y: {brackets}, z: """\\""" """) }}"#);
        let mut followed = "{ ...f0 }".to_owned();
        for number in 0..31 {
            let next = number + 1;
            followed.extend([format!(" fragment f{number} on Query {{ ...f{next} ...f{next} ...f{next} }}")]);
        }
        followed += " fragment f31 on Query { ...gone }";
        let series: String = (0..24)
            .map(|number| format!("u{number}: usage(from: \"2026-01-01\", to: \"2026-03-01\", granularity: HOUR) {{ buckets {{ start }} }} "))
            .fold(String::new(), |all, one| all + &one);
        let series = format!("{{ tenants(first: 5) {{ nodes {{ {series} }} }} }}");
        for document in [hidden, followed, series] {
            let asked = app.post(Token::Support, &document, json!({}));
            let answer = tokio::time::timeout(Duration::from_secs(2), asked).await.expect("an answer soon");
            assert_eq!(answer.codes(), ["GRAPHQL_VALIDATION_FAILED"], "{document:.80}: {answer:?}");
        }
        let month = "{ tenants(first: 50) { nodes { usage(from: \"2026-03-01\", to: \"2026-03-31\", granularity: DAY) {
            buckets { start figures { calls } } } } } }";
        assert_eq!(app.post(Token::Admin, month, json!({})).await.body.get("errors"), None, "a page with its month");
    })
    .await;
}

/// Variables that are nested deeply or very many are refused, as many as may be are not, and all of that is quick.
#[tokio::test]
async fn variables_cannot_hold_up_anybody() {
    on_both(async |app| {
        let nested = "[".repeat(125_000) + &"]".repeat(125_000);
        let many = format!("[{}1]", "1,".repeat(125_000));
        let wide: String =
            (0..20_000).map(|number| format!("\"k{number}\":1,")).fold("{".to_owned(), |all, one| all + &one);
        // With the document, and the three objects around them.
        let most = |count: usize| format!("[{}1]", "1,".repeat(count - 1));
        let text = format!("\"{}\"", "[,{".repeat(50_000));
        for (variables, status) in [
            (nested, 400),
            (many, 400),
            (wide + "\"k\":1}", 400),
            (most(10_000 - 4), 200),
            (most(10_000 - 3), 400),
            (text, 200),
        ] {
            let body =
                format!("{{\"query\": \"{{ viewer {{ role }} }}\", \"variables\": {{\"x\": {variables}}}}}");
            let request = app.client.post(format!("{}/graphql", app.url));
            let request = request.bearer_auth(app.token(Token::Admin).expect("a token"));
            let sent = request.header("content-type", "application/json").body(body).send();
            let answer = tokio::time::timeout(Duration::from_secs(5), sent).await.expect("an answer soon");
            assert_eq!(answer.expect("an answer").status(), status);
        }
        for (count, status) in [(9_999, 200), (10_000, 400)] {
            let list = format!("%7B%22x%22:[{}1]%7D", "1,".repeat(count - 2));
            let path = format!("/graphql?query=%7Bviewer%7Brole%7D%7D&variables={list}");
            let token = format!("Bearer {}", app.token(Token::Admin).expect("a token"));
            let answer = send(&app, Method::GET, &path, &[("authorization", &token)]).await;
            assert_eq!(answer.status(), status, "in an address");
        }
    })
    .await;
}

async fn send(app: &TestApp, method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = app.client.request(method, format!("{}{path}", app.url));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.expect("an answer")
}

/// No page of another site may read answers or frame them, and no answer is taken for another kind of file.
#[tokio::test]
async fn every_answer_carries_the_headers_of_security() {
    on_both(async |app| {
        for path in ["/graphql", "/graphiql", "/healthz", "/metrics", "/nothing"] {
            let answer = send(&app, Method::GET, path, &[("origin", "https://foreign.example")]).await;
            let header = |name: &str| {
                answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
            };
            assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
            assert_eq!(header("x-frame-options"), "DENY", "{path}");
            assert_eq!(header("referrer-policy"), "no-referrer", "{path}");
            assert!(header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
            assert!(header("content-security-policy").starts_with("default-src 'none'"), "{path}");
            assert_eq!(header("access-control-allow-origin"), "", "{path}");
        }
    })
    .await;
}

/// A body that never ends in time does not hold its connection, and one that is too large is not read.
#[tokio::test]
async fn large_bodies_are_refused() {
    on_both(async |app| {
        let post = async |size: usize| {
            let mut body = b"{\"query\": \"{ viewer { role } }\"}".to_vec();
            body.resize(size, b' ');
            let request = app.client.post(format!("{}/graphql", app.url));
            let request = request.bearer_auth(app.token(Token::Admin).expect("a token"));
            request.header("content-type", "application/json").body(body).send().await
        };
        assert_eq!(post(1 << 18).await.expect("an answer").status(), 200, "as large as may be");
        assert_eq!(post((1 << 18) + 1).await.expect("an answer").status(), 413, "a byte more");
        // The server may hang up before all of it was sent, and does not wait for the rest.
        let sent = tokio::time::timeout(Duration::from_secs(5), post(20 << 20)).await.expect("an end soon");
        assert!(sent.is_err() || sent.is_ok_and(|answer| answer.status() == 413));
        let tenant = app.tenant(TenantRow::default()).await;
        let data = app.admin("query ($id: ID!) { tenant(id: $id) { id } }", json!({ "id": tenant })).await;
        assert_eq!(data["tenant"]["id"], json!(tenant), "others are answered");
    })
    .await;
}

/// Options: a short time for requests, an origin that may call, and a schema that is kept to itself.
#[tokio::test]
async fn the_edge_does_as_its_options_say() {
    on_both(async |app| {
        let options = ["--request-timeout", "300ms", "--cors-origin", "https://dashboard.example", "--hide-schema"];
        let program = Program::serve(&app.database_url, &options);
        let token = bearer(Token::Admin);
        let raw = async |sent: &str| raw(connect("127.0.0.1", program.port).await, sent).await;
        let slow = format!(
            "POST /graphql HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
             content-length: 100\r\nconnection: close\r\n\r\n{{"
        );
        let answer = raw(&slow).await;
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");

        let preflight = |origin: &str| {
            format!(
                "OPTIONS /graphql HTTP/1.1\r\nhost: x\r\norigin: {origin}\r\naccess-control-request-method: POST\r\n\
                 access-control-request-headers: authorization,content-type\r\nconnection: close\r\n\r\n"
            )
        };
        let allowed = raw(&preflight("https://dashboard.example")).await;
        assert!(allowed.contains("access-control-allow-origin: https://dashboard.example"), "{allowed}");
        let foreign = raw(&preflight("https://foreign.example")).await;
        assert!(!foreign.contains("access-control-allow-origin"), "{foreign}");

        let ask = |document: &str| {
            let body = json!({ "query": document }).to_string();
            format!(
                "POST /graphql HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
                 content-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            )
        };
        let shown = raw(&ask("{ __schema { queryType { name } } }")).await;
        assert!(!shown.contains("queryType\""), "{shown}");
        let mistyped = raw(&ask("{ tenantz { id } }")).await;
        assert!(mistyped.contains("GRAPHQL_VALIDATION_FAILED") && !mistyped.contains("Did you mean"), "{mistyped}");
        let playground = raw("GET /graphiql HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        assert!(playground.starts_with("HTTP/1.1 404"), "{playground}");
        let suggested = app.post(Token::Admin, "{ tenantz { id } }", Value::Null).await;
        assert!(suggested.body.to_string().contains("Did you mean"), "by default names are suggested");
    })
    .await;
}
