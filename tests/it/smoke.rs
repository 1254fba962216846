//! The shortest way through everything.

use serde_json::json;

use crate::support::{Rows, TenantRow, on_both};

#[tokio::test]
async fn a_tenant_is_found_with_its_stats() {
    on_both(async |app| {
        let tenant = app.tenant(TenantRow { name: "Acme".into(), ..TenantRow::default() }).await;
        app.platform(tenant).await;
        let (statements, data) = app
            .counting(app.admin(
                "query ($id: ID!) { tenant(id: $id) { name stats { totalAgents totalCallsMonth } } }",
                json!({ "id": tenant }),
            ))
            .await;
        assert_eq!(data["tenant"]["name"], "Acme");
        assert_eq!(data["tenant"]["stats"]["totalAgents"], 1);
        assert_eq!(data["tenant"]["stats"]["totalCallsMonth"], 1);
        assert_eq!(statements, 2);
    })
    .await;
}
