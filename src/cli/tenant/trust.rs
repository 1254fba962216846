//! Whose certificates are believed.

use std::path::PathBuf;

use clap::Args;

use crate::{
    cli::Failure,
    config::CertificateOptions,
    deletion::certificate::{Certificate, PublicKey, Verdict, VerifyError, verify},
};

#[derive(Debug, Args)]
pub(super) struct TrustOptions {
    #[command(flatten)]
    pub(super) certificate: CertificateOptions,
    /// File with a public key that signed certificates, as `openssl pkey -in KEY-FILE -pubout` writes it;
    /// again for each earlier key. The key of --certificate-key-file is trusted too
    #[arg(long, value_name = "FILE")]
    trusted_key: Vec<PathBuf>,
}

/// The keys that are known to be the gateway's.
#[derive(Debug)]
pub(super) struct Trust(Vec<PublicKey>);

impl TrustOptions {
    /// Reads the keys.
    pub(super) fn keys(&self) -> Result<Trust, Failure> {
        let mut keys = self
            .trusted_key
            .iter()
            .map(|file| PublicKey::from_pem_file(file))
            .collect::<Result<Vec<_>, _>>()?;
        keys.extend(self.certificate.signer()?.map(|signer| signer.public_key()));
        Ok(Trust(keys))
    }
}

impl Trust {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key of this id.
    pub(super) fn key(&self, id: Option<&str>) -> Option<&PublicKey> {
        self.0.iter().find(|key| Some(key.id().as_str()) == id)
    }

    /// Verifies a certificate's file: against the trusted key that it names; against any of them where it
    /// names another; against the key in the file where none is trusted.
    pub(super) fn verify(&self, file: &str) -> Result<Verdict, VerifyError> {
        let (certificate, _) = Certificate::from_file(file)?;
        verify(file, self.key(certificate.key_id.as_deref()).or(self.0.first()))
    }
}
