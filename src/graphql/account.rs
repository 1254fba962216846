//! Gives an account of each operation, to the log and to the metrics: what it was called, who asked, how long it took
//! and what came of it. Never a token, a variable or a document.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_graphql::{
    Name, Response, ServerError, Value,
    parser::types::{OperationDefinition, OperationType},
};

use tracing::field::{DisplayValue, display};
use uuid::Uuid;

use super::{Inner, error::Code};
use crate::{
    auth::{Role, Viewer},
    metrics::RequestMetrics,
    telemetry::OPERATIONS,
};

/// What is counted of a request without an error.
const FINE: &str = "OK";
/// The same of one that nobody waited for any longer.
const CANCELED: &str = "CANCELED";
/// Longest name of an operation in the log, in characters: whoever asks can make up any.
const MAX_NAME: usize = 64;

/// An operation that is under way.
pub(super) struct Account {
    api: Arc<Inner>,
    begun: Instant,
    operation: Option<String>,
    kind: &'static str,
    viewer: Viewer,
    is_told: bool,
}

/// Whoever asked has hung up, or the time was over.
impl Drop for Account {
    fn drop(&mut self) {
        if !self.is_told {
            self.api.metrics.refused(self.operation.as_deref(), CANCELED);
            self.tell(CANCELED, self.begun.elapsed(), None, None);
        }
    }
}

fn short(name: &str) -> String {
    name.chars().take(MAX_NAME).collect()
}

impl Account {
    pub(super) fn open(
        api: Arc<Inner>,
        asked: Option<(Option<&Name>, &OperationDefinition)>,
        viewer: &Viewer,
    ) -> Self {
        let kind = match asked.map(|(_, definition)| definition.ty) {
            Some(OperationType::Query) => "query",
            Some(OperationType::Mutation) => "mutation",
            Some(OperationType::Subscription) => "subscription",
            None => "none",
        };
        Self {
            api,
            begun: Instant::now(),
            operation: asked.and_then(|(name, _)| name).map(|name| short(name)),
            kind,
            viewer: viewer.clone(),
            is_told: false,
        }
    }

    /// It was answered, with a part in so many statements.
    pub(super) fn close(mut self, response: &Response, statements: u32) {
        let code = first_code(&response.errors);
        let time = self.begun.elapsed();
        self.api.metrics.executed(self.operation.as_deref(), code, time);
        self.tell(code, time, Some(statements), None);
        self.is_told = true;
    }

    fn tell(&self, code: &str, time: Duration, statements: Option<u32>, answers: Option<u64>) {
        let (role, tenant) = part(&self.viewer);
        #[expect(clippy::cast_precision_loss, reason = "no operation takes centuries")]
        let duration_ms = time.as_micros() as f64 / 1_000.0;
        tracing::info!(
            target: OPERATIONS,
            operation = self.operation.as_deref(),
            kind = self.kind,
            viewer = self.viewer.subject,
            role,
            tenant,
            code,
            duration_ms,
            statements,
            answers,
            "answered"
        );
    }
}

/// A stream of answers that is open: told of when it ends, however it does.
pub(super) struct Streaming {
    account: Account,
    answers: u64,
    code: &'static str,
}

impl Streaming {
    pub(super) fn open(account: Account) -> Self {
        account.api.metrics.streams.inc();
        Self { account, answers: 0, code: FINE }
    }

    pub(super) fn saw(&mut self, response: &Response) {
        self.answers += 1;
        if self.code == FINE {
            self.code = first_code(&response.errors);
        }
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        let Account { api, operation, begun, .. } = &self.account;
        api.metrics.streams.dec();
        api.metrics.ended(operation.as_deref(), self.code);
        self.account.tell(self.code, begun.elapsed(), None, Some(self.answers));
        self.account.is_told = true;
    }
}

/// A request was turned away before anything was executed.
pub(super) fn refused(
    metrics: &RequestMetrics,
    operation: Option<&str>,
    viewer: Option<&Viewer>,
    errors: &[ServerError],
) {
    let (code, operation) = (first_code(errors), operation.map(short));
    let operation = operation.as_deref();
    metrics.refused(operation, code);
    let (role, tenant) = viewer.map(part).unzip();
    let (viewer, tenant) = (viewer.map(|viewer| &*viewer.subject), tenant.flatten());
    tracing::info!(target: OPERATIONS, operation, viewer, role, tenant, code, "refused");
}

/// A viewer's role, and the tenant that it is for.
fn part(viewer: &Viewer) -> (&'static str, Option<DisplayValue<Uuid>>) {
    match viewer.role {
        Role::Admin => ("admin", None),
        Role::Support => ("support", None),
        Role::Tenant(tenant) => ("tenant", Some(display(tenant))),
    }
}

/// The code of the first error, as one of those that there are.
fn first_code(errors: &[ServerError]) -> &'static str {
    let Some(error) = errors.first() else { return FINE };
    let word = match error.extensions.as_ref().and_then(|extensions| extensions.get("code")) {
        Some(Value::String(word)) => word.as_str(),
        _ => return Code::Internal.word(),
    };
    Code::ALL.into_iter().map(Code::word).find(|known| *known == word).unwrap_or(Code::Internal.word())
}
