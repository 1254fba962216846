//! The public schema: its roots, types, loaders, limits and errors. The only part that knows
//! async-graphql, but for its transport in `http`.

mod batch;
mod deletion;
mod deletions;
mod documents;
mod error;
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
mod usage;
mod viewer;

use async_graphql::{
    Data, Executor, Request, Response, SDLExportOptions, SchemaBuilder, ServerError, ValidationMode,
    parser::types::{ExecutableDocument, OperationType},
};

pub use error::Code;
pub use request::Parts;

use std::{any::TypeId, sync::Arc};

use futures_util::{Stream, StreamExt, stream::BoxStream};

use crate::auth::Viewer;
use documents::Documents;
use loaders::{Batchers, Loaders};

/// Deepest nesting of a document. The deepest useful one is the playground's introspection.
const MAX_DEPTH: usize = 20;
/// Most fields of a document.
const MAX_FIELDS: usize = 1_000;

type Schema = async_graphql::Schema<query::Query, mutation::Mutation, subscription::Subscription>;

/// The public schema over the gateway's parts. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    schema: Schema,
    /// The same for documents that need no validation again.
    validated: Schema,
    batchers: Batchers,
    documents: Arc<Documents>,
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

fn builder() -> SchemaBuilder<query::Query, mutation::Mutation, subscription::Subscription> {
    Schema::build(query::Query, mutation::Mutation::default(), subscription::Subscription)
        .limit_depth(MAX_DEPTH)
        .limit_complexity(MAX_FIELDS)
}

impl Api {
    /// Resolvers may use `parts`.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let batchers = Batchers::new(&parts.database, &parts.reader, &parts.metrics);
        Self {
            schema: builder().data(parts.clone()).finish(),
            validated: builder().data(parts).validation_mode(ValidationMode::Fast).finish(),
            batchers,
            documents: Arc::default(),
        }
    }

    /// Executes one request for a viewer. Every error of the response has a `code`.
    pub async fn execute(&self, mut request: Request, viewer: Viewer, allowed: Allowed) -> Response {
        let document = match self.documents.parse(&request.query) {
            Ok(document) => document,
            Err(error) => return with_codes(refusal(Code::GraphqlParseFailed, ServerError::from(error))),
        };
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

    /// Executes one operation of any kind for a viewer and streams its answers: one, or those of a
    /// subscription.
    pub fn stream(&self, request: Request, viewer: Viewer) -> impl Stream<Item = Response> + Send + 'static {
        let request = request.data(viewer).data(Loaders::new(&self.batchers));
        self.schema.execute_stream(request).map(with_codes)
    }
}

/// On a socket: the session's data holds the viewer, each operation gets loaders of its own.
impl Executor for Api {
    async fn execute(&self, request: Request) -> Response {
        // The socket's protocol streams every operation.
        with_codes(self.schema.execute(request).await)
    }

    fn execute_stream(&self, request: Request, session: Option<Arc<Data>>) -> BoxStream<'static, Response> {
        let viewer = session
            .and_then(|data| data.get(&TypeId::of::<Arc<Viewer>>())?.downcast_ref::<Arc<Viewer>>().cloned());
        if let Some(viewer) = viewer {
            self.stream(request, (*viewer).clone()).boxed()
        } else {
            let error = ServerError::new("the connection has no viewer", None);
            futures_util::stream::once(async { refusal(Code::Unauthenticated, error) }).boxed()
        }
    }
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
