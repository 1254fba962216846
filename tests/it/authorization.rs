//! Who may see what, field by field. A field without a case here fails the build.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    deletion::{delete, until},
    support::{Answer, Rows, Session, TenantRow, TestApp, Token, id, noon, on_both},
};

/// What the viewers of a type's fields get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// Everybody with a token.
    Everybody,
    /// Those who may read the tenant; for others its parent is null.
    Readers,
    /// Admins; for other readers of the tenant an error, and for the rest a parent that is null.
    AdminsOnly,
    /// Admins; for everybody else an error.
    Mutation,
    /// Those who may read the tenant; told to others as if it were not there. `live.rs` has the cases.
    Streamed,
}

use Rule::{AdminsOnly, Everybody, Mutation, Readers, Streamed};

/// Every field of every type. A new field needs a line here.
const CASES: &[(&str, Rule, &str)] = &[
    ("Query", Everybody, "viewer tenant tenants tenantDeletion tenantDeletions"),
    ("Mutation", Mutation, "deleteTenant cancelTenantDeletion resumeTenantDeletion setTenantStatus"),
    ("Subscription", Streamed, "tenantStats tenantDeletion"),
    ("Viewer", Everybody, "subject role tenantId tenant expiresAt"),
    (
        "Tenant",
        Readers,
        "id name status timeZone plan monthlyCallLimit maxConcurrentCalls createdAt updatedAt \
         deletionScheduledFor stats quota usage deletion",
    ),
    ("Tenant", AdminsOnly, "deletionPreview"),
    (
        "TenantStats",
        Readers,
        "tenantId totalAgents totalCallsToday totalCallsMonth avgCallDuration avgSentimentScore activeSessions \
         monthlyUsageCents lastCallAt asOf activeCalls timeZone today month",
    ),
    ("DateTimeRange", Readers, "start end"),
    (
        "TenantQuota",
        Readers,
        "monthlyCallLimit callsUsed callsRemaining callsUsedRatio maxConcurrentCalls activeCalls \
         concurrentRemaining state concurrencyState resetsAt asOf",
    ),
    ("TenantUsage", Readers, "range granularity timeZone totals buckets asOf"),
    ("UsageBucket", Readers, "start end utcOffsetMinutes figures"),
    ("UsageFigures", Readers, "calls totalDurationSeconds avgCallDuration avgSentimentScore usageCents"),
    (
        "DeletionPreview",
        AdminsOnly,
        "tenantId tables totalRows objectCount objectBytes gaps activeSessions activeCalls planDigest asOf",
    ),
    ("PlannedTable", AdminsOnly, "name rowCount isExact"),
    ("PlanGap", AdminsOnly, "table column reason remedy"),
    (
        "TenantDeletion",
        Readers,
        "id tenantId status reason requestedBy requestedAt isForced isExportRequested scheduledFor isCancelable \
         startedAt finishedAt block progress certificate",
    ),
    (
        "DeletionProgress",
        Readers,
        "rowsPlanned rowsErased objectsPlanned objectsErased bytesErased rowsPerSecond estimatedEndAt tables",
    ),
    ("TableProgress", Readers, "name rowsPlanned rowsErased"),
    ("DeletionBlock", Readers, "code message during since"),
    ("DeletionCertificate", Readers, "document sha256 signature keyId"),
    ("TenantConnection", Everybody, "edges nodes pageInfo totalCount"),
    ("TenantEdge", Everybody, "node cursor"),
    ("TenantDeletionConnection", Everybody, "edges nodes pageInfo totalCount"),
    ("TenantDeletionEdge", Everybody, "node cursor"),
    ("PageInfo", Everybody, "hasNextPage hasPreviousPage startCursor endCursor"),
    ("DeleteTenantPayload", Mutation, "deletion userErrors"),
    ("CancelTenantDeletionPayload", Mutation, "deletion userErrors"),
    ("ResumeTenantDeletionPayload", Mutation, "deletion userErrors"),
    ("SetTenantStatusPayload", Mutation, "tenant userErrors"),
    ("UserError", Mutation, "code message field"),
];

