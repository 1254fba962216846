//! `graphql-transport-ws`: what closes a socket, with which code, and that operations do not disturb each other.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest},
};

use crate::support::{Backend, Call, Program, Rows, TenantRow, TestApp, Token, bearer, noon, on, on_both};

const PATIENCE: Duration = Duration::from_secs(10);

struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    async fn open(app: &TestApp) -> Self {
        Self::at(&app.url).await
    }

    async fn at(url: &str) -> Self {
        let address = format!("{}/graphql/ws", url.replacen("http", "ws", 1));
        let mut request = address.into_client_request().expect("an address");
        let protocol = "graphql-transport-ws".parse().expect("a header");
        request.headers_mut().insert("sec-websocket-protocol", protocol);
        Self(tokio_tungstenite::connect_async(request).await.expect("a socket").0)
    }

    /// A socket that a viewer has begun to use.
    async fn begun(app: &TestApp, who: Token) -> Self {
        Self::begun_at(&app.url, app.token(who)).await
    }

    async fn begun_at(url: &str, token: Option<String>) -> Self {
        let mut socket = Self::at(url).await;
        let token = token.map(|token| format!("Bearer {token}"));
        socket.say(&json!({ "type": "connection_init", "payload": { "Authorization": token } })).await;
        assert_eq!(socket.hear().await, Ok(json!({ "type": "connection_ack" })));
        socket
    }

    async fn say(&mut self, message: &Value) {
        self.0.send(Message::text(message.to_string())).await.expect("an open socket");
    }

    /// The next message, or the code that the socket is closed with.
    async fn hear(&mut self) -> Result<Value, u16> {
        loop {
            match timeout(PATIENCE, self.0.next())
                .await
                .expect("a message in time")
                .expect("no end")
                .expect("a message")
            {
                Message::Text(text) => {
                    let message: Value = serde_json::from_str(&text).expect("JSON");
                    if message["type"] != "ping" {
                        return Ok(message);
                    }
                }
                Message::Close(frame) => return Err(frame.expect("a reason").code.into()),
                _ => {}
            }
        }
    }
}

fn subscribe(id: &str, query: &str) -> Value {
    json!({ "type": "subscribe", "id": id, "payload": { "query": query } })
}

#[tokio::test]
async fn what_the_protocol_does_not_allow_closes_with_its_code() {
    on_both(async |app| {
        let init = json!({ "type": "connection_init" });
        for (messages, code) in [
            (vec![json!({ "type": "nonsense" })], 4400),
            (vec![json!("text")], 4400),
            (vec![json!({ "type": "connection_init", "payload": "text" })], 4400),
            (vec![json!({ "type": "ping", "payload": "text" })], 4400),
            (vec![json!({ "type": "pong", "payload": "text" })], 4400),
            (vec![json!({ "type": "complete", "id": "" })], 4400),
            (vec![subscribe("", "{ viewer { role } }")], 4400),
            (vec![json!({ "type": "ping", "payload": { "list": vec![1; 10_000] } })], 4400),
            (vec![json!({ "type": "subscribe", "id": "1", "payload": {} })], 4400),
            (vec![subscribe("1", "{ viewer { role } }")], 4401),
            (vec![init], 4403),
        ] {
            let mut socket = Socket::open(&app).await;
            for message in &messages {
                socket.say(message).await;
            }
            assert_eq!(socket.hear().await, Err(code), "{messages:?}");
        }
        let mut socket = Socket::begun(&app, Token::Admin).await;
        socket.say(&json!({ "type": "connection_init" })).await;
        assert_eq!(socket.hear().await, Err(4429));

        let tenant = app.tenant(TenantRow::default()).await;
        let endless = format!("subscription {{ tenantStats(tenantId: \"{tenant}\") {{ totalAgents }} }}");
        let mut socket = Socket::begun(&app, Token::Admin).await;
        socket.say(&subscribe("same", &endless)).await;
        assert_eq!(socket.hear().await.expect("figures")["type"], "next");
        socket.say(&subscribe("same", &endless)).await;
        assert_eq!(socket.hear().await, Err(4409));
    })
    .await;
}

