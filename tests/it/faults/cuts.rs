//! Connections that break, and a server that crashes.

use std::time::Duration;

use super::{
    process::Gateway,
    server::Server,
    victim::{Bystander, Victim},
};
use crate::support::{Place, TestApp};

#[tokio::test]
async fn cut_connections_and_a_crashed_server_are_waited_out() {
    let Some(server) = Server::start() else {
        assert_ne!(std::env::var("REQUIRE_POSTGRES").as_deref(), Ok("1"), "PostgreSQL is not installed here");
        return;
    };
    let place = Place::on_server(&server.url()).await;
    let app = TestApp::start(&place).await;
    let bystander = Bystander::new(&app).await;
    let victims = [Victim::new(&app, 1_500).await, Victim::new(&app, 400).await];
    let gateways = [Gateway::start(&app, None), Gateway::start(&app, None)];
    for victim in &victims {
        victim.is_due(&app).await;
    }
    let storm = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() < 0.3";
    for round in 0..30 {
        // It is one of those that are cut.
        let _ = sea_orm::ConnectionTrait::execute_unprepared(&app.database.connection, storm).await;
        tokio::time::sleep(Duration::from_millis(60)).await;
        if round % 10 == 9 {
            server.crash_and_restart();
        }
    }
    // A connection that was idle for so long is tried before it is used.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    for victim in &victims {
        victim.is_gone(&app).await;
    }
    bystander.has_not_noticed(&app).await;
    drop(gateways);
}