/// How a field of a type is reached, with `FIELD` in its place, and where its answer is.
fn route(of: &str) -> (&'static str, &'static str) {
    match of {
        "Query" | "Mutation" => ("FIELD", ""),
        "Viewer" => ("viewer { FIELD }", "/viewer"),
        "Tenant" => ("tenant(id: $tenant) { FIELD }", "/tenant"),
        "TenantStats" => ("tenant(id: $tenant) { stats { FIELD } }", "/tenant"),
        "DateTimeRange" => ("tenant(id: $tenant) { stats { month { FIELD } } }", "/tenant"),
        "TenantQuota" => ("tenant(id: $tenant) { quota { FIELD } }", "/tenant"),
        "TenantUsage" => ("tenant(id: $tenant) { usage(USAGE) { FIELD } }", "/tenant"),
        "UsageBucket" => ("tenant(id: $tenant) { usage(USAGE) { buckets { FIELD } } }", "/tenant"),
        "UsageFigures" => ("tenant(id: $tenant) { usage(USAGE) { totals { FIELD } } }", "/tenant"),
        "DeletionPreview" => ("tenant(id: $tenant) { deletionPreview { FIELD } }", "/tenant/deletionPreview"),
        "PlannedTable" => {
            ("tenant(id: $tenant) { deletionPreview { tables { FIELD } } }", "/tenant/deletionPreview")
        }
        "PlanGap" => {
            ("tenant(id: $tenant) { deletionPreview { gaps { FIELD } } }", "/tenant/deletionPreview")
        }
        "TenantDeletion" => ("tenantDeletion(tenantId: $gone) { FIELD }", "/tenantDeletion"),
        "DeletionProgress" => ("tenantDeletion(tenantId: $gone) { progress { FIELD } }", "/tenantDeletion"),
        "TableProgress" => {
            ("tenantDeletion(tenantId: $gone) { progress { tables { FIELD } } }", "/tenantDeletion")
        }
        "DeletionBlock" => ("tenantDeletion(tenantId: $stuck) { block { FIELD } }", "/tenantDeletion/block"),
        "DeletionCertificate" => {
            ("tenantDeletion(tenantId: $gone) { certificate { FIELD } }", "/tenantDeletion/certificate")
        }
        "TenantConnection" => ("tenants { FIELD }", "/tenants"),
        "TenantEdge" => ("tenants { edges { FIELD } }", "/tenants"),
        "PageInfo" => ("tenants { pageInfo { FIELD } }", "/tenants"),
        "TenantDeletionConnection" => ("tenantDeletions { FIELD }", "/tenantDeletions"),
        "TenantDeletionEdge" => ("tenantDeletions { edges { FIELD } }", "/tenantDeletions"),
        "DeleteTenantPayload" => ("deleteTenant(DELETE) { FIELD }", "/deleteTenant"),
        "CancelTenantDeletionPayload" => ("cancelTenantDeletion(RUNNING) { FIELD }", "/cancelTenantDeletion"),
        "ResumeTenantDeletionPayload" => ("resumeTenantDeletion(RUNNING) { FIELD }", "/resumeTenantDeletion"),
        "SetTenantStatusPayload" => ("setTenantStatus(STATUS) { FIELD }", "/setTenantStatus"),
        "UserError" => ("deleteTenant(DELETE) { userErrors { FIELD } }", "/deleteTenant"),
        other => panic!("no route leads to {other}"),
    }
}

