//! Documents that are known beforehand: clients name them instead of sending them, and where nothing else is answered
//! nobody can ask what their authors have not asked.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
};

use async_graphql::{Request, ServerError, Value};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::{error::Code, refusal};

/// Where a request carries the id of its document, beside the fields of GraphQL over HTTP.
pub const DOCUMENT_ID: &str = "documentId";
/// Where clients of Apollo carry it.
const PERSISTED: (&str, &str) = ("persistedQuery", "sha256Hash");
/// Some clients say which hash it is.
const HASH: &str = "sha256:";

/// Documents by their ids. Each is also known by the SHA-256 of its text, in hexadecimal.
#[derive(Clone, Default)]
pub struct TrustedDocuments {
    by_id: Arc<HashMap<String, Arc<str>>>,
    texts: Arc<HashSet<Arc<str>>>,
    are_all: bool,
}

impl fmt::Debug for TrustedDocuments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { texts, are_all, .. } = self;
        f.debug_struct("TrustedDocuments").field("count", &texts.len()).field("are_all", are_all).finish()
    }
}

/// Why a manifest of documents cannot be used.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// It is neither of the two known forms.
    #[error("it is neither an object of documents by their ids nor an apollo-persisted-query-manifest: {0}")]
    Form(#[from] serde_json::Error),
    /// Nothing is in it.
    #[error("it has no document")]
    Empty,
    /// A document could never be answered.
    #[error("the document {id:?} is no GraphQL: {reason}")]
    Document {
        /// Its id.
        id: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A list of documents, as the tools of clients write it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Manifest {
    /// Of Apollo's tools.
    Operations { operations: Vec<Operation> },
    /// Of the code generator, and of Relay's compiler.
    ById(HashMap<String, String>),
}

#[derive(Deserialize)]
struct Operation {
    id: String,
    body: String,
}

impl TrustedDocuments {
    /// Reads a manifest. With `are_all` nothing else is answered.
    ///
    /// # Errors
    ///
    /// [`ManifestError`].
    pub fn read(manifest: &str, are_all: bool) -> Result<Self, ManifestError> {
        let documents: Vec<(String, String)> = match serde_json::from_str(manifest)? {
            Manifest::Operations { operations } => {
                operations.into_iter().map(|each| (each.id, each.body)).collect()
            }
            Manifest::ById(documents) => documents.into_iter().collect(),
        };
        if documents.is_empty() {
            return Err(ManifestError::Empty);
        }
        let (mut by_id, mut texts) = (HashMap::new(), HashSet::new());
        for (id, text) in documents {
            if let Err(error) = async_graphql::parser::parse_query(&text) {
                return Err(ManifestError::Document { id, reason: error.to_string() });
            }
            let text: Arc<str> = text.into();
            by_id.insert(format!("{:x}", Sha256::digest(text.as_bytes())), text.clone());
            by_id.insert(bare(&id).to_owned(), text.clone());
            texts.insert(text);
        }
        Ok(Self { by_id: Arc::new(by_id), texts: Arc::new(texts), are_all })
    }

    /// Whether nothing else is answered.
    #[must_use]
    pub fn are_all(&self) -> bool {
        self.are_all
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.texts.len()
    }

    /// Puts the document into a request that names it; refuses what is not known where nothing else is answered.
    pub(super) fn resolve(&self, request: &mut Request) -> Result<(), Box<async_graphql::Response>> {
        let refused = |sentence: &str| {
            let error = ServerError::new(sentence, None);
            Box::new(refusal(Code::DocumentNotFound, error))
        };
        if request.query.trim().is_empty() {
            let Some(id) = id(request) else {
                let sentence =
                    "`query` is missing: send the document to be answered in it, or its id as `documentId`";
                return Err(Box::new(refusal(Code::BadRequest, ServerError::new(sentence, None))));
            };
            let known = self.by_id.get(bare(id)).ok_or_else(|| {
                refused("no document of this id is known; send it in `query`, or ask the operators to add it")
            })?;
            request.query = known.to_string();
        } else if self.are_all && !self.texts.contains(request.query.as_str()) {
            return Err(refused(
                "only documents that are known beforehand are answered; ask the operators to add it",
            ));
        }
        Ok(())
    }
}

/// The id of the document that a request names.
fn id(request: &Request) -> Option<&str> {
    let own = request.extensions.get(DOCUMENT_ID);
    let found = own.or_else(|| match request.extensions.get(PERSISTED.0) {
        Some(Value::Object(fields)) => fields.get(PERSISTED.1),
        _ => None,
    });
    match found {
        Some(Value::String(id)) => Some(id),
        _ => None,
    }
}

fn bare(id: &str) -> &str {
    id.strip_prefix(HASH).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "query Me { viewer { role } }";

    fn ask(documents: &TrustedDocuments, query: &str, id: Option<&str>) -> Result<String, String> {
        let mut request = Request::new(query);
        if let Some(id) = id {
            request.extensions.0.insert(DOCUMENT_ID.to_owned(), Value::String(id.to_owned()));
        }
        documents.resolve(&mut request).map(|()| request.query).map_err(|refusal| {
            refusal.errors[0].extensions.as_ref().and_then(|all| all.get("code")).expect("a code").to_string()
        })
    }

    #[test]
    fn both_forms_of_a_manifest_are_read() {
        let hash = format!("{:x}", Sha256::digest(DOCUMENT));
        let forms = [
            format!(r#"{{"me": "{DOCUMENT}"}}"#),
            format!(
                r#"{{"format": "apollo-persisted-query-manifest", "version": 1,
                    "operations": [{{"id": "me", "name": "Me", "type": "query", "body": "{DOCUMENT}"}}]}}"#
            ),
        ];
        for form in forms {
            let documents = TrustedDocuments::read(&form, true).expect("a manifest");
            for id in ["me", "sha256:me", &hash, &format!("sha256:{hash}")] {
                assert_eq!(ask(&documents, "", Some(id)).as_deref(), Ok(DOCUMENT), "{id}");
            }
            assert_eq!(ask(&documents, DOCUMENT, None).as_deref(), Ok(DOCUMENT));
            assert_eq!(
                ask(&documents, "{ viewer { role } }", Some("me")),
                Err(r#""DOCUMENT_NOT_FOUND""#.to_owned())
            );
            assert_eq!(ask(&documents, "", Some("you")), Err(r#""DOCUMENT_NOT_FOUND""#.to_owned()));
            assert_eq!(ask(&documents, "", None), Err(r#""BAD_REQUEST""#.to_owned()));
        }
        for wrong in ["", "[]", "{}", r#"{"me": 1}"#, r#"{"me": "{"}"#, r#"{"operations": []}"#] {
            assert!(TrustedDocuments::read(wrong, true).is_err(), "{wrong}");
        }
    }
}
