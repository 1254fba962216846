//! Lists: every order, both ways, exact page by page; and how many statements a page takes.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::support::{Call, Rows, TenantRow, TestApp, Token, noon, on_both};

const PAGE: &str = "query ($first: Int, $after: String, $last: Int, $before: String, $order: TenantOrder, $filter: TenantFilter) {
    tenants(first: $first, after: $after, last: $last, before: $before, orderBy: $order, filter: $filter) {
      totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
      edges { cursor } nodes { id name quota { state callsUsed } stats { totalCallsMonth monthlyUsageCents lastCallAt } } } }";

const ZONES: [&str; 5] =
    ["UTC", "Asia/Kathmandu", "America/New_York", "Australia/Lord_Howe", "Europe/Berlin"];

/// Tenants with ties and gaps in everything they can be sorted by.
async fn tenants(app: &TestApp, number: usize) {
    for n in 0..number {
        let names = ["b\"%_", "Ärger", "acme", "Acme", "zebra"];
        let tenant = app
            .tenant(TenantRow {
                name: names[n % 5].into(),
                status: if n % 4 == 0 { "inactive" } else { "active" }.into(),
                time_zone: ZONES[n % 5].into(),
                monthly_call_limit: [None, Some(0), Some(2), Some(10)][n % 4],
                created_at: noon() - chrono::TimeDelta::days(i64::try_from(n / 2).expect("small")),
                ..TenantRow::default()
            })
            .await;
        let agent = app.agent(tenant).await;
        for m in 0..n % 3 {
            let ago = chrono::TimeDelta::hours(i64::try_from(m * 3 + n % 2).expect("small"));
            let call =
                Call { cost_cents: i64::try_from(m * 7).expect("small"), ..Call::of(&agent, noon() - ago) };
            app.call(&call).await;
        }
    }
}

async fn ids(app: &TestApp, mut variables: Value, forward: bool) -> Vec<String> {
    let mut ids = Vec::new();
    loop {
        let page = app.admin(PAGE, variables.clone()).await["tenants"].clone();
        let nodes = page["nodes"].as_array().expect("nodes").iter();
        let mut seen: Vec<_> = nodes.map(|node| node["id"].as_str().expect("an id").to_owned()).collect();
        let info = &page["pageInfo"];
        let total = usize::try_from(page["totalCount"].as_u64().expect("a count")).expect("small");
        let (before, after) = if forward {
            (ids.len(), total - ids.len() - seen.len())
        } else {
            (total - ids.len() - seen.len(), ids.len())
        };
        assert_eq!(info["hasPreviousPage"], before > 0, "{page}");
        assert_eq!(info["hasNextPage"], after > 0, "{page}");
        assert_eq!(info["startCursor"], page["edges"][0]["cursor"]);
        if forward {
            variables["after"] = info["endCursor"].clone();
            ids.extend(seen);
        } else {
            variables["before"] = info["startCursor"].clone();
            seen.extend(ids);
            ids = seen;
        }
        if !info[if forward { "hasNextPage" } else { "hasPreviousPage" }].as_bool().expect("a bool") {
            assert_eq!(ids.len(), total);
            return ids;
        }
    }
}

