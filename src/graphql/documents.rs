//! Remembers parsed documents: clients send the same few again and again.

use std::sync::Arc;

use async_graphql::parser::{self, types::ExecutableDocument};
use quick_cache::{Weighter, sync::Cache};

/// Characters of all documents remembered together. Parsed, each takes some twenty times as much.
const CAPACITY: u64 = 512 * 1024;
/// Documents that this has room for, about.
const EXPECTED: usize = 1_000;

/// Parsed documents by their text.
pub(super) struct Documents(Cache<String, Arc<ExecutableDocument>, ByLength>);

#[derive(Clone)]
struct ByLength;

impl Weighter<String, Arc<ExecutableDocument>> for ByLength {
    fn weight(&self, text: &String, _: &Arc<ExecutableDocument>) -> u64 {
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
    pub(super) fn parse(&self, text: &str) -> Result<Arc<ExecutableDocument>, parser::Error> {
        if let Some(document) = self.0.get(text) {
            return Ok(document);
        }
        let document = Arc::new(parser::parse_query(text)?);
        self.0.insert(text.to_owned(), document.clone());
        Ok(document)
    }
}
