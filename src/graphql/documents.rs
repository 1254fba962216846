//! Remembers parsed documents: clients send the same few again and again.

use std::sync::{Arc, OnceLock};

use async_graphql::{
    Value,
    parser::{self, types::ExecutableDocument},
};
use quick_cache::{Weighter, sync::Cache};

use super::order::Order;

/// Characters of all documents remembered together. Parsed, each takes some twenty times as much.
const CAPACITY: u64 = 512 * 1024;
/// Documents that this has room for, about.
const EXPECTED: usize = 1_000;

/// Parsed documents by their text.
pub(super) struct Documents(Cache<String, Arc<Document>, ByLength>);

/// A parsed document.
pub(super) struct Document {
    pub(super) parsed: ExecutableDocument,
    /// The order of its answer's fields, where it has one operation only.
    order: OnceLock<Order>,
}

#[derive(Clone)]
struct ByLength;

impl Weighter<String, Arc<Document>> for ByLength {
    fn weight(&self, text: &String, _: &Arc<Document>) -> u64 {
        text.len() as u64
    }
}

impl Default for Documents {
    fn default() -> Self {
        Self(Cache::with_weighter(EXPECTED, CAPACITY, ByLength))
    }
}

impl Documents {
    /// The document, parsed now or earlier. What is no document is not remembered.
    pub(super) fn parse(&self, text: &str) -> Result<Arc<Document>, parser::Error> {
        if let Some(document) = self.0.get(text) {
            return Ok(document);
        }
        let parsed = parser::parse_query(text)?;
        let document = Arc::new(Document { parsed, order: OnceLock::new() });
        self.0.insert(text.to_owned(), document.clone());
        Ok(document)
    }
}

impl Document {
    /// Puts the fields of an answer into the order in which `operation` selects them.
    pub(super) fn sort(&self, answer: &mut Value, operation: Option<&str>) {
        // Without data it may not have passed validation.
        if *answer == Value::Null {
            return;
        }
        if self.parsed.operations.iter().count() == 1 {
            self.order.get_or_init(|| Order::of(&self.parsed, None)).apply(answer);
        } else {
            Order::of(&self.parsed, operation).apply(answer);
        }
    }
}
