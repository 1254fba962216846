//! The playground in a real browser, and its example operations against a real gateway.

use std::io::Write;

use serde_json::Value;
use tenant_gateway::http::playground::{EXAMPLES, VARIABLES};

use crate::{
    browser,
    support::{Rows, TenantRow, Token, on_both},
};

#[tokio::test]
async fn every_example_is_answered() {
    on_both(async |app| {
        let tenant = app.tenant(TenantRow::default()).await;
        app.platform(tenant).await;
        for ((name, document), variables) in EXAMPLES.iter().zip(VARIABLES) {
            let variables = variables.replace("TENANT_ID", &tenant.to_string());
            let variables: Value = serde_json::from_str(&variables).expect("variables in JSON");
            let answer = app.post(Token::Admin, document, variables).await;
            assert_eq!(answer.body.get("errors"), None, "{name}");
        }
        // The example that erases does not know the name, so that nobody runs it by accident.
        assert_eq!(app.number("SELECT count(*) FROM tenants", []).await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_browser_shows_the_tabs_the_token_and_the_schema() {
    on_both(async |app| {
        if browser::chromium().is_none() {
            assert!(
                std::env::var("REQUIRE_BROWSER").as_deref() != Ok("1"),
                "REQUIRE_BROWSER=1 but no chromium"
            );
            let _ = std::io::stderr().write_all(b"NOT RUN IN A BROWSER: no chromium is installed\n");
            return;
        }
        let tenant = app.tenant(TenantRow::default()).await;
        // The browser is no client of this runtime: it must be free to answer meanwhile.
        let token = app.token(Token::Admin).expect("a token");
        let url = format!("{}/graphiql#token={token}&tenant={tenant}", app.url);
        let dom = tokio::task::spawn_blocking(move || browser::dom_of(&url)).await.expect("a browser");
        let dom = dom.expect("the page");
        for (name, _) in EXAMPLES {
            assert!(dom.contains(&format!("graphiql-tab-button\">{name}</button>")), "no tab {name}");
        }
        assert!(dom.contains(&format!("\"Bearer {token}\"")), "the token is not in the headers");
        assert!(dom.contains("All Schema Types"), "the schema did not load");
        assert!(!dom.contains("graphiql-doc-explorer-error"));
    })
    .await;
}

#[tokio::test]
async fn the_page_and_all_it_names_come_from_the_gateway() {
    on_both(async |app| {
        let get = |path: String| app.client.get(format!("{}{path}", app.url)).send();
        let page = get("/".into()).await.expect("a page");
        assert_eq!(page.url().path(), "/graphiql");
        let page = page.text().await.expect("text");
        let mut named = 0;
        for part in page.split(['"', '\'']).filter(|part| part.contains("graphiql/assets/")) {
            assert!(!part.contains("://"), "{part} is on another host");
            let answer = get(format!("/{}", part.trim_start_matches('/'))).await.expect("an asset");
            assert_eq!(answer.status(), 200, "{part}");
            named += 1;
        }
        assert!(named >= 5, "the page names its scripts and styles: {named}");
        assert_eq!(get("/graphiql/assets/nothing.js".into()).await.expect("an answer").status(), 404);
    })
    .await;
}