/// Queries and subscriptions side by side; an operation that was ended is silent, and its id is free again.
#[tokio::test]
async fn operations_of_one_socket_do_not_disturb_each_other() {
    on_both(async |app| {
        let tenant = app.tenant(TenantRow::default()).await;
        let agent = app.agent(tenant).await;
        let endless = format!("subscription {{ tenantStats(tenantId: \"{tenant}\") {{ totalCallsToday }} }}");
        let mut socket = Socket::begun(&app, Token::Tenant(tenant)).await;
        socket.say(&subscribe("one", &endless)).await;
        assert_eq!(
            socket.hear().await.expect("figures")["payload"]["data"]["tenantStats"]["totalCallsToday"],
            0
        );
        socket.say(&subscribe("two", "{ viewer { role } }")).await;
        let next =
            json!({ "type": "next", "id": "two", "payload": { "data": { "viewer": { "role": "TENANT" } } } });
        assert_eq!(socket.hear().await, Ok(next));
        assert_eq!(socket.hear().await, Ok(json!({ "type": "complete", "id": "two" })));
        socket.say(&subscribe("three", "{ nothing }")).await;
        let error = socket.hear().await.expect("an error");
        assert_eq!((&error["type"], &error["id"]), (&json!("error"), &json!("three")));
        assert_eq!(error["payload"][0]["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED");
        app.call(&Call::of(&agent, noon())).await;
        let news = socket.hear().await.expect("news");
        assert_eq!(
            (&news["id"], &news["payload"]["data"]["tenantStats"]["totalCallsToday"]),
            (&json!("one"), &json!(1))
        );
        socket.say(&json!({ "type": "complete", "id": "one" })).await;
        socket.say(&json!({ "type": "ping", "payload": { "at": 1 } })).await;
        assert_eq!(socket.hear().await, Ok(json!({ "type": "pong", "payload": { "at": 1 } })));
        socket.say(&subscribe("one", "{ viewer { role } }")).await;
        assert_eq!(socket.hear().await.expect("an answer")["type"], "next");
    })
    .await;
}

/// A token that ends takes its socket along, and a stopping gateway says so instead of hanging up.
#[tokio::test]
async fn a_socket_ends_with_its_token_and_with_the_gateway() {
    on_both(async |app| {
        let mut ending = Socket::begun(&app, Token::Admin).await;
        app.clock.set(noon() + chrono::TimeDelta::days(400));
        assert_eq!(ending.hear().await, Err(4403));
        app.clock.set(noon());
        let mut stopped = Socket::begun(&app, Token::Admin).await;
        app.shutdown.cancel();
        assert_eq!(stopped.hear().await, Err(1001));
    })
    .await;
}

/// However many listen, tenants are looked at together, and not at all when nobody listens.
#[tokio::test]
async fn many_listeners_take_few_statements() {
    on_both(async |app| {
        let mut tenants = Vec::new();
        for _ in 0..10 {
            tenants.push(app.tenant(TenantRow::default()).await);
        }
        let mut socket = Socket::begun(&app, Token::Admin).await;
        for number in 0..60 {
            let tenant = tenants[number % 10];
            let query = format!("subscription {{ tenantStats(tenantId: \"{tenant}\") {{ totalAgents }} }}");
            socket.say(&subscribe(&number.to_string(), &query)).await;
        }
        for _ in 0..60 {
            assert_eq!(socket.hear().await.expect("figures")["type"], "next");
        }
        let of_a_while = async || tokio::time::sleep(Duration::from_secs(3)).await;
        let (statements, ()) = app.counting(of_a_while()).await;
        assert!((2..=4).contains(&statements), "{statements} statements in three seconds");
        drop(socket);
        of_a_while().await;
        let (statements, ()) = app.counting(of_a_while()).await;
        assert_eq!(statements, 0, "nobody listens");
    })
    .await;
}

/// A change that is taken back before the next look is told to whoever came in between.
#[tokio::test]
async fn who_comes_between_two_looks_is_told_what_changes_back() {
    on_both(async |app| {
        let tenant = app.tenant(TenantRow::default()).await;
        let agent = app.agent(tenant).await;
        let endless = format!("subscription {{ tenantStats(tenantId: \"{tenant}\") {{ totalCallsToday }} }}");
        let count = |message: Value| message["payload"]["data"]["tenantStats"]["totalCallsToday"].clone();
        let mut first = Socket::begun(&app, Token::Admin).await;
        first.say(&subscribe("one", &endless)).await;
        assert_eq!(count(first.hear().await.expect("figures")), 0);
        let mut second = Socket::begun(&app, Token::Admin).await;
        app.call(&Call::of(&agent, noon())).await;
        app.clock.set(noon() + chrono::TimeDelta::milliseconds(1));
        second.say(&subscribe("two", &endless)).await;
        assert_eq!(count(second.hear().await.expect("figures")), 1);
        app.sql("DELETE FROM calls WHERE tenant_id = $1", [tenant.into()]).await;
        assert_eq!(count(second.hear().await.expect("news")), 0);
    })
    .await;
}

/// A mutation that is under way when the gateway stops is answered, as over any other way.
#[tokio::test]
async fn what_will_end_by_itself_is_answered_before_the_gateway_stops() {
    on(Backend::Postgres, async |app: TestApp| {
        let mut program = Program::serve(&app.database_url, &[]);
        let tenant = app.tenant(TenantRow::default()).await;
        let document = format!(
            "mutation {{ setTenantStatus(input: {{ tenantId: \"{tenant}\", status: SUSPENDED }}) {{ tenant {{ status }} }} }}"
        );
        let mut socket = Socket::begun_at(&program.url(""), Some(bearer(Token::Admin))).await;
        let lock = app.database.begin().await.expect("a transaction");
        let held = "SELECT id FROM tenants FOR UPDATE";
        sea_orm::ConnectionTrait::execute_unprepared(&lock, held).await.expect(held);
        socket.say(&subscribe("1", &document)).await;
        let endless = format!("subscription {{ tenantStats(tenantId: \"{tenant}\") {{ totalAgents }} }}");
        socket.say(&subscribe("2", &endless)).await;
        assert_eq!(socket.hear().await.expect("figures")["id"], "2");
        let events = crate::support::client()
            .post(program.url("/graphql"))
            .bearer_auth(bearer(Token::Admin))
            .header("accept", "text/event-stream")
            .json(&json!({ "query": document }))
            .send();
        let events = tokio::spawn(async move { events.await.expect("a stream").text().await });
        tokio::time::sleep(Duration::from_millis(300)).await;
        program.signal("INT");
        tokio::time::sleep(Duration::from_millis(300)).await;
        lock.rollback().await.expect("an end");
        let answer = socket.hear().await.expect("an answer");
        assert_eq!(answer["payload"]["data"]["setTenantStatus"]["tenant"]["status"], "SUSPENDED", "{answer}");
        assert_eq!(socket.hear().await.expect("an end")["type"], "complete");
        assert_eq!(socket.hear().await, Err(1001));
        let events = events.await.expect("a task").expect("all of it");
        assert!(events.contains("SUSPENDED") && events.contains("complete"), "{events}");
        assert!(program.ended().await.success());
    })
    .await;
}

/// Errors can be found in the log, whichever way they came.
#[tokio::test]
async fn errors_over_a_socket_name_their_request() {
    on(Backend::Sqlite, async |app: TestApp| {
        let mut socket = Socket::begun(&app, Token::Admin).await;
        socket.say(&subscribe("1", "{ nothing }")).await;
        let refused = socket.hear().await.expect("a refusal");
        let id = refused["payload"][0]["extensions"]["requestId"].as_str().expect("a name");
        assert!(id.len() > 10, "{refused}");
    })
    .await;
}

/// Clients that are gone, idle or old make room.
#[tokio::test]
async fn a_socket_that_is_silent_idle_or_old_is_closed() {
    on(Backend::Sqlite, async |app: TestApp| {
        let tenant = app.tenant(TenantRow::default()).await;
        let endless = format!("subscription {{ tenantStats(tenantId: \"{tenant}\") {{ totalAgents }} }}");
        let begun =
            async |program: &Program| Socket::begun_at(&program.url(""), Some(bearer(Token::Admin))).await;

        let program = Program::serve(&app.database_url, &["--socket-idle-timeout", "1s"]);
        assert_eq!(begun(&program).await.hear().await, Err(1000), "idle");
        let mut busy = begun(&program).await;
        busy.say(&subscribe("1", &endless)).await;
        assert_eq!(busy.hear().await.expect("figures")["type"], "next");
        assert!(timeout(Duration::from_secs(3), busy.hear()).await.is_err(), "busy, and not closed");

        let program = Program::serve(&app.database_url, &["--socket-silence", "1s"]);
        let mut silent = begun(&program).await;
        silent.say(&subscribe("1", &endless)).await;
        assert_eq!(silent.hear().await.expect("figures")["type"], "next");
        assert_eq!(silent.hear().await, Err(4408), "it answers no ping");

        let limits = ["--socket-lifetime", "1s", "--max-socket-operations", "1"];
        let program = Program::serve(&app.database_url, &limits);
        let mut old = begun(&program).await;
        old.say(&subscribe("1", &endless)).await;
        assert_eq!(old.hear().await.expect("figures")["type"], "next");
        old.say(&subscribe("2", &endless)).await;
        let refused = old.hear().await.expect("a refusal");
        assert_eq!((&refused["type"], &refused["id"]), (&json!("error"), &json!("2")));
        assert_eq!(old.hear().await, Err(1001), "old");
    })
    .await;
}

/// Who does not read is not waited for, and what it has not read is not kept without end.
#[tokio::test]
async fn who_takes_messages_too_slowly_is_dropped() {
    on(Backend::Sqlite, async |app: TestApp| {
        let program = Program::serve(&app.database_url, &[]);
        let before = program.memory();
        let mut socket = Socket::begun_at(&program.url(""), Some(bearer(Token::Admin))).await;
        let large: String = (0..40)
            .map(|number| {
                format!(
                    "s{number}: __schema {{ types {{ name description fields {{ name description }} }} }} "
                )
            })
            .fold(String::new(), |all, one| all + &one);
        for number in 0..90 {
            socket.say(&subscribe(&number.to_string(), &format!("{{ {large} }}"))).await;
        }
        tokio::time::sleep(Duration::from_secs(12)).await;
        let grown = program.memory().saturating_sub(before);
        assert!(grown < 150, "{grown} MB are kept for it");
        let code = loop {
            if let Err(code) = socket.hear().await {
                break code;
            }
        };
        assert_eq!(code, 1013);
    })
    .await;
}