/// A field with the arguments and the selection that it needs.
fn spelled(of: &str, field: &str) -> &'static str {
    match (of, field) {
        ("Query", "viewer") => "viewer { subject }",
        ("Query", "tenant") => "tenant(id: $tenant) { id }",
        ("Query", "tenants") => "tenants { totalCount }",
        ("Query", "tenantDeletion") => "tenantDeletion(tenantId: $gone) { id }",
        ("Query", "tenantDeletions") => "tenantDeletions { totalCount }",
        ("Mutation", "deleteTenant") => "deleteTenant(DELETE) { userErrors { code } }",
        ("Mutation", "cancelTenantDeletion") => "cancelTenantDeletion(RUNNING) { userErrors { code } }",
        ("Mutation", "resumeTenantDeletion") => "resumeTenantDeletion(RUNNING) { userErrors { code } }",
        ("Mutation", "setTenantStatus") => "setTenantStatus(STATUS) { userErrors { code } }",
        (_, "usage") => "usage(USAGE) { asOf }",
        (_, "stats" | "quota" | "deletionPreview") => "BODY { asOf }",
        (_, "today" | "month" | "range" | "buckets") => "BODY { start }",
        (_, "totals" | "figures") => "BODY { calls }",
        (_, "tenant" | "deletion" | "nodes" | "node") => "BODY { id }",
        (_, "tables") => "BODY { name }",
        (_, "gaps") => "BODY { reason }",
        (_, "progress") => "BODY { rowsErased }",
        (_, "block" | "userErrors") => "BODY { code }",
        (_, "certificate") => "BODY { sha256 }",
        (_, "edges") => "BODY { cursor }",
        (_, "pageInfo") => "BODY { hasNextPage }",
        _ => "BODY",
    }
}

/// Two tenants with everything, a third that is gone, and a fourth that should be but is busy.
struct Scene {
    tenant: Uuid,
    other: Uuid,
    gone: Uuid,
    stuck: Uuid,
}

impl Scene {
    async fn new(app: &TestApp) -> Self {
        let mut ids = Vec::new();
        for _ in 0..4 {
            let tenant = app.tenant(TenantRow::default()).await;
            app.platform(tenant).await;
            ids.push(tenant);
        }
        let (tenant, other, gone, stuck) = (ids[0], ids[1], ids[2], ids[3]);
        delete(app, json!({ "tenantId": gone, "confirmName": "Acme" })).await;
        delete(app, json!({ "tenantId": stuck, "confirmName": "Acme", "graceSeconds": 60 })).await;
        app.clock.set(noon() + TimeDelta::seconds(90));
        app.session(&Session::of(stuck, app.clock.now())).await;
        until(app, stuck, "BLOCKED").await;
        Self { tenant, other, gone, stuck }
    }

    async fn ask(&self, app: &TestApp, who: Token, of: &str, field: &str) -> Answer {
        let (path, _) = route(of);
        let body = path
            .replace("FIELD", &spelled(of, field).replace("BODY", field))
            .replace("USAGE", "from: \"2026-03-01\", to: \"2026-03-31\", granularity: DAY")
            .replace("DELETE", "input: { tenantId: $tenant, confirmName: \"not its name\" }")
            .replace("RUNNING", &format!("input: {{ deletionId: \"{}\" }}", id()))
            .replace("STATUS", &format!("input: {{ tenantId: \"{}\", status: ACTIVE }}", id()));
        let kind = if path.contains('(') && body.contains("input:") || of == "Mutation" {
            "mutation"
        } else {
            "query"
        };
        let variables = ["tenant", "gone", "stuck"].map(|name| (name, body.contains(&format!("${name}"))));
        let declared: Vec<_> =
            variables.iter().filter(|used| used.1).map(|(name, _)| format!("${name}: ID!")).collect();
        let declared = if declared.is_empty() { String::new() } else { format!("({})", declared.join(", ")) };
        let document = format!("{kind} Case{declared} {{ {body} }}");
        app.post(who, &document, json!({ "tenant": self.tenant, "gone": self.gone, "stuck": self.stuck }))
            .await
    }

    /// The tenant that a type's route leads to.
    fn subject(&self, of: &str) -> Uuid {
        let path = route(of).0;
        if path.contains("$gone") {
            self.gone
        } else if path.contains("$stuck") {
            self.stuck
        } else {
            self.tenant
        }
    }
}

fn cases() -> BTreeMap<(&'static str, &'static str), Rule> {
    let mut cases = BTreeMap::new();
    for (of, rule, fields) in CASES {
        for field in fields.split_whitespace() {
            assert!(cases.insert((*of, field), *rule).is_none(), "{of}.{field} has two cases");
        }
    }
    cases
}

