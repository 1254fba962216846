//! A deletion with a grace period: the tenant works on, the deletion can be called off, and begins by itself.

use chrono::TimeDelta;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    deletion::{delete, resume, until},
    support::{Rows, Session, TenantRow, TestApp, Token, noon, on_both},
};

async fn cancel(app: &TestApp, deletion: &Value, reason: &str) -> Value {
    let document = "mutation ($input: CancelTenantDeletionInput!) { cancelTenantDeletion(input: $input) {
        deletion { id status isCancelable } userErrors { code message field } } }";
    let input = json!({ "input": { "deletionId": deletion, "reason": reason } });
    app.admin(document, input).await["cancelTenantDeletion"].clone()
}

async fn tenant_of(app: &TestApp, id: Uuid) -> Value {
    let query = "query ($id: ID!) { tenant(id: $id) { status deletionScheduledFor deletion { status isCancelable } } }";
    app.data(Token::Tenant(id), query, json!({ "id": id })).await["tenant"].clone()
}

#[tokio::test]
async fn a_scheduled_tenant_works_until_its_time_and_is_gone_then() {
    on_both(async |app| {
        let tenant = app.tenant(TenantRow::default()).await;
        app.platform(tenant).await;
        // Active now: that matters when erasing begins.
        app.session(&Session::of(tenant, noon())).await;
        let input = json!({ "tenantId": tenant, "confirmName": "Acme", "graceSeconds": 86_400 });
        let payload = delete(&app, input.clone()).await;
        assert_eq!(payload["deletion"]["status"], "SCHEDULED", "{payload}");
        let shown = tenant_of(&app, tenant).await;
        assert_eq!(shown["status"], "ACTIVE");
        assert_eq!(shown["deletionScheduledFor"], "2026-03-19T12:00:00Z", "{shown}");
        assert_eq!(shown["deletion"], json!({ "status": "SCHEDULED", "isCancelable": true }));
        // Writers write on, and asking again changes nothing.
        app.session(&Session::of(tenant, noon())).await;
        let again = delete(&app, json!({ "tenantId": tenant, "confirmName": "Acme" })).await;
        assert_eq!(again["deletion"]["id"], payload["deletion"]["id"]);
        let wrong = delete(&app, json!({ "tenantId": tenant, "confirmName": "acme" })).await;
        assert_eq!(wrong["userErrors"][0]["code"], "CONFIRMATION_MISMATCH");

        app.clock.set(noon() + TimeDelta::hours(23));
        tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
        assert_eq!(tenant_of(&app, tenant).await["deletion"]["status"], "SCHEDULED", "too early");
        app.clock.set(noon() + TimeDelta::hours(27));
        let deletion = until(&app, tenant, "DELETED").await;
        assert_eq!(deletion["scheduledFor"], "2026-03-19T12:00:00Z");
        assert_eq!(deletion["startedAt"], "2026-03-19T15:00:00Z");
        assert_eq!(tenant_of(&app, tenant).await, Value::Null);
    })
    .await;
}

#[tokio::test]
async fn a_scheduled_deletion_can_be_called_off_and_asked_for_again() {
    on_both(async |app| {
        let tenant = app.tenant(TenantRow::default()).await;
        app.platform(tenant).await;
        let input = json!({ "tenantId": tenant, "confirmName": "Acme", "graceSeconds": 60 });
        let first = delete(&app, input.clone()).await["deletion"]["id"].clone();
        let payload = cancel(&app, &first, "a mistake").await;
        assert_eq!(payload["deletion"], json!({ "id": first, "status": "CANCELED", "isCancelable": false }));
        assert_eq!(payload["userErrors"], json!([]));
        let kept = "SELECT count(*) FROM tenant_deletions WHERE cancel_reason = 'a mistake' AND canceled_at IS NOT NULL";
        assert_eq!(app.number(kept, []).await, 1);
        let shown = tenant_of(&app, tenant).await;
        assert_eq!((&shown["status"], &shown["deletionScheduledFor"]), (&json!("ACTIVE"), &Value::Null));
        app.clock.set(noon() + TimeDelta::hours(1));
        tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
        assert_eq!(tenant_of(&app, tenant).await["deletion"]["status"], "CANCELED", "it stays so");
        let payload = cancel(&app, &first, "again").await;
        assert_eq!(payload["userErrors"][0]["code"], "DELETION_NOT_CANCELABLE");

        let second = delete(&app, json!({ "tenantId": tenant, "confirmName": "Acme" })).await;
        assert_ne!(second["deletion"]["id"], first);
        until(&app, tenant, "DELETED").await;
        let payload = cancel(&app, &second["deletion"]["id"], "too late").await;
        assert_eq!(payload["userErrors"][0]["code"], "DELETION_NOT_CANCELABLE");
        assert_eq!(payload["deletion"]["status"], "DELETED");
    })
    .await;
}