#[tokio::test]
async fn paging_visits_every_tenant_once_in_every_order_and_both_ways() {
    on_both(async |app| {
        tenants(&app, 17).await;
        for field in ["NAME", "CREATED_AT", "CALLS_USED_RATIO", "MONTHLY_USAGE_CENTS", "LAST_CALL_AT"] {
            for direction in ["ASC", "DESC"] {
                let order = json!({ "field": field, "direction": direction });
                let whole = ids(&app, json!({ "first": 100, "order": order }), true).await;
                let mut distinct = whole.clone();
                distinct.sort();
                distinct.dedup();
                assert_eq!(distinct.len(), 17);
                assert_eq!(ids(&app, json!({ "first": 4, "order": order }), true).await, whole, "{order}");
                assert_eq!(ids(&app, json!({ "last": 4, "order": order }), false).await, whole, "{order}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn orders_sort_by_what_they_say_with_missing_values_last() {
    on_both(async |app| {
        tenants(&app, 17).await;
        let column = async |order: Value, path: &str| -> Vec<Value> {
            let page = app.admin(PAGE, json!({ "first": 100, "order": order })).await;
            let nodes = page["tenants"]["nodes"].as_array().expect("nodes").clone();
            nodes.iter().map(|node| node.pointer(path).expect("a value").clone()).collect()
        };
        let names = column(json!({ "field": "NAME", "direction": "ASC" }), "/name").await;
        let mut sorted: Vec<_> = names.iter().map(|name| name.as_str().expect("a name")).collect();
        sorted.sort_unstable();
        assert_eq!(names, sorted, "by code point");
        for direction in ["ASC", "DESC"] {
            let last =
                column(json!({ "field": "LAST_CALL_AT", "direction": direction }), "/stats/lastCallAt").await;
            let present: Vec<_> = last.iter().map_while(Value::as_str).collect();
            assert!(last[present.len()..].iter().all(Value::is_null) && present.len() < last.len());
            let rising = present.is_sorted();
            assert_eq!(rising, direction == "ASC", "{present:?}");
        }
        let cents = column(
            json!({ "field": "MONTHLY_USAGE_CENTS", "direction": "DESC" }),
            "/stats/monthlyUsageCents",
        )
        .await;
        assert!(cents.iter().map(|n| n.as_i64().expect("cents")).is_sorted_by(|a, b| a >= b), "{cents:?}");
    })
    .await;
}

#[tokio::test]
async fn filters_narrow_the_list() {
    on_both(async |app| {
        tenants(&app, 20).await;
        let found = async |filter: Value| -> Vec<Value> {
            let page = app.admin(PAGE, json!({ "first": 100, "filter": filter })).await["tenants"].clone();
            let nodes = page["nodes"].as_array().expect("nodes").clone();
            assert_eq!(page["totalCount"], nodes.len());
            nodes
        };
        assert_eq!(found(json!({ "nameContains": "ACM" })).await.len(), 8);
        assert_eq!(found(json!({ "nameContains": "%_" })).await.len(), 4, "no wildcards");
        assert_eq!(found(json!({ "status": ["INACTIVE"] })).await.len(), 5);
        assert_eq!(found(json!({ "status": [] })).await.len(), 0);
        for state in ["UNLIMITED", "OK", "WARNING", "EXCEEDED"] {
            let nodes = found(json!({ "quotaState": [state] })).await;
            assert!(nodes.iter().all(|node| node["quota"]["state"] == state), "{state}: {nodes:?}");
        }
        let all = found(json!({ "quotaState": ["UNLIMITED", "OK", "WARNING", "EXCEEDED"] })).await;
        assert_eq!(all.len(), 20);
    })
    .await;
}

/// All rows of a list are counted only for what a page itself does not tell, and only where that is asked for.
#[tokio::test]
async fn a_list_is_counted_only_for_what_a_page_does_not_tell() {
    on_both(async |app| {
        for name in ["A", "B", "C", "D", "E"] {
            app.tenant(TenantRow { name: name.to_owned(), ..TenantRow::default() }).await;
        }
        let second = app.admin("{ tenants(first: 2) { pageInfo { endCursor } } }", json!({})).await;
        let second = second["tenants"]["pageInfo"]["endCursor"].as_str().expect("a cursor").to_owned();
        let (after, before) = (format!("after: \"{second}\""), format!("before: \"{second}\""));
        for (arguments, fields, expected, wanted) in [
            (format!("first: 2, {after}"), "hasNextPage endCursor", json!({ "hasNextPage": true }), 1),
            (format!("first: 3, {after}"), "hasNextPage", json!({ "hasNextPage": false }), 1),
            (format!("first: 2, {after}"), "...P", json!({ "before": true }), 2),
            ("first: 5".to_owned(), "hasNextPage ...P", json!({ "hasNextPage": false, "before": false }), 1),
            ("last: 2".to_owned(), "hasNextPage ...P", json!({ "hasNextPage": false, "before": true }), 1),
            (format!("last: 1, {before}"), "...P", json!({ "before": false }), 1),
            (format!("last: 1, {before}"), "hasNextPage", json!({ "hasNextPage": true }), 2),
            (format!("first: 1, {before}"), "hasNextPage ...P", json!({ "hasNextPage": true, "before": false }), 2),
            (format!("last: 3, {after}"), "hasNextPage ...P", json!({ "hasNextPage": false, "before": true }), 2),
            (format!("last: 0, {before}"), "hasNextPage ...P", json!({ "hasNextPage": true, "before": true }), 2),
            (format!("first: 0, {after}"), "hasNextPage ...P", json!({ "hasNextPage": true, "before": true }), 2),
            (format!("last: 2, {after}"), "hasNextPage ...P", json!({ "hasNextPage": false, "before": true }), 1),
        ] {
            let document = format!(
                "{{ tenants({arguments}) {{ pageInfo {{ {fields} ...P }} }} }} fragment P on PageInfo {{ before: hasPreviousPage }}"
            );
            let document = if fields.contains("...P") { document } else {
                format!("{{ tenants({arguments}) {{ pageInfo {{ {fields} }} }} }}")
            };
            let (statements, data) = app.counting(app.admin(&document, json!({}))).await;
            let mut info = data["tenants"]["pageInfo"].clone();
            info.as_object_mut().expect("an object").remove("endCursor");
            assert_eq!((info, statements), (expected, wanted), "{arguments} {fields}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_page_with_stats_takes_three_statements_whatever_is_on_it() {
    on_both(async |app| {
        tenants(&app, 120).await;
        for field in ["NAME", "CREATED_AT", "CALLS_USED_RATIO", "MONTHLY_USAGE_CENTS", "LAST_CALL_AT"] {
            let order = json!({ "field": field, "direction": "DESC" });
            let cursor = app.admin(PAGE, json!({ "first": 7, "order": order })).await["tenants"]["pageInfo"]
                ["endCursor"]
                .clone();
            for variables in [
                json!({ "first": 5, "order": order }),
                json!({ "first": 50, "order": order }),
                json!({ "first": 50, "after": cursor, "order": order }),
                json!({ "last": 50, "before": cursor, "order": order }),
                json!({ "first": 100, "order": order, "filter": { "quotaState": ["OK", "EXCEEDED"] } }),
            ] {
                let (statements, _) = app.counting(app.admin(PAGE, variables.clone())).await;
                assert_eq!(statements, 3, "{variables}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn bad_pages_are_refused_with_a_code_and_a_way_out() {
    on_both(async |app| {
        tenants(&app, 3).await;
        let order = json!({ "field": "CREATED_AT", "direction": "ASC" });
        let of_another_order =
            app.admin(PAGE, json!({ "first": 1, "order": order })).await["tenants"]["pageInfo"]["endCursor"]
                .clone();
        for variables in [
            json!({ "first": 101 }),
            json!({ "first": -1 }),
            json!({ "last": 101 }),
            json!({ "first": 1, "last": 1 }),
            json!({ "after": "nonsense" }),
            json!({ "after": "" }),
            json!({ "after": of_another_order }),
            json!({ "filter": { "nameContains": "\u{0}" } }),
        ] {
            let answer = app.post(Token::Admin, PAGE, variables.clone()).await;
            assert_eq!(answer.codes(), ["BAD_USER_INPUT"], "{variables}");
        }
        let empty = app.admin(PAGE, json!({ "first": 0 })).await["tenants"].clone();
        assert_eq!((&empty["totalCount"], &empty["nodes"]), (&json!(3), &json!([])));
        assert_eq!(empty["pageInfo"]["hasNextPage"], true);
    })
    .await;
}

/// A cursor says what the gateway put into it, or nothing at all.
#[tokio::test]
async fn forged_cursors_are_refused_on_both_databases() {
    on_both(async |app| {
        tenants(&app, 3).await;
        for (field, key) in [
            ("NAME", json!("A\u{0}cme")),
            ("NAME", Value::Null),
            ("CREATED_AT", json!("yesterday")),
            ("CREATED_AT", json!("")),
            ("LAST_CALL_AT", json!("2026-13-01T00:00:00Z")),
            ("MONTHLY_USAGE_CENTS", json!("1.5")),
            ("CALLS_USED_RATIO", json!("NaN")),
            ("CALLS_USED_RATIO", json!("inf")),
        ] {
            let order = json!({ "field": field, "direction": "ASC" });
            let page = app.admin(PAGE, json!({ "first": 1, "order": order })).await;
            let real = page["tenants"]["pageInfo"]["endCursor"].as_str().expect("a cursor").to_owned();
            let mut forged: Value =
                serde_json::from_slice(&URL_SAFE_NO_PAD.decode(real).expect("base64")).expect("JSON");
            forged["k"] = key.clone();
            let forged = URL_SAFE_NO_PAD.encode(forged.to_string());
            for side in ["after", "before"] {
                let answer = app.post(Token::Admin, PAGE, json!({ "order": order, side: forged })).await;
                assert_eq!(answer.codes(), ["BAD_USER_INPUT"], "{field} {key} {side}");
            }
        }
    })
    .await;
}
