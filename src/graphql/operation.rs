//! One operation of a document, from when it is known until it is answered.

use std::{pin::pin, sync::Arc};

use async_graphql::{Request, Response, ServerError, parser::types::OperationType};
use futures_util::{StreamExt, stream::BoxStream};

use super::{
    Api,
    account::{Account, Streaming},
    documents::Document,
    error::Code,
    loaders::Loaders,
    refusal, with_codes,
};
use crate::{auth::Viewer, metrics::counting};

/// What a request may do, by the way it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// Queries only.
    Reading,
    /// Queries and mutations.
    Everything,
}

/// A viewer's request whose document is known and within the limits. Whether it is valid is told by its answer.
pub struct Operation {
    api: Api,
    request: Request,
    document: Arc<Document>,
    viewer: Viewer,
}

impl Operation {
    pub(super) fn new(api: &Api, request: Request, document: Arc<Document>, viewer: Viewer) -> Self {
        Self { api: api.clone(), request, document, viewer }
    }

    fn kind(&self) -> Option<OperationType> {
        let (_, definition) = self.document.operation(self.request.operation_name.as_deref())?;
        Some(definition.ty)
    }

    /// Whether it is for a stream of answers.
    #[must_use]
    pub fn is_subscription(&self) -> bool {
        self.kind() == Some(OperationType::Subscription)
    }

    fn account(&self) -> Account {
        let asked = self.document.operation(self.request.operation_name.as_deref());
        Account::open(self.api.0.clone(), asked, &self.viewer)
    }

    /// The request as the library executes it, and the document that it is of.
    fn prepare(self) -> (Api, Request, Arc<Document>) {
        let Self { api, mut request, document, viewer } = self;
        request.set_parsed_query(document.parsed.clone());
        let request = request.data(viewer).data(Loaders::new(&api.0.batchers));
        (api, request, document)
    }

    /// Executes it. Every error of the response has a `code`. Dropped, it is accounted for as canceled.
    pub fn execute(self, allowed: Allowed) -> impl Future<Output = Response> + Send {
        let account = self.account();
        async move {
            let answer = pin!(self.answer(allowed));
            let (response, statements) = counting(answer).await;
            account.close(&response, statements);
            response
        }
    }

    async fn answer(self, allowed: Allowed) -> Response {
        if allowed == Allowed::Reading && self.kind() == Some(OperationType::Mutation) {
            let error = ServerError::new("only queries are answered over GET; send a POST", None);
            return refusal(Code::BadRequest, error);
        }
        let (api, request, document) = self.prepare();
        let name = request.operation_name.clone();
        let is_valid = document.is_valid(&request.variables);
        let schema = if is_valid { &api.0.validated } else { &api.0.schema };
        let mut response = schema.execute(request).await;
        if !is_valid && response.errors.is_empty() {
            document.pass();
        }
        document.sort(&mut response.data, name.as_deref());
        with_codes(response)
    }

    /// Executes a subscription, and streams its answers.
    #[must_use]
    pub fn stream(self) -> BoxStream<'static, Response> {
        let mut streaming = Streaming::open(self.account());
        let (api, request, _) = self.prepare();
        let answers = api.0.schema.execute_stream(request).map(with_codes);
        answers.inspect(move |answer| streaming.saw(answer)).boxed()
    }
}
