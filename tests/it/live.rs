//! Subscriptions over Server-Sent Events and over a socket.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

use crate::{
    deletion::{delete, until},
    support::{Call, Rows, TenantRow, TestApp, Token, id, noon, on_both},
};

const PATIENCE: Duration = Duration::from_secs(10);
const STATS: &str = "subscription ($id: ID!) { tenantStats(tenantId: $id) { totalCallsToday } }";
const DELETION: &str =
    "subscription ($id: ID!) { tenantDeletion(id: $id) { status progress { rowsErased } } }";

/// The events of a subscription, as they come: each its name and its data.
async fn events(app: &TestApp, who: Token, query: &str, id: Value) -> impl AsyncFnMut() -> (String, Value) {
    let response = app
        .client
        .post(format!("{}/graphql", app.url))
        .bearer_auth(app.token(who).expect("a token"))
        .header("accept", "text/event-stream")
        .json(&json!({ "query": query, "variables": { "id": id } }))
        .send()
        .await
        .expect("a stream");
    assert_eq!(response.status(), 200);
    let (mut response, mut text) = (response, String::new());
    async move || loop {
        if let Some((event, rest)) = text.split_once("\n\n") {
            let line = |key: &str| {
                event.lines().find_map(|line| line.strip_prefix(key)).map(|rest| rest.trim().to_owned())
            };
            let found = (line("event:"), line("data:").unwrap_or_default());
            text = String::from(rest);
            if let (Some(name), data) = found {
                return (name, serde_json::from_str(&data).unwrap_or_default());
            }
            continue;
        }
        let chunk = timeout(PATIENCE, response.chunk()).await.expect("an event in time").expect("a chunk");
        text.push_str(&String::from_utf8_lossy(&chunk.expect("no end before complete")));
    }
}

