//! How much memory the gateway needs for tenants of any size.

use tenant_gateway::database::Database;

use super::{fill, from_environment, gateway, gateway::Gateway, measure::Table, server::Server};

/// Two tenants that nobody else measures.
const FEW: u64 = 3_000;
const MANY: u64 = 3_001;
const FEW_ROWS: u64 = 200_000;

/// Two gateways, of which each erases one tenant.
pub async fn measure(server: &Server, table: &mut Table) {
    let many = from_environment("BENCH_MEMORY_ROWS", 5_000_000);
    let url = server.copy().await;
    let database = Database::open(&url).await.expect("a database");
    fill::tenant(&database, FEW, FEW_ROWS).await;
    fill::tenant(&database, MANY, many).await;
    database.close().await.expect("a pool that closes");
    gateway::command(&["usage", "rebuild", "--database-url", &url]);
    let mut peaks = Vec::new();
    for (number, rows) in [(FEW, FEW_ROWS), (MANY, many)] {
        let gateway = Gateway::start(&url);
        let erased = gateway.erase(number).await;
        assert!(erased.rows() >= rows, "{} rows", erased.rows());
        peaks.push(gateway.peak_memory());
    }
    table.at_most(
        &format!("memory of the gateway, {many} rows ÷ {FEW_ROWS} rows"),
        &format!("peak resident set {:.1} ÷ {:.1} MB", peaks[1], peaks[0]),
        peaks[1] / peaks[0],
        1.2,
    );
}
