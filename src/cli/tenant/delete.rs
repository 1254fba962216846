//! Commands that change a deletion: `delete`, `cancel` and `resume`.

use std::{
    io::{IsTerminal, Write},
    time::Duration,
};

use clap::Args;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Form, Means, Platform,
    desk::text,
    follow::{self, is_under_way},
    print,
};
use crate::{cli::Failure, config::duration};

#[derive(Debug, Args)]
pub(super) struct Delete {
    /// The tenant's id
    #[arg(value_name = "ID")]
    id: Uuid,
    /// The tenant's name, exactly, instead of asking for it
    #[arg(long, value_name = "NAME")]
    confirm_name: Option<String>,
    /// Erase although sessions or calls are active
    #[arg(long)]
    force: bool,
    /// Wait so long before erasing, such as 7d; it can be called off meanwhile [default: that of
    /// --deletion-grace]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    grace: Option<Duration>,
    /// Why; kept in the record
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// The plan digest of a preview: refuse if the plan is another one by now
    #[arg(long, value_name = "DIGEST")]
    plan_digest: Option<String>,
    #[command(flatten)]
    platform: Platform,
    #[command(flatten)]
    means: Means,
    #[command(flatten)]
    form: Form,
}

#[derive(Debug, Args)]
pub(super) struct Cancel {
    /// The deletion's id, or the tenant's
    #[arg(value_name = "ID")]
    id: Uuid,
    /// Why; kept in the record
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    platform: Platform,
    #[command(flatten)]
    form: Form,
}

#[derive(Debug, Args)]
pub(super) struct Resume {
    /// The deletion's id, or the tenant's
    #[arg(value_name = "ID")]
    id: Uuid,
    /// Go on although sessions or calls are active; where `OTHER_STORAGE` is in the way, with the storage given here
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    platform: Platform,
    #[command(flatten)]
    means: Means,
    #[command(flatten)]
    form: Form,
}

pub(super) async fn delete(options: &Delete) -> Result<(), Failure> {
    let grace = options.grace.map(|grace| i32::try_from(grace.as_millis().div_ceil(1_000))).transpose();
    let grace = grace.map_err(|_| "--grace must be at most ten years")?;
    let desk = options.platform.erase(&options.means.storage, &options.means.certificate).await?;
    let tenant = desk.preview(options.id).await?;
    let (name, plan_digest) = match &tenant {
        Some(tenant) => options.confirm(tenant)?,
        // There is no name to repeat: the answer is the deletion after which the tenant is gone.
        None => (String::new(), None),
    };
    let input = json!({
        "tenantId": options.id,
        "confirmName": name,
        "reason": options.reason,
        "force": options.force,
        "graceSeconds": grace,
        "planDigest": options.plan_digest.clone().or(plan_digest),
    });
    let asked = async { Ok(desk.change("deleteTenant", input).await?) };
    let is_immediate = grace.map_or(options.platform.erasure.grace().is_zero(), |seconds| seconds == 0);
    if is_immediate {
        return follow::see_through(&desk, asked, options.form).await;
    }
    let deletion = asked.await?;
    if is_under_way(&deletion, desk.now()) {
        // It had begun before.
        return follow::see_through(&desk, async { Ok(deletion) }, options.form).await;
    }
    follow::report(&deletion, options.form)
}

pub(super) async fn resume(options: &Resume) -> Result<(), Failure> {
    let desk = options.platform.erase(&options.means.storage, &options.means.certificate).await?;
    let deletion = desk.deletion(options.id).await?;
    if is_under_way(&deletion, desk.now()) {
        // It was interrupted, or another process works on it.
        return follow::see_through(&desk, async { Ok(deletion) }, options.form).await;
    }
    let input = json!({ "deletionId": deletion["id"], "force": options.force });
    let asked = async { Ok(desk.change("resumeTenantDeletion", input).await?) };
    follow::see_through(&desk, asked, options.form).await
}

pub(super) async fn cancel(options: &Cancel) -> Result<(), Failure> {
    let desk = options.platform.look().await?;
    let deletion = desk.deletion(options.id).await?;
    let input = json!({ "deletionId": deletion["id"], "reason": options.reason });
    let canceled = desk.change("cancelTenantDeletion", input).await?;
    options.form.show(&canceled, || {
        let (id, tenant) = (text(&canceled["id"]), text(&canceled["tenantId"]));
        format!("deletion {id} is canceled; the tenant {tenant} stays as it is\n")
    });
    Ok(())
}

impl Delete {
    /// Shows what would go. Returns the name that is given as proof that this tenant is meant and, where
    /// somebody has looked before giving it, the digest of the plan that was shown.
    fn confirm(&self, tenant: &Value) -> Result<(String, Option<String>), Failure> {
        let line = print::preview_line(tenant);
        if let Some(name) = &self.confirm_name {
            if !self.form.json {
                println!("{line}");
            }
            return Ok((name.clone(), None));
        }
        if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
            return Err("this is no terminal to ask for the tenant's name; pass --confirm-name NAME".into());
        }
        let preview = &tenant["deletionPreview"];
        eprintln!("{line}\n{}", print::gaps(preview));
        let gaps = preview["gaps"].as_array().map_or(0, Vec::len);
        if gaps > 0 {
            // Nothing overrides these: there is no point in asking.
            return Err(format!("PLAN_INCOMPLETE: close the {gaps} gap(s) above, then ask again").into());
        }
        eprint!("This is permanent. Type the tenant's name to erase it: ");
        std::io::stderr().flush()?;
        let mut name = String::new();
        std::io::stdin().read_line(&mut name)?;
        Ok((name.trim_end_matches(['\r', '\n']).to_owned(), Some(text(&preview["planDigest"]))))
    }
}
