//! Where an administrator at a terminal asks: the API that everybody asks, in this process.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use thiserror::Error;
use uuid::Uuid;

use super::Platform;
use crate::{
    app::{App, Edge, Exposure},
    auth::{Authenticator, Keys, Role, Viewer},
    cli::{self, Failure, erasing},
    clock::Clock,
    config::{CertificateOptions, StorageOptions},
    database::Database,
    graphql::Api,
    metrics::Metrics,
    storage::Storage,
};

/// Who asks, as records of deletions name it.
pub(super) const SUBJECT: &str = "terminal";

/// Every field of a deletion.
const DELETION: &str = "fragment Whole on TenantDeletion {
    id tenantId status reason requestedBy requestedAt isForced isExportRequested scheduledFor isCancelable
    startedAt finishedAt block { code message during since }
    progress { rowsPlanned rowsErased objectsPlanned objectsErased bytesErased rowsPerSecond estimatedEndAt
      tables { name rowsPlanned rowsErased } }
    certificate { document sha256 signature keyId } }";

const STATS: &str = "query ($id: ID!) { tenant(id: $id) { name status stats {
    tenantId totalAgents totalCallsToday totalCallsMonth avgCallDuration avgSentimentScore activeSessions
    monthlyUsageCents lastCallAt asOf activeCalls timeZone today { start end } month { start end } } } }";

const PREVIEW: &str = "query ($id: ID!) { tenant(id: $id) { name status deletion { status } deletionPreview {
    tenantId tables { name rowCount isExact } totalRows objectCount objectBytes
    gaps { table column reason remedy } activeSessions activeCalls planDigest asOf } } }";

const EXISTENCE: &str = "query ($id: ID!) { tenant(id: $id) { name createdAt } }";

/// An answer that is an error or a refusal.
#[derive(Clone, Debug, Error)]
#[error("{code}{option}: {message}")]
pub(super) struct Refused {
    pub(super) code: String,
    /// Which option of the command is the matter, in brackets; or nothing.
    option: String,
    message: String,
}

/// The gateway's parts, with nobody but the terminal to ask them.
pub(super) struct Desk {
    pub(super) app: App,
    api: Api,
}

impl Platform {
    /// For commands that touch no object: nothing is made where there is none.
    pub(super) async fn look(&self) -> Result<Desk, Failure> {
        self.open(None).await
    }

    /// For commands that erase.
    pub(super) async fn erase(
        &self,
        storage: &StorageOptions,
        certificate: &CertificateOptions,
    ) -> Result<Desk, Failure> {
        self.open(Some((storage, certificate))).await
    }

    async fn open(&self, means: Option<(&StorageOptions, &CertificateOptions)>) -> Result<Desk, Failure> {
        let url = &self.database.database_url;
        let database = Database::open_existing(url).await?;
        database.check_servable().await?;
        let storage = match means {
            Some((storage, _)) => cli::storage(storage, url)?,
            None => Storage::open_existing(&StorageOptions::default().url(url)?)?,
        };
        let certificate = means.map(|(_, certificate)| certificate);
        let erasing = erasing(&database, storage, &self.erasure, certificate).await?;
        let clock = Clock::system();
        // Nobody comes in with a token.
        let nobody = Keys::Secrets(Vec::new());
        let app = App {
            authenticator: Authenticator::new(nobody, None, None, clock.clone()).await?,
            served: database.clone(),
            database,
            clock,
            session_timeout: self.session.timeout(),
            metrics: Metrics::default(),
            erasing,
            // Of this process's own documents.
            exposure: Exposure::default(),
            edge: Edge::default(),
        };
        let api = app.api();
        Ok(Desk { app, api })
    }
}