#[tokio::test]
async fn activity_at_the_end_of_the_grace_period_blocks_until_it_is_overridden() {
    on_both(async |app| {
        let tenant = app.tenant(TenantRow::default()).await;
        app.platform(tenant).await;
        delete(&app, json!({ "tenantId": tenant, "confirmName": "Acme", "graceSeconds": 60 })).await;
        app.clock.set(noon() + TimeDelta::minutes(2));
        app.session(&Session::of(tenant, app.clock.now())).await;
        let blocked = until(&app, tenant, "BLOCKED").await;
        let block = &blocked["block"];
        assert_eq!((&block["code"], &block["during"]), (&json!("ACTIVE_SESSIONS"), &json!("SCHEDULED")));
        assert!(block["message"].as_str().expect("a sentence").contains("1 active session"), "{block}");
        assert_eq!(blocked["isCancelable"], true);
        assert_eq!(tenant_of(&app, tenant).await["status"], "ACTIVE", "nothing has begun");
        // Without force it meets the same again.
        assert_eq!(resume(&app, &blocked["id"], json!({})).await["userErrors"], json!([]));
        until(&app, tenant, "BLOCKED").await;
        let payload = resume(&app, &blocked["id"], json!({ "force": true })).await;
        assert_eq!(payload["deletion"]["isForced"], true, "{payload}");
        let gone = until(&app, tenant, "DELETED").await;
        assert_eq!(gone["block"], Value::Null);
        let payload = resume(&app, &blocked["id"], json!({})).await;
        assert_eq!(payload["userErrors"][0]["code"], "DELETION_NOT_BLOCKED");
        let payload = resume(&app, &json!(Uuid::nil()), json!({})).await;
        assert_eq!(payload["userErrors"][0]["code"], "DELETION_NOT_FOUND");
    })
    .await;
}

/// From the step into erasing on, the tenant's status says so, to the gateway's own mutations too.
#[tokio::test]
async fn a_tenant_that_is_being_erased_keeps_its_status() {
    on_both(async |app| {
        let tenant = app.tenant(TenantRow::default()).await;
        app.platform(tenant).await;
        // Nobody works on it yet.
        let document = "mutation ($input: DeleteTenantInput!) { deleteTenant(input: $input) {
            deletion { status } userErrors { code } } }";
        let input = json!({ "input": { "tenantId": tenant, "confirmName": "Acme" } });
        let payload = app.admin(document, input).await["deleteTenant"].clone();
        assert_eq!(payload["deletion"]["status"], "ERASING", "success is not claimed: {payload}");
        assert_eq!(tenant_of(&app, tenant).await["status"], "DELETING");
        let status = "mutation ($input: SetTenantStatusInput!) { setTenantStatus(input: $input) {
            tenant { status } userErrors { code } } }";
        let input = json!({ "input": { "tenantId": tenant, "status": "ACTIVE" } });
        let payload = app.admin(status, input).await["setTenantStatus"].clone();
        assert_eq!(payload["userErrors"][0]["code"], "TENANT_DELETING");
        app.erase();
        until(&app, tenant, "DELETED").await;
    })
    .await;
}

/// Somebody deletes the tenant by hand while its deletion waits: nothing was erased here, so nothing is certified.
#[tokio::test]
async fn a_tenant_that_vanished_before_its_time_gets_no_certificate() {
    on_both(async |app| {
        let row = TenantRow::default();
        let tenant = app.tenant(row.clone()).await;
        delete(&app, json!({ "tenantId": tenant, "confirmName": "Acme", "graceSeconds": 60 })).await;
        app.sql("DELETE FROM tenants WHERE id = $1", [tenant.into()]).await;
        app.clock.set(noon() + TimeDelta::minutes(2));
        let blocked = until(&app, tenant, "BLOCKED").await;
        let block = &blocked["block"];
        assert_eq!((&block["code"], &block["during"]), (&json!("TENANT_NOT_FOUND"), &json!("SCHEDULED")));
        assert!(block["message"].as_str().expect("a sentence").contains("before erasing began"), "{block}");
        assert_eq!((&blocked["certificate"], &blocked["startedAt"]), (&Value::Null, &Value::Null));
        // It is back after all.
        app.tenant(row).await;
        assert_eq!(resume(&app, &blocked["id"], json!({})).await["userErrors"], json!([]));
        until(&app, tenant, "DELETED").await;

        let tenant = app.tenant(TenantRow::default()).await;
        delete(&app, json!({ "tenantId": tenant, "confirmName": "Acme", "graceSeconds": 60 })).await;
        app.sql("DELETE FROM tenants WHERE id = $1", [tenant.into()]).await;
        app.clock.set(app.clock.now() + TimeDelta::minutes(2));
        let blocked = until(&app, tenant, "BLOCKED").await;
        assert_eq!(cancel(&app, &blocked["id"], "gone by hand").await["deletion"]["status"], "CANCELED");
    })
    .await;
}
