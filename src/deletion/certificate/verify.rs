//! Whether a certificate's file is what a gateway wrote. Needs the file alone, no database.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use thiserror::Error;

use super::{
    Certificate, Facts, PublicKey, digest,
    document::{UnreadableFacts, is_canonical},
};

/// A certificate that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What it says.
    pub facts: Facts,
    /// [`PublicKey::id`] of the key that signed it.
    pub key_id: String,
    /// How far that is proven.
    pub proof: Proof,
}

/// How far a signature that fits proves who signed. Its display is a sentence for the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The reader's own trusted key made it.
    TrustedKey,
    /// The key that the file itself carries made it.
    KeyInFile,
}

/// Why a certificate does not hold. Each display sentence is for the reader.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// The text is something else.
    #[error("this is not a deletion certificate: {0}")]
    NotACertificate(String),
    /// The document is JSON, but written differently from how a gateway writes.
    #[error("the document is not canonical JSON (RFC 8785): it has been rewritten since it was issued")]
    NotCanonical,
    /// The digest is that of another document.
    #[error("the document's SHA-256 is not the one in the file: one of the two has been changed")]
    DigestMismatch,
    /// The signature is that of another document or key.
    #[error("the signature does not fit the document and the key {key_id}: one of them has been changed")]
    SignatureInvalid {
        /// The key that it was held against.
        key_id: String,
    },
    /// There is no key to hold the signature against.
    #[error("the key that signed is not known: {0}")]
    KeyUnknown(String),
    /// There is no signature.
    #[error("the certificate is not signed: nothing proves who wrote it")]
    NotSigned,
}

impl VerifyError {
    /// Its code, which stays the same.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotACertificate(_) => "NOT_A_CERTIFICATE",
            Self::NotCanonical => "NOT_CANONICAL",
            Self::DigestMismatch => "DIGEST_MISMATCH",
            Self::SignatureInvalid { .. } => "SIGNATURE_INVALID",
            Self::KeyUnknown(_) => "KEY_UNKNOWN",
            Self::NotSigned => "NOT_SIGNED",
        }
    }
}

impl From<UnreadableFacts> for VerifyError {
    fn from(why: UnreadableFacts) -> Self {
        Self::NotACertificate(format!("its document cannot be read: {why}"))
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TrustedKey => "signed by the trusted key",
            Self::KeyInFile => {
                "signed by the key in the file; that the key is the gateway's own is not proven, \
                 compare it with a trusted one"
            }
        })
    }
}

/// Checks the form, the digest and the signature of a certificate's file, in that order; with a
/// trusted key against that one, else against the key in the file.
///
/// # Errors
///
/// [`VerifyError`], the first thing that is wrong.
pub fn verify(file: &str, trusted: Option<&PublicKey>) -> Result<Verdict, VerifyError> {
    let (certificate, key_in_file) = Certificate::from_file(file)?;
    if !is_canonical(&certificate.document)? {
        return Err(VerifyError::NotCanonical);
    }
    if digest(&certificate.document) != certificate.sha256 {
        return Err(VerifyError::DigestMismatch);
    }
    let facts = Facts::read(&certificate.document)?;
    let signature = certificate.signature.as_deref().ok_or(VerifyError::NotSigned)?;
    let key_id = certificate.key_id.as_deref();
    let key = signing_key(key_id, key_in_file.as_ref(), trusted)?;
    let key_id = key.id();
    let is_good = signature_bytes(signature)
        .is_some_and(|signature| key.has_signed(certificate.document.as_bytes(), &signature));
    if !is_good {
        return Err(VerifyError::SignatureInvalid { key_id });
    }
    let proof = if trusted.is_some() { Proof::TrustedKey } else { Proof::KeyInFile };
    Ok(Verdict { facts, key_id, proof })
}

/// The key to hold the signature against. All that the file says of the key must agree.
fn signing_key<'a>(
    key_id: Option<&str>,
    in_file: Option<&'a PublicKey>,
    trusted: Option<&'a PublicKey>,
) -> Result<&'a PublicKey, VerifyError> {
    let unknown = |why: String| Err(VerifyError::KeyUnknown(why));
    let Some(key_id) = key_id else { return unknown("the file names none".to_owned()) };
    if let Some(in_file) = in_file
        && in_file.id() != key_id
    {
        return unknown(format!("the file names {key_id} and carries {}", in_file.id()));
    }
    match trusted.or(in_file) {
        Some(key) if key.id() == key_id => Ok(key),
        Some(key) => unknown(format!("the file names {key_id}, the trusted key is {}", key.id())),
        None => unknown(format!("the file names {key_id} and does not carry it; pass it as the trusted key")),
    }
}

fn signature_bytes(text: &str) -> Option<[u8; 64]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}
