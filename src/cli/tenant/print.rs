//! An answer of the API as people read it.

use std::fmt::Write;

use indicatif::{HumanBytes, HumanCount};
use serde_json::Value;

use super::desk::text;

/// A whole number with separators.
pub(super) fn count(number: &Value) -> String {
    let number = number.as_i64().unwrap_or_default();
    let sign = if number < 0 { "-" } else { "" };
    format!("{sign}{}", HumanCount(number.unsigned_abs()))
}

/// Objects and their bytes.
pub(super) fn objects(count_of: &Value, bytes: &Value) -> String {
    let bytes = HumanBytes(bytes.as_u64().unwrap_or_default());
    format!("{} object(s), {bytes}", count(count_of))
}

/// A tenant with its `stats`.
pub(super) fn stats(tenant: &Value) -> String {
    let stats = &tenant["stats"];
    let average = |field: &str, digits: usize, unit: &str| match stats[field].as_f64() {
        Some(number) => format!("{number:.digits$}{unit}"),
        None => "none".to_owned(),
    };
    let last_call = stats["lastCallAt"].as_str().unwrap_or("never");
    pairs(&[
        ("tenant", format!("{} ({})", text(&tenant["name"]), text(&stats["tenantId"]))),
        ("status", text(&tenant["status"])),
        ("agents", count(&stats["totalAgents"])),
        ("calls today", count(&stats["totalCallsToday"])),
        ("calls this month", count(&stats["totalCallsMonth"])),
        ("average duration", average("avgCallDuration", 1, " s")),
        ("average sentiment", average("avgSentimentScore", 3, "")),
        ("usage this month", format!("{} cents", count(&stats["monthlyUsageCents"]))),
        ("active sessions", count(&stats["activeSessions"])),
        ("active calls", count(&stats["activeCalls"])),
        ("last call", last_call.to_owned()),
        ("today", span(&stats["today"])),
        ("this month", span(&stats["month"])),
        ("time zone", text(&stats["timeZone"])),
        ("as of", text(&stats["asOf"])),
    ])
}

/// A tenant with its `deletionPreview`.
pub(super) fn preview(tenant: &Value) -> String {
    let preview = &tenant["deletionPreview"];
    let mut rows = vec![["table".to_owned(), "rows".to_owned()]];
    for table in list(&preview["tables"]) {
        let estimate = if table["isExact"] == false { "~" } else { "" };
        rows.push([text(&table["name"]), format!("{estimate}{}", count(&table["rowCount"]))]);
    }
    rows.push(["in all".to_owned(), total(preview)]);
    let mut told = table(&rows);
    told.push('\n');
    told.push_str(&pairs(&[
        ("tenant", format!("{} ({})", text(&tenant["name"]), text(&preview["tenantId"]))),
        ("status", text(&tenant["status"])),
        ("in storage", objects(&preview["objectCount"], &preview["objectBytes"])),
        ("active", activity(preview)),
        ("plan digest", text(&preview["planDigest"])),
        ("as of", text(&preview["asOf"])),
    ]));
    told + &gaps(preview)
}

/// What a preview says would go, in one line.
pub(super) fn preview_line(tenant: &Value) -> String {
    let preview = &tenant["deletionPreview"];
    let tables = list(&preview["tables"]).iter().filter(|table| table["rowCount"] != 0).count();
    format!(
        "{} ({}), {}: {} row(s) in {tables} table(s), {}, {}",
        text(&tenant["name"]),
        text(&preview["tenantId"]),
        text(&tenant["status"]),
        total(preview),
        objects(&preview["objectCount"], &preview["objectBytes"]),
        activity(preview),
    )
}

/// The rows in all, marked where a part of them is estimated.
fn total(preview: &Value) -> String {
    let is_exact = list(&preview["tables"]).iter().all(|table| table["isExact"] != false);
    format!("{}{}", if is_exact { "" } else { "~" }, count(&preview["totalRows"]))
}

fn activity(preview: &Value) -> String {
    format!("{} active session(s), {} active call(s)", preview["activeSessions"], preview["activeCalls"])
}