#[tokio::test]
async fn every_field_of_the_schema_has_a_case() {
    on_both(async |app| {
        let schema =
            app.admin("{ __schema { types { kind name fields { name } } } }", json!({})).await["__schema"]
                .clone();
        let mut served = BTreeSet::new();
        for kind in schema["types"].as_array().expect("types") {
            let name = kind["name"].as_str().expect("a name");
            if kind["kind"] == "OBJECT" && !name.starts_with("__") {
                for field in kind["fields"].as_array().expect("fields") {
                    served.insert(format!("{name}.{}", field["name"].as_str().expect("a name")));
                }
            }
        }
        let listed: BTreeSet<String> = cases().keys().map(|(of, field)| format!("{of}.{field}")).collect();
        let without: Vec<_> = served.difference(&listed).collect();
        assert!(without.is_empty(), "fields without an authorization case: {without:?}");
        let stale: Vec<_> = listed.difference(&served).collect();
        assert!(stale.is_empty(), "cases of fields that are gone: {stale:?}");
    })
    .await;
}

#[tokio::test]
async fn every_case_holds_for_every_viewer() {
    on_both(async |app| {
        let scene = Scene::new(&app).await;
        for ((of, field), rule) in cases().into_iter().filter(|(_, rule)| *rule != Streamed) {
            let subject = scene.subject(of);
            for who in [
                Token::None,
                Token::Tenant(subject),
                Token::Tenant(scene.other),
                Token::Support,
                Token::Admin,
            ] {
                let answer = scene.ask(&app, who, of, field).await;
                let place = answer.body.pointer(&format!("/data{}", route(of).1)).cloned();
                let at = format!("{of}.{field} for {who:?}: {}", answer.body);
                let sees = who == Token::Admin || (who == Token::Support) || who == Token::Tenant(subject);
                if who == Token::None {
                    assert_eq!(
                        (answer.status.as_u16(), answer.codes()),
                        (401, vec!["UNAUTHENTICATED"]),
                        "{at}"
                    );
                    continue;
                }
                match rule {
                    Everybody => assert!(answer.codes().is_empty() && place.is_some(), "{at}"),
                    Readers => {
                        assert!(answer.codes().is_empty(), "{at}");
                        assert_eq!(place.is_some_and(|value| !value.is_null()), sees, "{at}");
                    }
                    AdminsOnly | Mutation if who == Token::Admin => {
                        assert!(answer.codes().is_empty(), "{at}");
                        assert!(place.is_some_and(|value| !value.is_null()), "{at}");
                    }
                    AdminsOnly if sees => assert_eq!(answer.codes(), ["FORBIDDEN"], "{at}"),
                    AdminsOnly => assert_eq!(answer.body["data"]["tenant"], Value::Null, "{at}"),
                    Mutation => assert_eq!(answer.codes(), ["FORBIDDEN"], "{at}"),
                    Streamed => unreachable!("filtered above"),
                }
            }
        }
    })
    .await;
}

/// Nothing tells a tenant that the viewer may not see from one that does not exist.
#[tokio::test]
async fn what_may_not_be_seen_looks_like_what_is_not_there() {
    on_both(async |app| {
        let scene = Scene::new(&app).await;
        let query =
            "query ($id: ID!) { tenant(id: $id) { name stats { asOf } } tenantDeletion(tenantId: $id) { id }
            tenantDeletions(filter: { tenantId: $id }) { totalCount nodes { id } } }";
        let stranger = Token::Tenant(scene.other);
        let nothing = app.post(stranger, query, json!({ "id": id() })).await.body;
        for hidden in [scene.tenant, scene.gone] {
            assert_eq!(app.post(stranger, query, json!({ "id": hidden })).await.body, nothing);
        }
        let list = app
            .data(
                stranger,
                "{ tenants { totalCount nodes { id } } tenantDeletions { totalCount } }",
                json!({}),
            )
            .await;
        assert_eq!(list["tenants"], json!({ "totalCount": 1, "nodes": [{ "id": scene.other }] }));
        assert_eq!(list["tenantDeletions"]["totalCount"], 0);
    })
    .await;
}