#[tokio::test]
async fn figures_come_at_once_and_again_when_they_change() {
    on_both(async |app| {
        let tenant = app.tenant(TenantRow::default()).await;
        let agent = app.agent(tenant).await;
        for who in [Token::Admin, Token::Support, Token::Tenant(tenant)] {
            let mut next = events(&app, who, STATS, json!(tenant)).await;
            let before = next().await.1["data"]["tenantStats"]["totalCallsToday"].as_i64().expect("a count");
            app.call(&Call::of(&agent, noon())).await;
            let (name, after) = next().await;
            assert_eq!(
                (name.as_str(), &after["data"]["tenantStats"]["totalCallsToday"]),
                ("next", &json!(before + 1))
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_stranger_hears_the_same_as_about_a_tenant_that_is_not_there() {
    on_both(async |app| {
        let tenant = app.tenant(TenantRow::default()).await;
        let gone = app.tenant(TenantRow::default()).await;
        let deletion =
            delete(&app, json!({ "tenantId": gone, "confirmName": "Acme" })).await["deletion"]["id"].clone();
        for (query, hidden) in [(STATS, json!(tenant)), (DELETION, deletion)] {
            let stranger = Token::Tenant(id());
            let mut next = events(&app, stranger, query, hidden).await;
            let unnamed = |mut answer: Value| {
                answer["errors"][0]["extensions"]
                    .as_object_mut()
                    .expect("extensions")
                    .remove("requestId")
                    .expect("a name");
                answer
            };
            let seen = unnamed(next().await.1);
            let mut next = events(&app, stranger, query, json!(id())).await;
            assert_eq!(unnamed(next().await.1), seen);
            assert_eq!(seen["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{seen}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_finished_deletion_is_told_and_completes() {
    on_both(async |app| {
        let tenant = app.tenant(TenantRow::default()).await;
        delete(&app, json!({ "tenantId": tenant, "confirmName": "Acme" })).await;
        // The answer waits for its end for a while only.
        let deletion = until(&app, tenant, "DELETED").await["id"].clone();
        for who in [Token::Admin, Token::Support, Token::Tenant(tenant)] {
            let mut next = events(&app, who, DELETION, deletion.clone()).await;
            assert_eq!(next().await.1["data"]["tenantDeletion"]["progress"]["rowsErased"], 1);
            assert_eq!(next().await.0, "complete");
        }
    })
    .await;
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    on_both(async |app| {
        let tenant = app.tenant(TenantRow::default()).await;
        let mut next = events(&app, Token::Admin, STATS, json!(tenant)).await;
        next().await;
        app.clock.set(noon() + chrono::TimeDelta::hours(2));
        assert_eq!(next().await.0, "complete");
    })
    .await;
}

#[tokio::test]
async fn a_socket_needs_a_token_and_then_streams() {
    on_both(async |app| {
        let tenant = app.tenant(TenantRow::default()).await;
        let connect = async |token: &str| {
            let address = format!("{}/graphql/ws", app.url.replace("http", "ws"));
            let mut request = address.into_client_request().expect("a request");
            request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().expect("a name"));
            let (mut socket, _) = tokio_tungstenite::connect_async(request).await.expect("a socket");
            let init = json!({ "type": "connection_init", "payload": { "Authorization": format!("Bearer {token}") } });
            socket.send(Message::text(init.to_string())).await.expect("a message");
            socket
        };
        let mut refused = connect("nonsense").await;
        let first = timeout(PATIENCE, refused.next()).await.expect("an answer in time").expect("an answer");
        assert!(!matches!(&first, Ok(Message::Text(text)) if text.contains("connection_ack")), "{first:?}");

        let mut socket = connect(&app.token(Token::Tenant(tenant)).expect("a token")).await;
        let subscribe = json!({ "type": "subscribe", "id": "1", "payload": { "query": STATS, "variables": { "id": tenant } } });
        let mut receive = async |wanted: &str| loop {
            let message = timeout(PATIENCE, socket.next()).await.expect("in time").expect("a message").expect("text");
            let Message::Text(text) = message else { continue };
            let message: Value = serde_json::from_str(&text).expect("JSON");
            if wanted == "connection_ack" {
                socket.send(Message::text(subscribe.to_string())).await.expect("a message");
            }
            assert_eq!(message["type"], wanted, "{message}");
            return message;
        };
        receive("connection_ack").await;
        let message = receive("next").await;
        assert_eq!(message["payload"]["data"]["tenantStats"]["totalCallsToday"], 0);
    })
    .await;
}

/// Who follows already is told no more often because others begin to.
#[tokio::test]
async fn nobody_is_told_more_than_once_a_second() {
    on_both(async |app| {
        let tenant = app.tenant(TenantRow::default()).await;
        let agent = app.agent(tenant).await;
        let mut next = events(&app, Token::Admin, STATS, json!(tenant)).await;
        next().await;
        let begun = std::time::Instant::now();
        let writing = async {
            for _ in 0..20 {
                app.call(&Call::of(&agent, noon())).await;
                let mut other = events(&app, Token::Admin, STATS, json!(tenant)).await;
                other().await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let listening = async {
            let mut told = 0_u32;
            while next().await.1["data"]["tenantStats"]["totalCallsToday"] != 20 {
                told += 1;
            }
            told + 1
        };
        let (told, ()) = tokio::join!(listening, writing);
        let seconds = begun.elapsed().as_secs_f64();
        assert!(f64::from(told) <= seconds + 1.0, "told {told} times in {seconds} s");
    })
    .await;
}

/// Who follows what cannot be read is told so, once, and of what comes after it.
#[tokio::test]
async fn what_cannot_be_read_is_told_and_followed_further() {
    on_both(async |app| {
        let tenant = app.tenant(TenantRow::default()).await;
        let mut next = events(&app, Token::Tenant(tenant), STATS, json!(tenant)).await;
        next().await;
        let set_zone = "UPDATE tenants SET time_zone = $1 WHERE id = $2";
        app.sql(set_zone, ["Mars/Olympus".into(), tenant.into()]).await;
        let told = next().await.1;
        assert_eq!(told["errors"][0]["extensions"]["code"], "UNKNOWN_TIME_ZONE", "{told}");
        assert!(told["errors"][0]["extensions"]["requestId"].is_string(), "{told}");
        // Two more looks that fail are no news.
        tokio::time::sleep(Duration::from_secs(2)).await;
        app.sql(set_zone, ["Europe/Berlin".into(), tenant.into()]).await;
        let told = next().await.1;
        assert_eq!(told["data"]["tenantStats"]["totalCallsToday"], 0, "{told}");
    })
    .await;
}

/// However many follow, a process looks once a second, at all that they follow together.
#[tokio::test]
async fn many_followers_share_their_statements() {
    on_both(async |app| {
        let mut followers = Vec::new();
        let mut deletions = Vec::new();
        for number in 0..5 {
            let tenant = app.tenant(TenantRow { name: format!("Acme {number}"), ..TenantRow::default() }).await;
            let document = "mutation ($id: ID!, $name: String!) { deleteTenant(input: { tenantId: $id, confirmName: $name,
                graceSeconds: 86400 }) { deletion { id status } } }";
            let variables = json!({ "id": tenant, "name": format!("Acme {number}") });
            let deletion = app.admin(document, variables).await["deleteTenant"]["deletion"]["id"].clone();
            for _ in 0..6 {
                let mut stats = events(&app, Token::Support, STATS, json!(tenant)).await;
                assert_eq!(stats().await.1["data"]["tenantStats"]["totalCallsToday"], 0);
                let mut record = events(&app, Token::Tenant(tenant), DELETION, deletion.clone()).await;
                assert_eq!(record().await.1["data"]["tenantDeletion"]["status"], "SCHEDULED");
                followers.push((stats, record));
            }
            deletions.push(deletion);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        let (statements, ()) = app.counting(tokio::time::sleep(Duration::from_secs(3))).await;
        assert!((4..=8).contains(&statements), "{statements} statements in three seconds for 60 followers");
        let cancel = "mutation ($id: ID!) { cancelTenantDeletion(input: { deletionId: $id }) { deletion { status } } }";
        app.admin(cancel, json!({ "id": deletions[4] })).await;
        for (_, record) in &mut followers[24..] {
            assert_eq!(record().await.1["data"]["tenantDeletion"]["status"], "CANCELED");
            assert_eq!(record().await.0, "complete");
        }
    })
    .await;
}
