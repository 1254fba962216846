//! Commands that only look: `stats`, `preview` and `status`.

use clap::Args;
use serde_json::Value;
use uuid::Uuid;

use super::{Form, Platform, desk::no_tenant, print};
use crate::cli::Failure;

#[derive(Debug, Args)]
pub(super) struct Tenant {
    /// The tenant's id
    #[arg(value_name = "ID")]
    id: Uuid,
    #[command(flatten)]
    platform: Platform,
    #[command(flatten)]
    form: Form,
}

#[derive(Debug, Args)]
pub(super) struct Record {
    /// The deletion's id, or the tenant's
    #[arg(value_name = "ID")]
    id: Uuid,
    #[command(flatten)]
    platform: Platform,
    #[command(flatten)]
    form: Form,
}

pub(super) async fn stats(options: &Tenant) -> Result<(), Failure> {
    let tenant = options.platform.look().await?.stats(options.id).await?;
    options.form.show(&tenant["stats"], || print::stats(&tenant));
    Ok(())
}

pub(super) async fn preview(options: &Tenant) -> Result<(), Failure> {
    let tenant = options.platform.look().await?.preview(options.id).await?;
    let tenant = tenant.ok_or_else(|| no_tenant(options.id))?;
    options.form.show(&tenant["deletionPreview"], || print::preview(&tenant));
    Ok(())
}

pub(super) async fn status(options: &Record) -> Result<(), Failure> {
    let deletion = options.platform.look().await?.deletion(options.id).await?;
    options.form.show(&deletion, || print::deletion(&deletion));
    Ok(())
}

impl Form {
    /// Prints an answer.
    pub(super) fn show(self, answer: &Value, for_people: impl FnOnce() -> String) {
        if self.json {
            println!("{answer:#}");
        } else {
            print!("{}", for_people());
        }
    }
}
