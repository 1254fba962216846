//! The cost of the whole edge: the smallest query through the gateway, and through a handler of the same library that
//! does nothing else.

use std::{process::Command, time::Duration};

use async_graphql::{EmptyMutation, EmptySubscription, Enum, Object, Schema, SimpleObject};
use async_graphql_axum::{GraphQLRequest, GraphQLResponse};
use axum::{Router, extract::State, routing::post};
use serde_json::json;
use tokio::net::TcpListener;

use super::{
    gateway::{Server, token},
    load,
    measure::{Table, median},
};

/// Starts the bare handler in a process of its own.
pub const FLAG: &str = "--bare-handler";
const QUERY: &str = "{ viewer { role } }";
/// Many short ones, each of all three in another order: what else the machine does changes from second to second.
const ROUNDS: usize = 15;
const LASTING: Duration = Duration::from_secs(1);
const CONNECTIONS: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
enum Role {
    Admin,
}

#[derive(SimpleObject)]
struct Viewer {
    role: Role,
}

struct Query;

#[Object]
impl Query {
    async fn viewer(&self) -> Viewer {
        Viewer { role: Role::Admin }
    }
}

type Bare = Schema<Query, EmptyMutation, EmptySubscription>;

/// As the library's own example has it.
pub async fn serve(port: u16) {
    async fn answer(State(schema): State<Bare>, request: GraphQLRequest) -> GraphQLResponse {
        schema.execute(request.into_inner()).await.into()
    }
    let schema = Schema::new(Query, EmptyMutation, EmptySubscription);
    let router = Router::new().route("/graphql", post(answer)).with_state(schema);
    let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a port");
    axum::serve(listener, router).await.expect("an end");
}

pub async fn measure(url: &str, table: &mut Table) {
    let gateway = Server::gateway(url, &["--rate-per-address", "0", "--rate-per-viewer", "0"]);
    // Counted, whatever the limit is.
    let counting = Server::gateway(url, &["--rate-per-address", "4000000", "--rate-per-viewer", "4000000"]);
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.arg(FLAG);
    let bare = Server::other(command);
    let request = [load::post("/graphql", &token(), QUERY, &json!({}))];
    let servers = [&counting, &bare, &gateway];
    let (mut with, mut without) = (Vec::new(), Vec::new());
    let (mut gateways, mut bares) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let mut rates = [0.0; 3];
        for turn in 0..servers.len() {
            // What one leaves behind, such as its log, is not always the same other's.
            let turn = if round % 2 == 0 { turn } else { servers.len() - 1 - turn };
            let place = (round + turn) % servers.len();
            rates[place] = load::run(servers[place].port, CONNECTIONS, LASTING, &request).await.rate;
        }
        let [counted, bare, uncounted] = rates;
        with.push(counted / bare);
        without.push(uncounted / bare);
        gateways.push(counted);
        bares.push(bare);
    }
    let detail = format!("{:.0} ÷ {:.0} /s", median(&mut gateways), median(&mut bares));
    table.at_least("{ viewer { role } } ÷ a bare handler, 64 connections", &detail, median(&mut with), 0.8);
    table.at_least("the same without rates", "", median(&mut without), 0.8);
}
