//! A request as it stands in a body or in a message.

use async_graphql::{Request as Question, Value, Variables};
use axum::http::request::Parts;
use serde::Deserialize;

use crate::graphql::DOCUMENT_ID;

/// Whether a text of JSON has at most so many values, counted without making any of them: those of a list of a few
/// hundred thousand would take many times as long as all of an ordinary request.
pub(super) fn has_at_most(json: &[u8], most: usize) -> bool {
    let (mut values, mut is_open, mut at) = (1_usize, false, 0);
    while let Some(byte) = json.get(at) {
        at += 1;
        if byte.is_ascii_whitespace() {
            continue;
        }
        // The first value of a list or an object, and those behind commas.
        let is_first = is_open && !matches!(byte, b']' | b'}');
        values += usize::from(is_first) + usize::from(*byte == b',');
        if values > most {
            return false;
        }
        is_open = matches!(byte, b'[' | b'{');
        if *byte == b'"' {
            at = end_of_string(json, at);
        }
    }
    true
}

/// Where a string of JSON has ended that began before `at`: a document is one string, often nearly all of a body.
fn end_of_string(json: &[u8], mut at: usize) -> usize {
    while let Some(found) = memchr::memchr2(b'"', b'\\', json.get(at..).unwrap_or_default()) {
        at += found;
        if json.get(at) == Some(&b'"') {
            return at + 1;
        }
        at += 2;
    }
    json.len()
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

/// What stands under a name in the address of a request.
pub(super) fn linked(head: &Parts, name: &str) -> Option<String> {
    let pairs = url::form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes());
    pairs.into_iter().find(|(each, _)| each == name).map(|(_, value)| value.into_owned())
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
        for (json, values) in [
            ("1", 1),
            ("[]", 1),
            ("[1]", 2),
            ("[ [ ] , {} ]", 3),
            (r#"{"a": [1, 2, {"b": "[,,{\\\",,"}], "c\\": "]"}"#, 7),
            (r#"["", "\\\\", "\\\\\"", 1, "\u002c,"]"#, 6),
        ] {
            assert!(serde_json::from_str::<serde_json::Value>(json).is_ok(), "{json}");
            assert!(has_at_most(json.as_bytes(), values), "{json}");
            assert!(!has_at_most(json.as_bytes(), values - 1), "{json}");
        }
        assert!(!has_at_most("[".repeat(11).as_bytes(), 10), "what is cut short too");
    }
}