impl Desk {
    /// The present instant.
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.app.clock.now()
    }

    /// The data of an answer.
    async fn ask(&self, document: &str, variables: Value) -> Result<Value, Refused> {
        let viewer =
            Viewer { subject: SUBJECT.to_owned(), role: Role::Admin, expires_at: DateTime::<Utc>::MAX_UTC };
        // Large, and within the future of every command.
        let mut answer = Box::pin(self.api.ask(document, variables, viewer)).await;
        match answer["errors"].get(0) {
            Some(error) => Err(Refused {
                code: text(&error["extensions"]["code"]),
                option: String::new(),
                message: text(&error["message"]),
            }),
            None => Ok(answer["data"].take()),
        }
    }

    /// A tenant with its `stats`.
    pub(super) async fn stats(&self, id: Uuid) -> Result<Value, Failure> {
        found(self.ask(STATS, json!({ "id": id })).await?, id)
    }

    /// A tenant with its `deletionPreview`, and the status of its newest `deletion`; none where there is no
    /// tenant.
    pub(super) async fn preview(&self, id: Uuid) -> Result<Option<Value>, Failure> {
        let mut data = self.ask(PREVIEW, json!({ "id": id })).await?;
        Ok(Some(data["tenant"].take()).filter(|tenant| !tenant.is_null()))
    }

    /// A tenant's name, and when it was created; none where there is no tenant.
    pub(super) async fn existence(&self, id: Uuid) -> Result<Option<(String, DateTime<Utc>)>, Failure> {
        let tenant = self.ask(EXISTENCE, json!({ "id": id })).await?["tenant"].take();
        if tenant.is_null() {
            return Ok(None);
        }
        Ok(Some((text(&tenant["name"]), text(&tenant["createdAt"]).parse()?)))
    }

    /// The deletion of this id, or the newest of the tenant of this id.
    pub(super) async fn deletion(&self, id: Uuid) -> Result<Value, Failure> {
        let document = format!(
            "query ($id: ID!) {{ own: tenantDeletion(id: $id) {{ ...Whole }} \
             newest: tenantDeletion(tenantId: $id) {{ ...Whole }} }} {DELETION}"
        );
        let mut data = self.ask(&document, json!({ "id": id })).await?;
        let deletion =
            ["own", "newest"].map(|name| data[name].take()).into_iter().find(|found| !found.is_null());
        deletion.ok_or_else(|| {
            Refused {
                code: "DELETION_NOT_FOUND".to_owned(),
                option: String::new(),
                message: format!("there is no deletion {id}, and no deletion of a tenant {id}"),
            }
            .into()
        })
    }

    /// How a deletion stands.
    pub(super) async fn deletion_now(&self, id: &str) -> Result<Value, Refused> {
        let document = format!("query ($id: ID!) {{ tenantDeletion(id: $id) {{ ...Whole }} }} {DELETION}");
        Ok(self.ask(&document, json!({ "id": id })).await?["tenantDeletion"].take())
    }

    /// Makes one of the changes to a deletion. Returns the deletion.
    pub(super) async fn change(&self, mutation: &str, input: Value) -> Result<Value, Refused> {
        let (first, rest) = mutation.split_at(1);
        let kind = format!("{}{rest}Input", first.to_uppercase());
        let document = format!(
            "mutation ($input: {kind}!) {{ {mutation}(input: $input) {{ \
             deletion {{ ...Whole }} userErrors {{ code message field }} }} }} {DELETION}"
        );
        let mut data = self.ask(&document, json!({ "input": input })).await?;
        let payload = &mut data[mutation];
        match payload["userErrors"].get(0) {
            Some(error) => Err(Refused {
                code: text(&error["code"]),
                option: error["field"][0].as_str().map(option).unwrap_or_default(),
                message: text(&error["message"]),
            }),
            None => Ok(payload["deletion"].take()),
        }
    }
}

/// The tenant of an answer that must have one.
pub(super) fn found(mut data: Value, id: Uuid) -> Result<Value, Failure> {
    Some(data["tenant"].take()).filter(|tenant| !tenant.is_null()).ok_or_else(|| no_tenant(id))
}

pub(super) fn no_tenant(id: Uuid) -> Failure {
    Refused {
        code: "TENANT_NOT_FOUND".to_owned(),
        option: String::new(),
        message: format!("there is no tenant {id}"),
    }
    .into()
}

/// The text of a field.
pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The option that gives a field of an input.
fn option(field: &str) -> String {
    match field {
        "tenantId" | "deletionId" => String::new(),
        "graceSeconds" => " (--grace)".to_owned(),
        field => {
            let words = field
                .chars()
                .flat_map(|c| c.is_uppercase().then_some('-').into_iter().chain(c.to_lowercase()));
            format!(" (--{})", words.collect::<String>())
        }
    }
}
