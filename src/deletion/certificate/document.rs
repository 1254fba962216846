//! The facts of a deletion, and the one text that they are written as.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;
use uuid::Uuid;

use super::exact;

/// What the field `format` says. A document of any other shape says something else.
const FORMAT: &str = "tenant-gateway/deletion-certificate/1";

/// What is known when nothing of a tenant remains.
///
/// Holds no name of the tenant, no reason and no subject: those may be personal data, and a
/// certificate is kept for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The deletion.
    pub deletion: Uuid,
    /// The tenant that was erased.
    pub tenant: Uuid,
    /// When it was asked for. Of each time, what is below a microsecond is cut off.
    pub requested_at: DateTime<Utc>,
    /// When erasing began.
    pub started_at: DateTime<Utc>,
    /// When nothing remained.
    pub finished_at: DateTime<Utc>,
    /// Whether active sessions were overridden.
    pub is_forced: bool,
    /// [`Plan::digest`](crate::cascade::Plan::digest) of the plan that was proven empty.
    pub plan_digest: String,
    /// Each table of the plan and the rows erased from it, in the order of erasure.
    pub tables: Vec<(String, i64)>,
    /// Objects removed from storage.
    pub objects: i64,
    /// Their bytes.
    pub bytes: i64,
    /// Versions and delete markers removed from storage that a listing does not show.
    pub hidden_versions: i64,
    /// Unfinished uploads removed from storage.
    pub unfinished_uploads: i64,
    /// Usage of the tenant's last local month, for its last bill; none if it was not known.
    pub final_month: Option<FinalMonth>,
    /// The earlier deletion of the same tenant that this one repeats after a backup brought it back.
    pub replay_of: Option<Uuid>,
    /// Version of the gateway that finished the deletion.
    pub gateway_version: String,
}

/// The usage of a tenant's last month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FinalMonth {
    /// The local month, such as `2026-11`.
    pub month: String,
    /// The tenant's zone, by its IANA name.
    pub time_zone: String,
    /// Calls that started in it.
    #[serde(with = "exact")]
    pub calls: i64,
    /// Seconds that they lasted.
    #[serde(with = "exact")]
    pub total_duration_seconds: i64,
    /// What they cost.
    #[serde(with = "exact")]
    pub usage_cents: i64,
}

/// A text that [`document`] cannot have written; why.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct UnreadableFacts(String);

/// The document's shape. Times are texts, so that there is one way to write each.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    format: String,
    deletion_id: Uuid,
    tenant_id: Uuid,
    requested_at: String,
    started_at: String,
    finished_at: String,
    is_forced: bool,
    plan_digest: String,
    tables: Vec<Table>,
    #[serde(with = "exact")]
    objects_erased: i64,
    #[serde(with = "exact")]
    bytes_erased: i64,
    #[serde(with = "exact")]
    hidden_versions_erased: i64,
    #[serde(with = "exact")]
    unfinished_uploads_erased: i64,
    final_month: Option<FinalMonth>,
    replay_of: Option<Uuid>,
    gateway_version: String,
}

#[derive(Deserialize)]
struct Format {
    format: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Table {
    name: String,
    #[serde(with = "exact")]
    rows_erased: i64,
}

/// The facts as canonical JSON (RFC 8785): the same facts give the same bytes, everywhere.
///
/// Times are RFC 3339 in UTC with six decimals. Numbers are integers; one beyond ±(2⁵³ − 1), which
/// JSON's readers would round, is a string of its digits.
#[must_use]
#[expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "texts and integers under fixed names always make JSON"
)]
pub fn document(facts: &Facts) -> String {
    let table = |(name, rows): &(String, i64)| Table { name: name.clone(), rows_erased: *rows };
    let document = Document {
        format: FORMAT.to_owned(),
        deletion_id: facts.deletion,
        tenant_id: facts.tenant,
        requested_at: entity::timestamp::text(facts.requested_at),
        started_at: entity::timestamp::text(facts.started_at),
        finished_at: entity::timestamp::text(facts.finished_at),
        is_forced: facts.is_forced,
        plan_digest: facts.plan_digest.clone(),
        tables: facts.tables.iter().map(table).collect(),
        objects_erased: facts.objects,
        bytes_erased: facts.bytes,
        hidden_versions_erased: facts.hidden_versions,
        unfinished_uploads_erased: facts.unfinished_uploads,
        final_month: facts.final_month.clone(),
        replay_of: facts.replay_of,
        gateway_version: facts.gateway_version.clone(),
    };
    serde_json_canonicalizer::to_string(&document).expect("JSON")
}

impl Facts {
    /// Reads the facts back from what [`document`] wrote, and from no other text: each byte of a
    /// document that is read is accounted for.
    ///
    /// # Errors
    ///
    /// [`UnreadableFacts`].
    pub fn read(text: &str) -> Result<Self, UnreadableFacts> {
        // Looked at by itself, so that a later format is told from a broken document.
        if parse::<Format>(text)?.format != FORMAT {
            return Err(UnreadableFacts(format!("its format is not {FORMAT}, the one that is known here")));
        }
        let read: Document = parse(text)?;
        let instant = |text: &str| {
            text.parse::<DateTime<Utc>>().map_err(|_| UnreadableFacts("a time cannot be read".to_owned()))
        };
        let facts = Self {
            deletion: read.deletion_id,
            tenant: read.tenant_id,
            requested_at: instant(&read.requested_at)?,
            started_at: instant(&read.started_at)?,
            finished_at: instant(&read.finished_at)?,
            is_forced: read.is_forced,
            plan_digest: read.plan_digest,
            tables: read.tables.into_iter().map(|table| (table.name, table.rows_erased)).collect(),
            objects: read.objects_erased,
            bytes: read.bytes_erased,
            hidden_versions: read.hidden_versions_erased,
            unfinished_uploads: read.unfinished_uploads_erased,
            final_month: read.final_month,
            replay_of: read.replay_of,
            gateway_version: read.gateway_version,
        };
        if document(&facts) == text {
            Ok(facts)
        } else {
            Err(UnreadableFacts("it says something in another way than its format does".to_owned()))
        }
    }
}

/// Whether a text is canonical JSON (RFC 8785).
///
/// # Errors
///
/// [`UnreadableFacts`] when it is no JSON at all.
pub(super) fn is_canonical(text: &str) -> Result<bool, UnreadableFacts> {
    let value: serde_json::Value = parse(text)?;
    Ok(serde_json_canonicalizer::to_string(&value).is_ok_and(|canonical| canonical == text))
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, UnreadableFacts> {
    serde_json::from_str(text).map_err(|error| UnreadableFacts(error.to_string()))
}
