//! The public schema: its roots, types, loaders, limits and errors. The only part that knows
//! async-graphql, but for its transport in `http`.

mod account;
mod batch;
mod deletion;
mod deletions;
mod documents;
mod error;
mod limits;
mod loaders;
mod mutation;
mod order;
mod page;
mod preview;
mod query;
mod quota;
mod request;
mod scalar;
mod stats;
mod subscription;
mod tenant;
mod tenants;
mod trusted;
mod usage;
mod viewer;
mod watch;

use async_graphql::{
    Request, Response, SDLExportOptions, SchemaBuilder, ServerError, ValidationMode, Variables,
    parser::types::{ExecutableDocument, OperationType},
};

pub use error::Code;
pub use limits::DocumentLimits;
pub use request::Parts;
pub use trusted::{DOCUMENT_ID, ManifestError, TrustedDocuments};

use std::sync::Arc;

use futures_util::{StreamExt, stream::BoxStream};

use crate::{
    auth::Viewer,
    deletion::Deletion,
    metrics::{Metrics, counting},
    usage::Stats,
};
use account::{Account, Streaming};
use documents::{Document, Documents};
use loaders::{Batchers, Loaders};
use watch::Watcher;

type Builder = SchemaBuilder<query::Query, mutation::Mutation, subscription::Subscription>;
type Schema = async_graphql::Schema<query::Query, mutation::Mutation, subscription::Subscription>;

/// The public schema over the gateway's parts. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    schema: Schema,
    /// The same for documents that need no validation again.
    validated: Schema,
    batchers: Batchers,
    documents: Arc<Documents>,
    limits: DocumentLimits,
    trusted: TrustedDocuments,
    metrics: Metrics,
}

/// How the schema is shown to strangers, and how much they may ask of it.
#[derive(Clone, Debug, Default)]
pub struct Exposure {
    /// The most that a document may have.
    pub limits: DocumentLimits,
    /// Whether the schema is kept to itself: no introspection, and no names suggested for those that are mistyped.
    pub is_hidden: bool,
    /// Documents that are known beforehand.
    pub trusted: TrustedDocuments,
}

/// What a request may do, by the way it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// Queries only.
    Reading,
    /// Queries and mutations.
    Everything,
}

/// The schema in the schema definition language, as `schema.graphql` keeps it.
#[must_use]
pub fn sdl() -> String {
    builder().finish().sdl_with_options(
        SDLExportOptions::new()
            .prefer_single_line_descriptions()
            .include_specified_by()
            .use_space_ident()
            .indent_width(2),
    )
}

fn builder() -> Builder {
    Schema::build(query::Query, mutation::Mutation::default(), subscription::Subscription)
}

impl Api {
    /// Resolvers may use `parts`.
    #[must_use]
    pub fn new(parts: &Parts, exposure: Exposure) -> Self {
        let batchers = Batchers::new(&parts.database, &parts.reader, &parts.metrics);
        let (tenants, deletions) = (Watcher::<Stats>::new(&batchers), Watcher::<Deletion>::new(&batchers));
        let shown = |builder: Builder| {
            let builder = builder.data(parts.clone()).data(tenants.clone()).data(deletions.clone());
            if exposure.is_hidden { builder.disable_introspection().disable_suggestions() } else { builder }
        };
        Self {
            schema: shown(builder()).finish(),
            validated: shown(builder()).validation_mode(ValidationMode::Fast).finish(),
            batchers,
            documents: Arc::default(),
            limits: exposure.limits,
            trusted: exposure.trusted,
            metrics: parts.metrics.clone(),
        }
    }

    /// The parsed document of a request, or why it is not answered.
    fn document(&self, request: &mut Request) -> Result<Arc<Document>, Box<Response>> {
        self.trusted.resolve(request)?;
        let refused =
            |sentence| Box::new(refusal(Code::GraphqlValidationFailed, ServerError::new(sentence, None)));
        let document = if let Some(known) = self.documents.known(&request.query) {
            known
        } else {
            self.limits.check_text(&request.query).map_err(refused)?;
            let unparsable =
                |error| Box::new(with_codes(refusal(Code::GraphqlParseFailed, ServerError::from(error))));
            self.documents.parse(&request.query).map_err(unparsable)?
        };
        // What was valid was within the limits, and no variable of it changes that.
        if !document.is_valid(&request.variables) {
            self.limits.check(&document.parsed, &request.variables).map_err(refused)?;
        }
        Ok(document)
    }