/// What keeps a tenant from being erased, each with its remedy; empty where nothing does.
pub(super) fn gaps(preview: &Value) -> String {
    let gaps = list(&preview["gaps"]);
    if gaps.is_empty() {
        return String::new();
    }
    let mut told = format!("\n{} gap(s) keep the tenant from being erased:\n", gaps.len());
    for gap in gaps {
        let column = gap["column"].as_str().map(|column| format!(".{column}")).unwrap_or_default();
        let (table, reason, remedy) = (text(&gap["table"]), text(&gap["reason"]), text(&gap["remedy"]));
        let _ = writeln!(told, "- {table}{column}: {reason}\n  remedy: {remedy}");
    }
    told
}

/// A deletion.
pub(super) fn deletion(deletion: &Value) -> String {
    let progress = &deletion["progress"];
    let forced = if deletion["isForced"] == true { ", forced" } else { "" };
    let by = format!("{} by {}{forced}", text(&deletion["requestedAt"]), text(&deletion["requestedBy"]));
    let mut facts = vec![
        ("deletion", text(&deletion["id"])),
        ("tenant", text(&deletion["tenantId"])),
        ("status", text(&deletion["status"])),
        ("requested", by),
    ];
    let is_due_later = deletion["isCancelable"] == true;
    let optional = [
        ("reason", &deletion["reason"]),
        ("begins", if is_due_later { &deletion["scheduledFor"] } else { &Value::Null }),
        ("began", &deletion["startedAt"]),
        ("ended", &deletion["finishedAt"]),
        ("estimated end", &progress["estimatedEndAt"]),
        ("certificate", &deletion["certificate"]["sha256"]),
        ("signed by key", &deletion["certificate"]["keyId"]),
    ];
    facts.extend(
        optional.into_iter().filter(|(_, fact)| !fact.is_null()).map(|(name, fact)| (name, text(fact))),
    );
    if let Some(block) = deletion["block"].as_object() {
        let (code, message) = (text(&block["code"]), text(&block["message"]));
        let during = format!("{} since {}", text(&block["during"]), text(&block["since"]));
        facts.extend([("in the way", format!("{code}: {message}")), ("while", during)]);
    }
    let of =
        |done: &str, planned: &str| format!("{} of {}", count(&progress[done]), count(&progress[planned]));
    facts.push(("rows", of("rowsErased", "rowsPlanned")));
    facts.push(("objects", of("objectsErased", "objectsPlanned")));
    facts.push(("bytes of objects", count(&progress["bytesErased"])));
    if let Some(rate) = progress["rowsPerSecond"].as_f64() {
        facts.push(("rows a second", format!("{rate:.0}")));
    }
    let mut rows = vec![["table".to_owned(), "erased".to_owned(), "planned".to_owned()]];
    for table in list(&progress["tables"]) {
        rows.push([text(&table["name"]), count(&table["rowsErased"]), count(&table["rowsPlanned"])]);
    }
    let tables = if rows.len() > 1 { format!("\n{}", table(&rows)) } else { String::new() };
    pairs(&facts) + &tables
}

/// What came of a deletion that has ended, in lines.
pub(super) fn ended(deletion: &Value) -> String {
    let progress = &deletion["progress"];
    let instant = |field: &str| deletion[field].as_str()?.parse::<chrono::DateTime<chrono::Utc>>().ok();
    let took = match (instant("startedAt"), instant("finishedAt")) {
        (Some(start), Some(end)) => format!(" in {:.1} s", (end - start).as_seconds_f64()),
        _ => String::new(),
    };
    let certificate = &deletion["certificate"];
    let signed = match certificate["keyId"].as_str() {
        Some(key) => format!("signed by the key {key}"),
        None => "not signed".to_owned(),
    };
    format!(
        "deletion {}: {} row(s) and {} erased{took}\ncertificate sha256 {}, {signed}\n",
        text(&deletion["id"]),
        count(&progress["rowsErased"]),
        objects(&progress["objectsErased"], &progress["bytesErased"]),
        text(&certificate["sha256"]),
    )
}

/// Names and facts in two columns.
pub(super) fn pairs(facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    facts.iter().fold(String::new(), |mut told, (name, fact)| {
        let _ = writeln!(told, "{name:width$}  {fact}");
        told
    })
}

/// A table whose first row is its head; numbers stand at the right.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<_> = (0..N).map(width).collect();
    rows.iter().fold(String::new(), |mut told, row| {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let _ =
                if column == 0 { write!(told, "{cell:width$}") } else { write!(told, "  {cell:>width$}") };
        }
        told.push('\n');
        told
    })
}

fn span(range: &Value) -> String {
    format!("from {} until {}", text(&range["start"]), text(&range["end"]))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
