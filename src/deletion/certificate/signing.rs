//! The key that signs certificates, and its public half, which proves them.

use std::{fmt, fs, path::Path};

use ed25519_dalek::{
    Signature, Signer as _, SigningKey, VerifyingKey,
    pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePublicKey, spki::der::pem::LineEnding},
};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::cascade::hex;

/// Bytes of a key's digest that make its id.
const ID_BYTES: usize = 16;

/// Signs with an Ed25519 key. Shows nothing of the private half.
#[derive(Clone)]
pub struct Signer(SigningKey);

/// Why there is no signer. Each display sentence is for the terminal, and holds nothing of the file.
#[derive(Debug, Error)]
pub enum SignerError {
    /// The file cannot be read.
    #[error("the certificate key file {file} cannot be read: {error}")]
    File {
        /// Which one.
        file: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// The file holds something else.
    #[error(
        "the certificate key file {file} holds no Ed25519 private key (PKCS#8, PEM, not encrypted); \
         `openssl genpkey -algorithm ed25519 -out FILE` makes one"
    )]
    NoKey {
        /// Which one.
        file: String,
    },
}

/// The public half of a key that signs certificates.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// Why there is no public key. Each display sentence is for the terminal.
#[derive(Debug, Error)]
pub enum PublicKeyError {
    /// The file cannot be read.
    #[error("the public key file {file} cannot be read: {error}")]
    File {
        /// Which one.
        file: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// The text is something else.
    #[error(
        "this is no Ed25519 public key (PEM); `openssl pkey -in KEY-FILE -pubout` writes that of a private key"
    )]
    NoKey,
}

impl Signer {
    /// Reads a private key in PKCS#8 PEM form, as `openssl genpkey -algorithm ed25519` writes it.
    ///
    /// # Errors
    ///
    /// [`SignerError`].
    pub fn from_pem_file(path: &Path) -> Result<Self, SignerError> {
        let file = || path.display().to_string();
        let bytes = fs::read(path).map_err(|error| SignerError::File { file: file(), error })?;
        // What the reader says of a bad key is left out: it could quote the file.
        let text = str::from_utf8(&bytes).map_err(|_| SignerError::NoKey { file: file() })?;
        let key = SigningKey::from_pkcs8_pem(text).map_err(|_| SignerError::NoKey { file: file() })?;
        Ok(Self(key))
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// The Ed25519 signature of a message (RFC 8032, the pure form).
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signer").field(&self.public_key().id()).finish()
    }
}

impl PublicKey {
    /// Reads a public key in PEM form, as `openssl pkey -pubout` writes it.
    ///
    /// # Errors
    ///
    /// [`PublicKeyError::NoKey`].
    pub fn from_pem(text: &str) -> Result<Self, PublicKeyError> {
        VerifyingKey::from_public_key_pem(text).map(Self).map_err(|_| PublicKeyError::NoKey)
    }

    /// Reads the file of a public key in PEM form.
    ///
    /// # Errors
    ///
    /// [`PublicKeyError`].
    pub fn from_pem_file(path: &Path) -> Result<Self, PublicKeyError> {
        let bytes = fs::read(path)
            .map_err(|error| PublicKeyError::File { file: path.display().to_string(), error })?;
        Self::from_pem(str::from_utf8(&bytes).map_err(|_| PublicKeyError::NoKey)?)
    }

    /// The PEM form, which [`PublicKey::from_pem`] reads.
    #[must_use]
    #[expect(clippy::expect_used, clippy::missing_panics_doc, reason = "every public key has a PEM form")]
    pub fn to_pem(&self) -> String {
        self.0.to_public_key_pem(LineEnding::LF).expect("PEM")
    }

    /// What names the key: the first 16 bytes of the SHA-256 of its raw 32 bytes, in hexadecimal.
    #[must_use]
    pub fn id(&self) -> String {
        hex(&Sha256::digest(self.0.as_bytes())[..ID_BYTES])
    }

    /// Whether the private half made this signature of the message. Strict: a weak key, under which
    /// one signature fits many messages, proves nothing.
    #[must_use]
    pub fn has_signed(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.id()).finish()
    }
}
