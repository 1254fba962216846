//! A request as it stands in a body or in a message.

use async_graphql::{Request as Question, Value, Variables};
use axum::http::request::Parts;
use serde::Deserialize;

use crate::graphql::DOCUMENT_ID;

/// Whether a text of JSON has at most so many values, counted without making any of them: those of a list of a few
/// hundred thousand would take many times as long as all of an ordinary request.
pub(super) fn has_at_most(json: &[u8], most: usize) -> bool {
    let (mut values, mut in_string, mut is_escaped) = (1_usize, false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = in_string,
            b'"' => in_string = !in_string,
            b',' | b'[' | b'{' if !in_string => values += 1,
            _ => {}
        }
        if values > most {
            return false;
        }
    }
    true
}

/// What is asked for: a document, or the id of one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Asked {
    #[serde(default)]
    query: Option<String>,
    #[serde(default)]
    document_id: Option<String>,
    #[serde(default)]
    variables: Option<Variables>,
    #[serde(default)]
    operation_name: Option<String>,
    #[serde(default)]
    extensions: Option<std::collections::HashMap<String, Value>>,
}

impl Asked {
    /// Whether there is anything that could be a document, or name one.
    pub(super) fn is_something(&self) -> bool {
        self.query.is_some() || self.document_id.is_some() || self.extensions.is_some()
    }
}

impl From<Asked> for Question {
    fn from(asked: Asked) -> Self {
        let mut question = Self::new(asked.query.unwrap_or_default());
        question = question.variables(asked.variables.unwrap_or_default());
        question.operation_name = asked.operation_name;
        question.extensions.0 = asked.extensions.unwrap_or_default();
        name_document(question, asked.document_id)
    }
}

/// The id of a document that stands in the address of a request.
pub(super) fn linked_id(head: &Parts) -> Option<String> {
    let pairs = url::form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes());
    pairs.into_iter().find(|(name, _)| name == DOCUMENT_ID).map(|(_, id)| id.into_owned())
}

/// Notes which document a request names.
pub(super) fn name_document(mut question: Question, id: Option<String>) -> Question {
    if let Some(id) = id {
        question.extensions.0.insert(DOCUMENT_ID.to_owned(), Value::String(id));
    }
    question
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_and_what_is_in_strings_is_not() {
        let json = br#"{"a": [1, 2, {"b": "[,,{\\\",,"}], "c\\": 3}"#;
        assert!(serde_json::from_slice::<serde_json::Value>(json).is_ok());
        // The object and the list, each with the first of its own, and three more behind commas.
        assert!(has_at_most(json, 7) && !has_at_most(json, 6));
        assert!(has_at_most(b"1", 1) && !has_at_most(b"[1]", 1));
        assert!(!has_at_most("[".repeat(11).as_bytes(), 10), "what is cut short too");
    }
}
