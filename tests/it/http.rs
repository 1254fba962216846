//! What the endpoint takes and refuses, bad input to fields, health, and a shutdown in good order.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Call, Rows, TenantRow, TestApp, Token, on_both};

async fn send(app: &TestApp, kind: &str, body: String) -> (u16, Value) {
    let answer = app
        .client
        .post(format!("{}/graphql", app.url))
        .bearer_auth(app.token(Token::Admin).expect("a token"))
        .header("content-type", kind)
        .body(body)
        .send()
        .await
        .expect("an answer");
    let status = answer.status().as_u16();
    (status, answer.json().await.expect("JSON"))
}

#[tokio::test]
async fn only_well_formed_json_requests_are_taken() {
    on_both(async |app| {
        let query = json!({ "query": "{ viewer { role } }" }).to_string();
        assert_eq!(send(&app, "application/json; charset=utf-8", query.clone()).await.0, 200);
        for (kind, body, status) in [
            ("text/plain", query.clone(), 415),
            ("application/x-www-form-urlencoded", "query=%7Bviewer%7Brole%7D%7D".into(), 415),
            ("multipart/form-data; boundary=x", query.clone(), 415),
            ("application/json", "{".into(), 400),
            ("application/json", "[]".into(), 400),
            ("application/json", format!("[{query}]"), 400),
            ("application/json", json!({ "query": 1 }).to_string(), 400),
            ("application/json", json!({ "query": "x".repeat(1 << 21) }).to_string(), 413),
        ] {
            let (found, answer) = send(&app, kind, body.clone()).await;
            assert_eq!(found, status, "{kind} {} {answer}", body.get(..40).unwrap_or(&body));
            assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_REQUEST");
            let text = answer.to_string();
            assert!(!text.contains("Error(") && !text.contains("line 1"), "internals: {text}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_request_without_a_query_is_told_what_is_missing() {
    on_both(async |app| {
        let sentence =
            |answer: &Value| answer["errors"][0]["message"].as_str().expect("a sentence").to_owned();
        for body in ["{}", r#"{"query": ""}"#, r#"{"query": "  ", "variables": {}}"#] {
            let (status, answer) = send(&app, "application/json", body.to_owned()).await;
            assert_eq!(
                (status, answer["errors"][0]["extensions"]["code"].as_str()),
                (400, Some("BAD_REQUEST"))
            );
            assert!(sentence(&answer).contains("`query`"), "{body}: {answer}");
        }
        for list in ["[]", r#" [{"query": "{ viewer { role } }"}]"#] {
            let (_, answer) = send(&app, "application/json", list.to_owned()).await;
            assert!(sentence(&answer).contains("batches"), "{list}: {answer}");
        }
        for path in ["/graphql", "/graphql?query=", "/graphql?variables=%7B%7D"] {
            let token = app.token(Token::Admin).expect("a token");
            let answer = app
                .client
                .get(format!("{}{path}", app.url))
                .bearer_auth(token)
                .send()
                .await
                .expect("an answer");
            assert_eq!(answer.status(), 400);
            let answer: Value = answer.json().await.expect("JSON");
            assert!(sentence(&answer).contains("`query`"), "{path}: {answer}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_link_reads_but_does_not_change() {
    on_both(async |app| {
        let tenant = app.tenant(TenantRow::default()).await;
        let get = async |query: String| {
            let token = app.token(Token::Admin).expect("a token");
            let url = url::Url::parse_with_params(&format!("{}/graphql", app.url), [("query", query)]).expect("a URL");
            app.client.get(url).bearer_auth(token).send().await.expect("an answer").json::<Value>().await.expect("JSON")
        };
        assert_eq!(get("{ viewer { role } }".into()).await["data"]["viewer"]["role"], "ADMIN");
        let mutation =
            format!("mutation {{ setTenantStatus(input: {{ tenantId: \"{tenant}\", status: INACTIVE }}) {{ tenant {{ id }} }} }}");
        assert_eq!(get(mutation.clone()).await["errors"][0]["extensions"]["code"], "BAD_REQUEST");
        let streamed = app
            .client
            .get(url::Url::parse_with_params(&format!("{}/graphql", app.url), [("query", &mutation)]).expect("a URL"))
            .bearer_auth(app.token(Token::Admin).expect("a token"))
            .header("accept", "text/event-stream");
        streamed.send().await.expect("an answer");
        assert_eq!(app.number("SELECT count(*) FROM tenants WHERE status = 'active'", []).await, 1);
    })
    .await;
}

#[tokio::test]
async fn an_error_carries_the_name_that_the_request_has_in_the_log() {
    on_both(async |app| {
        let answer = app
            .client
            .post(format!("{}/graphql", app.url))
            .bearer_auth(app.token(Token::Admin).expect("a token"))
            .json(&json!({ "query": "{ nothing }" }))
            .send()
            .await
            .expect("an answer");
        let name = answer.headers()["x-request-id"].to_str().expect("text").to_owned();
        assert_eq!(answer.headers()["cache-control"], "no-store");
        let body: Value = answer.json().await.expect("JSON");
        assert_eq!(body["errors"][0]["extensions"]["requestId"], name);
    })
    .await;
}

#[tokio::test]
async fn documents_and_arguments_of_no_use_have_a_code() {
    on_both(async |app| {
        let deep = format!(
            "{{ __schema {} }}",
            "{ types { fields { type ".repeat(12) + "{ name }" + &" } } }".repeat(12)
        );
        let wide: Vec<_> = (0..1_100).map(|n| format!("a{n}: viewer {{ role }}")).collect();
        let wide = wide.join(" ");
        let cases = [
            ("{".to_owned(), "GRAPHQL_PARSE_FAILED"),
            ("{ nothing }".to_owned(), "GRAPHQL_VALIDATION_FAILED"),
            ("{ tenant { id } }".to_owned(), "GRAPHQL_VALIDATION_FAILED"),
            (deep, "GRAPHQL_VALIDATION_FAILED"),
            (format!("{{ {wide} }}"), "GRAPHQL_VALIDATION_FAILED"),
            ("{ tenant(id: \"x\") { id } }".to_owned(), "BAD_USER_INPUT"),
            ("{ tenantDeletion(id: \"x\") { id } }".to_owned(), "BAD_USER_INPUT"),
            ("{ tenantDeletion { id } }".to_owned(), "BAD_USER_INPUT"),
            ("{ tenantDeletions(filter: { tenantId: \"x\" }) { totalCount } }".to_owned(), "BAD_USER_INPUT"),
        ];
        for (document, code) in cases {
            let answer = app.post(Token::Admin, &document, json!({})).await;
            assert_eq!(answer.codes(), [code], "{}", document.get(..60).unwrap_or(&document));
        }
    })
    .await;
}

/// What is remembered of a document is not what its variables were.
#[tokio::test]
async fn a_document_that_was_answered_is_refused_as_a_new_one_is() {
    let documents = [
        ("query ($id: ID!) { tenant(id: $id) { id } }", "id"),
        ("query ($after: String) { tenants(after: $after) { nodes { id } } }", "after"),
        ("query ($first: Int!) { tenants(first: $first) { nodes { id } } }", "first"),
    ];
    let values = [
        json!("0198c3a4-7d2e-7b10-9c55-2f6a1e0b4d33"),
        json!("x"),
        json!(""),
        json!(null),
        json!(5),
        json!(5.5),
        json!(true),
        json!([]),
        json!(["x"]),
        json!({}),
        json!({ "id": "x" }),
    ];
    on_both(async |app| {
        for (document, name) in documents {
            let ask = async |text: &str, variables: &Value| {
                let answer = app.post(Token::Admin, text, variables.clone()).await;
                let codes: Vec<_> = answer.codes().into_iter().map(str::to_owned).collect();
                (answer.status, answer.body["data"].clone(), codes)
            };
            let good = if name == "first" { json!(1) } else { values[0].clone() };
            let good = if name == "after" { json!(null) } else { good };
            let codes = ask(document, &json!({ name: good })).await.2;
            assert_eq!(codes, Vec::<String>::new(), "{document}");
            let given =
                values.iter().map(|value| json!({ name: value })).chain([json!({}), json!({ "x": 1 })]);
            for (number, variables) in given.enumerate() {
                let new = format!("{document} # {number}");
                let (known, new) = (ask(document, &variables).await, ask(&new, &variables).await);
                assert_eq!(known, new, "{document} {variables}");
            }
        }
    })
    .await;
}

/// A fault stays where it is: the other tenants of the page are answered.
#[tokio::test]
async fn a_tenant_with_an_unknown_zone_spoils_only_its_own_figures() {
    on_both(async |app| {
        let lost = app.tenant(TenantRow { time_zone: "Mars/Olympus".into(), ..TenantRow::default() }).await;
        let fine = app.tenant(TenantRow { name: "Zeta".into(), ..TenantRow::default() }).await;
        let answer = app
            .post(
                Token::Admin,
                "{ tenants { nodes { id stats { totalCallsMonth } quota { callsUsed } } } }",
                json!({}),
            )
            .await;
        assert_eq!(answer.codes(), ["UNKNOWN_TIME_ZONE", "UNKNOWN_TIME_ZONE"]);
        let nodes = &answer.body["data"]["tenants"]["nodes"];
        assert_eq!(nodes[0], json!({ "id": lost, "stats": null, "quota": null }));
        assert_eq!(
            nodes[1],
            json!({ "id": fine, "stats": { "totalCallsMonth": 0 }, "quota": { "callsUsed": 0 } })
        );
    })
    .await;
}

/// A sum that JSON numbers cannot carry is an error, not another number.
#[tokio::test]
async fn a_number_beyond_its_type_is_an_error() {
    on_both(async |app| {
        let tenant = app.tenant(TenantRow::default()).await;
        let agent = app.agent(tenant).await;
        app.call(&Call { cost_cents: 1_000_000_000_000, ..Call::of(&agent, crate::support::noon()) }).await;
        // 2^14 copies of 10^12 are beyond 2^53.
        for _ in 0..14 {
            let fresh = if app.backend() == sea_orm::DbBackend::Sqlite {
                "randomblob(16)"
            } else {
                "gen_random_uuid()"
            };
            let double = format!(
                "INSERT INTO calls (tenant_id, id, agent_id, direction, status, started_at, cost_cents) \
                 SELECT tenant_id, {fresh}, agent_id, direction, status, started_at, cost_cents FROM calls"
            );
            app.sql(&double, []).await;
        }
        let document = "query ($id: ID!) { tenant(id: $id) { name stats { monthlyUsageCents } } }";
        let answer = app.post(Token::Admin, document, json!({ "id": tenant })).await;
        assert_eq!(answer.codes(), ["NUMBER_OUT_OF_RANGE"]);
        assert_eq!(answer.body["data"]["tenant"], json!({ "name": "Acme", "stats": null }));
    })
    .await;
}

#[tokio::test]
async fn fields_come_in_the_order_of_the_document() {
    on_both(async |app| {
        let document = "{ tenants { totalCount nodes { id } pageInfo { hasNextPage } } ...F } fragment F on Query { viewer { role subject } }";
        let answer = app
            .client
            .post(format!("{}/graphql", app.url))
            .bearer_auth(app.token(Token::Admin).expect("a token"))
            .json(&json!({ "query": document }))
            .send()
            .await
            .expect("an answer");
        let text = answer.text().await.expect("text");
        let places: Vec<_> =
            ["totalCount", "nodes", "pageInfo", "viewer", "role", "subject"].iter().map(|key| text.find(key)).collect();
        assert!(places.is_sorted() && places[0].is_some(), "{text}");
    })
    .await;
}

#[tokio::test]
async fn health_tells_whether_the_schema_is_there() {
    on_both(async |app| {
        let get = async |path: &str| {
            app.client.get(format!("{}{path}", app.url)).send().await.expect("an answer").status().as_u16()
        };
        assert_eq!((get("/healthz").await, get("/readyz").await), (200, 200));
        app.sql("DELETE FROM tenant_gateway_migrations", []).await;
        assert_eq!((get("/healthz").await, get("/readyz").await), (200, 503));
    })
    .await;
}

#[tokio::test]
async fn a_shutdown_lets_requests_in_flight_finish() {
    on_both(async |app| {
        let tenant = app.tenant(TenantRow::default()).await;
        // A transaction of ours holds the tenant's row: the mutation waits for it, as it does for up to
        // three seconds.
        let holder = app.database.begin().await.expect("a transaction");
        let hold = sea_orm::Statement::from_sql_and_values(
            app.backend(),
            "UPDATE tenants SET name = name WHERE id = $1",
            [tenant.into()],
        );
        sea_orm::ConnectionTrait::execute_raw(&holder, hold).await.expect("a lock");
        let mutation = "mutation ($input: SetTenantStatusInput!) { setTenantStatus(input: $input) { tenant { status } } }";
        let variables = json!({ "input": { "tenantId": tenant, "status": "INACTIVE" } });
        let waiting = app.admin(mutation, variables);
        let rest = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            app.shutdown.cancel();
            tokio::time::sleep(Duration::from_millis(300)).await;
            holder.rollback().await.expect("an end");
        };
        let (data, ()) = tokio::join!(waiting, rest);
        assert_eq!(data["setTenantStatus"]["tenant"]["status"], "INACTIVE");
        app.client.get(format!("{}/healthz", app.url)).send().await.expect_err("nobody listens any more");
    })
    .await;
}