    /// Executes one request for a viewer. Every error of the response has a `code`.
    pub async fn execute(&self, mut request: Request, viewer: Viewer, allowed: Allowed) -> Response {
        let document = match self.document(&mut request) {
            Ok(document) => document,
            Err(refusal) => return self.turn_away(&request, *refusal),
        };
        let name = request.operation_name.as_deref();
        let account = Account::open(&self.metrics.requests, &document.parsed, name, &viewer);
        let (response, statements) = counting(self.answer(request, &document, viewer, allowed)).await;
        account.close(&response, statements);
        response
    }

    fn turn_away(&self, request: &Request, refusal: Response) -> Response {
        account::refused(&self.metrics.requests, request.operation_name.as_deref(), &refusal.errors);
        refusal
    }

    /// Notes that a request was refused before it came here.
    pub fn note_refusal(&self, refusal: &Response) {
        account::refused(&self.metrics.requests, None, &refusal.errors);
    }

    async fn answer(
        &self,
        mut request: Request,
        document: &Document,
        viewer: Viewer,
        allowed: Allowed,
    ) -> Response {
        if allowed == Allowed::Reading && !only_reads(&document.parsed, request.operation_name.as_deref()) {
            let error = ServerError::new("only queries are answered over GET; send a POST", None);
            return refusal(Code::BadRequest, error);
        }
        let operation = request.operation_name.clone();
        request.set_parsed_query(document.parsed.clone());
        let loaders = Loaders::new(&self.batchers);
        let is_valid = document.is_valid(&request.variables);
        let schema = if is_valid { &self.validated } else { &self.schema };
        let mut response = schema.execute(request.data(viewer).data(loaders)).await;
        if !is_valid && response.errors.is_empty() {
            document.pass();
        }
        document.sort(&mut response.data, operation.as_deref());
        with_codes(response)
    }

    /// Executes one document for a viewer within this process. Returns the response as JSON has it, with
    /// `data` and `errors`.
    pub async fn ask(
        &self,
        document: &str,
        variables: serde_json::Value,
        viewer: Viewer,
    ) -> serde_json::Value {
        let request = Request::new(document).variables(Variables::from_json(variables));
        let response = self.execute(request, viewer, Allowed::Everything).await;
        serde_json::to_value(response).unwrap_or_default()
    }

    /// Whether a request is for a stream of answers. One that is not executed is not.
    pub fn is_subscription(&self, request: &mut Request) -> bool {
        let Ok(document) = self.document(request) else { return false };
        let name = request.operation_name.as_deref();
        let mut all = document.parsed.operations.iter();
        all.any(|(operation, definition)| {
            (name.is_none() || operation.map(async_graphql::Name::as_str) == name)
                && definition.node.ty == OperationType::Subscription
        })
    }

    /// Executes one operation of any kind for a viewer and streams its answers: one, or those of a
    /// subscription.
    pub fn stream(&self, mut request: Request, viewer: Viewer) -> BoxStream<'static, Response> {
        let document = match self.document(&mut request) {
            Ok(document) => document,
            Err(refusal) => {
                let refusal = self.turn_away(&request, *refusal);
                return futures_util::stream::once(async { refusal }).boxed();
            }
        };
        let name = request.operation_name.as_deref();
        let account = Account::open(&self.metrics.requests, &document.parsed, name, &viewer);
        request.set_parsed_query(document.parsed.clone());
        let request = request.data(viewer).data(Loaders::new(&self.batchers));
        let mut streaming = Streaming::open(account);
        let answers = self.schema.execute_stream(request).map(with_codes);
        answers.inspect(move |answer| streaming.saw(answer)).boxed()
    }
}

/// Whether a response tells of execution: an error from before it has no path, and comes without data.
#[must_use]
pub fn executed(response: &Response) -> bool {
    response.errors.is_empty() || response.errors.iter().any(|error| !error.path.is_empty())
}

/// Whether the operation that would run is a query. One that is not there changes nothing.
fn only_reads(document: &ExecutableDocument, name: Option<&str>) -> bool {
    document
        .operations
        .iter()
        .filter(|(operation, _)| name.is_none() || operation.map(async_graphql::Name::as_str) == name)
        .all(|(_, operation)| operation.node.ty != OperationType::Mutation)
}

/// An answer that is one error, for a request that was not executed.
#[must_use]
pub fn refusal(code: Code, mut error: ServerError) -> Response {
    error.extensions.get_or_insert_default().set("code", code.word());
    Response::from_errors(vec![error])
}

/// Gives the library's own errors their code: one at a path is an input that did not fit its type,
/// one without a path is from validation.
fn with_codes(mut response: Response) -> Response {
    for error in &mut response.errors {
        let code = if error.path.is_empty() { Code::GraphqlValidationFailed } else { Code::BadUserInput };
        let extensions = error.extensions.get_or_insert_default();
        if extensions.get("code").is_none() {
            extensions.set("code", code.word());
        }
    }
    response
}
