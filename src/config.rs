//! The options that several commands share, and what follows from them.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use chrono::TimeDelta;
use clap::Args;
use thiserror::Error;

use crate::{
    auth::{KeyError, KeySetSource, Keys},
    cascade,
    deletion::{
        Limits,
        certificate::{Signer, SignerError},
    },
};

/// Where the environment keeps the secret. There is no option of that name: options show in the
/// list of processes.
const SECRET_VARIABLE: &str = "JWT_SECRET";
/// The directory of objects where no address is given.
const OBJECTS: &str = "tenant-gateway-objects";

/// Which database.
#[derive(Clone, Debug, Args)]
pub struct DatabaseOptions {
    /// Address of the database: <sqlite://FILE?mode=rwc> or <postgres://USER@HOST/NAME>
    #[arg(
        long,
        env = "DATABASE_URL",
        default_value = "sqlite://tenant-gateway.db?mode=rwc",
        hide_env_values = true
    )]
    pub database_url: String,
}

/// Where objects are kept.
#[derive(Clone, Debug, Default, Args)]
pub struct StorageOptions {
    /// Address of the object storage for recordings and files: <file:///DIRECTORY> or
    /// <s3://BUCKET/PREFIX>, which reads `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`,
    /// `AWS_ENDPOINT_URL` and `AWS_ALLOW_HTTP` [default: the directory tenant-gateway-objects, beside the
    /// database file on SQLite, else in the working directory]
    #[arg(long, env = "STORAGE_URL")]
    pub storage_url: Option<String>,
}

/// Which keys sign tokens.
#[derive(Clone, Debug, Args)]
pub struct SecretOptions {
    /// File with the secrets for tokens (HS256), one a line: the first signs, all verify. Without it
    /// the environment variable `JWT_SECRET` is read
    #[arg(long, env = "JWT_SECRET_FILE")]
    pub jwt_secret_file: Option<PathBuf>,
}

/// Which tokens are accepted.
#[derive(Clone, Debug, Args)]
pub struct TokenOptions {
    #[command(flatten)]
    secret: SecretOptions,

    /// JSON Web Key Set for tokens (RS256, ES256, EdDSA): a file or an address
    #[arg(long, env = "JWKS", conflicts_with = "jwt_secret_file")]
    jwks: Option<KeySetSource>,

    /// Accept only tokens of this issuer (claim `iss`)
    #[arg(long, env = "JWT_ISSUER")]
    pub jwt_issuer: Option<String>,

    /// Accept only tokens for this audience (claim `aud`)
    #[arg(long, env = "JWT_AUDIENCE")]
    pub jwt_audience: Option<String>,
}

/// What signs the certificates of deletions.
#[derive(Clone, Debug, Args)]
pub struct CertificateOptions {
    /// File with the private key that signs deletion certificates: Ed25519, PKCS#8 PEM, as
    /// `openssl genpkey -algorithm ed25519 -out FILE` writes it. Without it they are not signed
    #[arg(long, env = "CERTIFICATE_KEY_FILE")]
    certificate_key_file: Option<PathBuf>,
}

/// How tenants are erased.
#[derive(Clone, Debug, Args)]
pub struct ErasureOptions {
    /// A deletion waits so long before it begins, and can be called off meanwhile, where its request does not
    /// say
    #[arg(long, env = "DELETION_GRACE", default_value = "0s", value_parser = grace)]
    deletion_grace: Duration,
    /// How long one of the transactions that erase rows is to take
    #[arg(long, env = "DELETION_BATCH_TIME", default_value = "50ms", value_parser = batch_time)]
    deletion_batch_time: Duration,
    /// How many of these run side by side while nobody else uses the database; with others there is one, smaller, that
    /// rests four times as long as it works
    #[arg(long, env = "DELETION_LANES", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=8))]
    deletion_lanes: u8,
    /// Erasing waits while a replica of the database is further behind; 0s: replicas do not matter
    #[arg(long, env = "DELETION_MAX_REPLICA_LAG", default_value = "10s", value_parser = duration)]
    deletion_max_replica_lag: Duration,
    /// A column that holds a tenant's id although no foreign key says so: its rows are the tenant's. Rows that are
    /// written after the deletion has ended stay, which only a foreign key prevents. May be given again, or list
    /// several with commas; a name with a dot is written in double quotes
    #[arg(long, env = "CASCADE_OWN", value_name = "TABLE.COLUMN", value_delimiter = ',')]
    cascade_own: Vec<String>,
    /// A table or materialised view that is not the tenant's, whatever its columns are called. May be given again,
    /// or list several with commas
    #[arg(long, env = "CASCADE_IGNORE", value_name = "TABLE", value_delimiter = ',')]
    cascade_ignore: Vec<String>,
}

impl ErasureOptions {
    /// How long a deletion waits.
    #[must_use]
    pub fn grace(&self) -> TimeDelta {
        TimeDelta::from_std(self.deletion_grace).unwrap_or(TimeDelta::MAX)
    }

    /// Which tables belong to a tenant where their keys do not say.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Cascade`] for a text that is no name.
    pub fn cascade(&self) -> Result<cascade::Settings, ConfigError> {
        Ok(cascade::Settings::read(&self.cascade_own, &self.cascade_ignore)?)
    }

