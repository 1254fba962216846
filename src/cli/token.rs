//! `token`.

use std::time::Duration;

use clap::Args;
use uuid::Uuid;

use super::Failure;
use crate::{
    auth::{Claims, Keys, RoleClaim, mint},
    clock::Clock,
    config::{ConfigError, SecretOptions, duration},
};

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    secret: SecretOptions,
    /// What the holder may do
    #[arg(long, value_enum)]
    role: RoleClaim,
    /// The tenant that the holder may read
    #[arg(long, required_if_eq("role", "tenant"))]
    tenant: Option<Uuid>,
    /// Until when, from now
    #[arg(long, default_value = "1h", value_parser = duration)]
    expires: Duration,
    /// Who holds it: a person or a program
    #[arg(long, default_value = "tenant-gateway token")]
    subject: String,
    /// Claim `iss`, where the gateway asks for one
    #[arg(long, env = "JWT_ISSUER")]
    jwt_issuer: Option<String>,
    /// Claim `aud`, where the gateway asks for one
    #[arg(long, env = "JWT_AUDIENCE")]
    jwt_audience: Option<String>,
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let Some(Keys::Secrets(secrets)) = options.secret.secrets()? else {
        return Err(ConfigError::NoSecret.into());
    };
    let Some(secret) = secrets.first() else { return Err(ConfigError::NoSecret.into()) };
    if options.tenant.is_some() && options.role != RoleClaim::Tenant {
        return Err("--tenant goes with --role tenant only".into());
    }
    // Claims count whole seconds.
    if options.expires.as_secs() == 0 {
        return Err("--expires must be at least 1s".into());
    }
    let expires = chrono::TimeDelta::from_std(options.expires).map_err(|_| "--expires is too far away")?;
    let ends = Clock::system().now().checked_add_signed(expires).ok_or("--expires is too far away")?;
    let claims = Claims {
        sub: options.subject.clone(),
        exp: ends.timestamp(),
        role: options.role,
        tenant_id: options.tenant,
        iss: options.jwt_issuer.clone(),
        aud: options.jwt_audience.clone().map(Into::into),
    };
    println!("{}", mint(secret, &claims)?);
    Ok(())
}
