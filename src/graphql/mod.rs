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
mod operation;
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
};

pub use error::Code;
pub use limits::DocumentLimits;
pub use operation::{Allowed, Operation};
pub use request::Parts;
pub use trusted::{DOCUMENT_ID, ManifestError, TrustedDocuments};

use std::sync::Arc;

use crate::{auth::Viewer, deletion::Deletion, metrics::RequestMetrics, usage::Stats};
use documents::{Document, Documents};
use loaders::Batchers;
use watch::Watcher;

type Builder = SchemaBuilder<query::Query, mutation::Mutation, subscription::Subscription>;
type Schema = async_graphql::Schema<query::Query, mutation::Mutation, subscription::Subscription>;

/// The public schema over the gateway's parts. Cheap to clone.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

struct Inner {
    schema: Schema,
    /// The same for documents that need no validation again.
    validated: Schema,
    batchers: Batchers,
    documents: Documents,
    limits: DocumentLimits,
    trusted: TrustedDocuments,
    metrics: RequestMetrics,
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
        let batchers = Batchers::new(parts);
        let (tenants, deletions) = (Watcher::<Stats>::new(&batchers), Watcher::<Deletion>::new(&batchers));
        let shown = |builder: Builder| {
            let builder = builder.data(parts.clone()).data(tenants.clone()).data(deletions.clone());
            if exposure.is_hidden { builder.disable_introspection().disable_suggestions() } else { builder }
        };
        Self(Arc::new(Inner {
            schema: shown(builder()).finish(),
            validated: shown(builder()).validation_mode(ValidationMode::Fast).finish(),
            batchers,
            documents: Documents::default(),
            limits: exposure.limits,
            trusted: exposure.trusted,
            metrics: parts.metrics.requests.clone(),
        }))
    }

    /// Finds the document of a viewer's request.
    ///
    /// # Errors
    ///
    /// What to answer instead, where there is no document, or it asks for more than it may.
    pub fn open(&self, mut request: Request, viewer: Viewer) -> Result<Operation, Box<Response>> {
        match self.0.document(&mut request) {
            Ok(document) => Ok(Operation::new(self, request, document, viewer)),
            Err(refusal) => {
                let name = request.operation_name.as_deref();
                account::refused(&self.0.metrics, name, Some(&viewer), &refusal.errors);
                Err(refusal)
            }
        }
    }

    /// Notes that a request was refused before it came here, and whose it was, as far as that was known.
    pub fn note_refusal(&self, refusal: &Response, viewer: Option<&Viewer>) {
        account::refused(&self.0.metrics, None, viewer, &refusal.errors);
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
        let response = match self.open(request, viewer) {
            Ok(operation) => operation.execute(Allowed::Everything).await,
            Err(refusal) => *refusal,
        };
        serde_json::to_value(response).unwrap_or_default()
    }
}

impl Inner {
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
}

/// Whether a response tells of execution: an error from before it has no path, and comes without data.
#[must_use]
pub fn executed(response: &Response) -> bool {
    response.errors.is_empty() || response.errors.iter().any(|error| !error.path.is_empty())
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