    /// How large batches are, and how many.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            batch_time: self.deletion_batch_time,
            lanes: self.deletion_lanes.into(),
            max_replica_lag: Some(self.deletion_max_replica_lag).filter(|lag| !lag.is_zero()),
        }
    }
}

/// How long a silent session counts.
#[derive(Clone, Copy, Debug, Args)]
pub struct SessionOptions {
    /// A session without a sign of life for longer is over
    #[arg(long, env = "SESSION_TIMEOUT", default_value = "2h", value_parser = session_timeout)]
    session_timeout: Duration,
}

/// Why the options make no gateway.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// Nothing to verify tokens with.
    #[error("no key for tokens: set JWT_SECRET, or pass --jwt-secret-file FILE or --jwks FILE-OR-URL")]
    NoKey,
    /// Two kinds of keys at once.
    #[error("JWT_SECRET and --jwks are both set; give one of them")]
    TwoKeys,
    /// Only secrets can sign.
    #[error("no secret to sign with: set JWT_SECRET, or pass --jwt-secret-file FILE")]
    NoSecret,
    /// A key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Certificates cannot be signed.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The settings of the cascade cannot be read.
    #[error(transparent)]
    Cascade(#[from] cascade::SettingsError),
    /// There is no place for objects.
    #[error("the working directory cannot be told; pass --storage-url (STORAGE_URL)")]
    NoStorage,
}

impl SecretOptions {
    /// The secrets, if there are any.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or holds none.
    pub fn secrets(&self) -> Result<Option<Keys>, ConfigError> {
        let text = match &self.jwt_secret_file {
            Some(path) => Some(std::fs::read_to_string(path).map_err(KeyError::SecretFile)?),
            None => std::env::var(SECRET_VARIABLE).ok(),
        };
        Ok(text.map(|text| Keys::from_secret_lines(&text)).transpose()?)
    }
}

impl TokenOptions {
    /// The keys that tokens are verified with.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], naming the option that is missing or wrong.
    pub fn keys(&self) -> Result<Keys, ConfigError> {
        match (self.secret.secrets()?, &self.jwks) {
            (Some(secrets), None) => Ok(secrets),
            (None, Some(source)) => Ok(Keys::KeySet(source.clone())),
            (Some(_), Some(_)) => Err(ConfigError::TwoKeys),
            (None, None) => Err(ConfigError::NoKey),
        }
    }
}

impl CertificateOptions {
    /// The signer, if there is to be one.
    ///
    /// # Errors
    ///
    /// When the file holds no such key.
    pub fn signer(&self) -> Result<Option<Signer>, ConfigError> {
        Ok(self.certificate_key_file.as_deref().map(Signer::from_pem_file).transpose()?)
    }
}

impl SessionOptions {
    /// The timeout.
    #[must_use]
    pub fn timeout(self) -> TimeDelta {
        TimeDelta::from_std(self.session_timeout).unwrap_or(TimeDelta::MAX)
    }
}

impl StorageOptions {
    /// The address that was given, else that of a directory beside a SQLite file, else in the working
    /// directory.
    ///
    /// # Errors
    ///
    /// [`ConfigError::NoStorage`] when the working directory is gone.
    pub fn url(&self, database_url: &str) -> Result<String, ConfigError> {
        if let Some(url) = &self.storage_url {
            return Ok(url.clone());
        }
        let file = Path::new(sqlite_file(database_url).unwrap_or_default());
        let directory =
            std::path::absolute(file.with_file_name(OBJECTS)).map_err(|_| ConfigError::NoStorage)?;
        url::Url::from_directory_path(directory).map(Into::into).map_err(|()| ConfigError::NoStorage)
    }

    /// Whether nothing but the working directory says where objects are.
    #[must_use]
    pub fn is_guessed(&self, database_url: &str) -> bool {
        self.storage_url.is_none() && sqlite_file(database_url).is_none()
    }
}

fn sqlite_file(database_url: &str) -> Option<&str> {
    let rest = database_url.strip_prefix("sqlite://")?;
    rest.split('?').next().filter(|file| !file.is_empty() && *file != ":memory:")
}

/// Reads a duration such as `90s`, `15m`, `2h` or `1h 30m`.
///
/// # Errors
///
/// A sentence for the terminal.
pub fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; write 90s, 15m or 2h"))
}

fn session_timeout(text: &str) -> Result<Duration, String> {
    between(text, Duration::from_secs(1), Duration::from_hours(24 * 366))
}

/// As long as a request may ask for: ten years.
fn grace(text: &str) -> Result<Duration, String> {
    between(text, Duration::ZERO, Duration::from_hours(24 * 3_653))
}

/// A batch's statements end after two seconds.
fn batch_time(text: &str) -> Result<Duration, String> {
    between(text, Duration::from_millis(1), Duration::from_secs(1))
}

/// Reads a duration that lies between two others.
///
/// # Errors
///
/// A sentence for the terminal.
pub fn between(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let found = duration(text)?;
    if (least..=most).contains(&found) {
        return Ok(found);
    }
    let (least, most) = (humantime::format_duration(least), humantime::format_duration(most));
    Err(format!("it must be from {least} to {most}"))
}
