//! What a finished deletion proves: a document of its facts, and who stands by it.

mod document;
mod exact;
mod signing;
mod verify;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

pub use document::{Facts, FinalMonth, UnreadableFacts, document};
pub use signing::{PublicKey, PublicKeyError, Signer, SignerError};
pub use verify::{Proof, Verdict, VerifyError, verify};

use crate::cascade::hex;

/// Every certificate's key in object storage begins with it. No tenant's own objects are below it.
pub const STORAGE_PREFIX: &str = "deletion-certificates/";

/// The key in object storage under which the certificate of a deletion is kept.
#[must_use]
pub fn storage_key(tenant: Uuid, deletion: Uuid) -> String {
    format!("{STORAGE_PREFIX}{tenant}/{deletion}.json")
}

/// A document, its digest and, where a key is configured, a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The facts as canonical JSON; see [`document()`].
    pub document: String,
    /// SHA-256 of the document's bytes, in lower-case hexadecimal.
    pub sha256: String,
    /// Ed25519 signature of the document's bytes, in base64.
    pub signature: Option<String>,
    /// [`PublicKey::id`] of the key that signed.
    pub key_id: Option<String>,
}

/// Makes the certificate of these facts. The same facts and key give the same bytes.
#[must_use]
pub fn issue(facts: &Facts, signer: Option<&Signer>) -> Certificate {
    let document = document(facts);
    Certificate {
        sha256: digest(&document),
        signature: signer.map(|signer| STANDARD.encode(signer.sign(document.as_bytes()))),
        key_id: signer.map(|signer| signer.public_key().id()),
        document,
    }
}

/// The file, as JSON has it. A field more is refused: nothing would vouch for it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct File {
    document: String,
    sha256: String,
    signature: Option<String>,
    key_id: Option<String>,
    public_key: Option<String>,
}

impl Certificate {
    /// The file form, which [`verify()`] reads: JSON with the fields `document` (the text itself),
    /// `sha256`, `signature`, `keyId` and `publicKey` (PEM), null where there is none.
    ///
    /// `public_key` is left out unless it is the one that signed, so that after a change of keys an
    /// older certificate never carries the newer key.
    #[must_use]
    pub fn to_file(&self, public_key: Option<&PublicKey>) -> String {
        let public_key = public_key.filter(|key| self.key_id.as_ref() == Some(&key.id()));
        let file = serde_json::json!({
            "document": self.document,
            "sha256": self.sha256,
            "signature": self.signature,
            "keyId": self.key_id,
            "publicKey": public_key.map(PublicKey::to_pem),
        });
        format!("{file:#}\n")
    }

    /// Reads the file form, and checks nothing beyond the form.
    ///
    /// # Errors
    ///
    /// [`VerifyError::NotACertificate`].
    pub fn from_file(text: &str) -> Result<(Self, Option<PublicKey>), VerifyError> {
        let refused = |error: &dyn std::fmt::Display| VerifyError::NotACertificate(error.to_string());
        let file: File = serde_json::from_str(text).map_err(|error| refused(&error))?;
        let public_key = file.public_key.as_deref().map(PublicKey::from_pem).transpose();
        let public_key = public_key.map_err(|error| refused(&error))?;
        let File { document, sha256, signature, key_id, .. } = file;
        Ok((Self { document, sha256, signature, key_id }, public_key))
    }
}

fn digest(document: &str) -> String {
    hex(&Sha256::digest(document))
}
