//! `certificate`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Form, Platform,
    desk::text,
    print::{self, pairs},
    trust::{Trust, TrustOptions},
};
use crate::{
    cli::Failure,
    deletion::certificate::{Certificate, Facts, Proof, Verdict, VerifyError},
};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// A certificate's file; or the deletion's id, or the tenant's
    #[arg(value_name = "ID|FILE")]
    what: String,
    /// Verify it, and say what it proves
    #[arg(long)]
    verify: bool,
    /// Write the certificate to this file, instead of standard output
    #[arg(long, value_name = "FILE", conflicts_with = "verify")]
    output: Option<PathBuf>,
    #[command(flatten)]
    trust: TrustOptions,
    #[command(flatten)]
    platform: Platform,
    #[command(flatten)]
    form: Form,
}

pub(super) async fn run(options: &Options) -> Result<(), Failure> {
    let trust = options.trust.keys()?;
    let file = options.file(&trust).await?;
    if options.verify {
        return tell(trust.verify(&file), options.form);
    }
    let (certificate, _) = Certificate::from_file(&file).map_err(|error| refused(&error))?;
    let told = if options.form.json { format!("{:#}\n", as_api(&certificate)) } else { file };
    if let Some(path) = &options.output {
        return std::fs::write(path, told)
            .map_err(|error| format!("{} cannot be written: {error}", path.display()).into());
    }
    print!("{told}");
    Ok(())
}

impl Options {
    /// The certificate's file form, from a file or of a deletion's record.
    async fn file(&self, trust: &Trust) -> Result<String, Failure> {
        let path = Path::new(&self.what);
        if path.exists() {
            return std::fs::read_to_string(path)
                .map_err(|error| format!("{} cannot be read: {error}", path.display()).into());
        }
        let id: Uuid = self.what.parse().map_err(|_| {
            format!(
                "'{}' is neither a file nor an id: pass a certificate's FILE, or the ID of a deletion or \
                 a tenant",
                self.what
            )
        })?;
        let deletion = self.platform.look().await?.deletion(id).await?;
        let told = &deletion["certificate"];
        if told.is_null() {
            let (id, status) = (text(&deletion["id"]), text(&deletion["status"]));
            return Err(format!("the deletion {id} has no certificate: it is {status}").into());
        }
        let certificate = Certificate {
            document: text(&told["document"]),
            sha256: text(&told["sha256"]),
            signature: told["signature"].as_str().map(str::to_owned),
            key_id: told["keyId"].as_str().map(str::to_owned),
        };
        // What is not of this deletion proves nothing of it.
        let facts = Facts::read(&certificate.document).map_err(|error| refused(&VerifyError::from(error)))?;
        if [json!(facts.deletion), json!(facts.tenant)]
            != [deletion["id"].clone(), deletion["tenantId"].clone()]
        {
            return Err(format!(
                "the record {} holds the certificate of another deletion",
                text(&deletion["id"])
            )
            .into());
        }
        let key = trust.key(certificate.key_id.as_deref());
        Ok(certificate.to_file(key))
    }
}

/// Says what a certificate proves, or fails with the reason why it does not hold.
fn tell(verdict: Result<Verdict, VerifyError>, form: Form) -> Result<(), Failure> {
    match verdict {
        Ok(verdict) => {
            form.show(&as_json(&verdict), || summary(&verdict));
            Ok(())
        }
        Err(error) => {
            if form.json {
                println!(
                    "{:#}",
                    json!({ "holds": false, "code": error.code(), "message": error.to_string() })
                );
            }
            Err(refused(&error))
        }
    }
}

fn refused(error: &VerifyError) -> Failure {
    format!("{}: {error}", error.code()).into()
}

/// As the API's type `DeletionCertificate`.
fn as_api(certificate: &Certificate) -> Value {
    json!({
        "document": certificate.document,
        "sha256": certificate.sha256,
        "signature": certificate.signature,
        "keyId": certificate.key_id,
    })
}

fn as_json(verdict: &Verdict) -> Value {
    let proof = match verdict.proof {
        Proof::TrustedKey => "TRUSTED_KEY",
        Proof::KeyInFile => "KEY_IN_FILE",
    };
    let document = crate::deletion::certificate::document(&verdict.facts);
    let facts: Value = serde_json::from_str(&document).unwrap_or_default();
    json!({ "holds": true, "proof": proof, "keyId": verdict.key_id, "facts": facts })
}

fn summary(verdict: &Verdict) -> String {
    let facts = &verdict.facts;
    let rows: i64 = facts.tables.iter().map(|(_, rows)| rows).sum();
    let instant = entity::timestamp::text;
    let mut told = vec![
        ("tenant", facts.tenant.to_string()),
        ("deletion", facts.deletion.to_string()),
        ("requested", instant(facts.requested_at)),
        ("began", instant(facts.started_at)),
        ("nothing remained", instant(facts.finished_at)),
        ("rows", format!("{} of {} table(s)", print::count(&json!(rows)), facts.tables.len())),
        ("in storage", print::objects(&json!(facts.objects), &json!(facts.bytes))),
        ("plan digest", facts.plan_digest.clone()),
    ];
    if let Some(month) = &facts.final_month {
        let (calls, cents) = (print::count(&json!(month.calls)), print::count(&json!(month.usage_cents)));
        told.push((
            "last month",
            format!("{} in {}: {calls} call(s), {cents} cents", month.month, month.time_zone),
        ));
    }
    if let Some(earlier) = facts.replay_of {
        told.push(("again after", earlier.to_string()));
    }
    format!("The certificate holds, {} ({}).\n\n{}", verdict.proof, verdict.key_id, pairs(&told))
}
