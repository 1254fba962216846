//! `replay`: a restored backup brings tenants back; their certificates take them away again.

use std::collections::BTreeMap;

use clap::Args;
use futures_util::{StreamExt, future::try_join_all, stream};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Form, Platform,
    desk::{Desk, SUBJECT, text},
    follow::{Hands, blocked},
    print,
    trust::{Trust, TrustOptions},
};
use crate::{
    cli::Failure,
    config::StorageOptions,
    deletion::{
        self, Deletions, Request, Status,
        certificate::{Certificate, Facts, STORAGE_PREFIX, VerifyError, storage_key},
    },
    storage::Storage,
};

/// Certificates that are read at the same time.
const READERS: usize = 16;
/// Tenants that are looked for at the same time.
const LOOKED_FOR: usize = 100;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Address of the object storage with the certificates, as in --storage-url
    #[arg(long, value_name = "URL")]
    from: String,
    /// List what would be erased, and erase nothing
    #[arg(long)]
    dry_run: bool,
    /// Believe certificates without a signature too: anybody who can write to the storage can have written them
    #[arg(long)]
    unsigned: bool,
    /// Erase also tenants that were created after the deletion had ended: a backup has not brought those back,
    /// somebody has given an id again
    #[arg(long)]
    include_recreated: bool,
    #[command(flatten)]
    trust: TrustOptions,
    #[command(flatten)]
    platform: Platform,
    #[command(flatten)]
    storage: StorageOptions,
    #[command(flatten)]
    form: Form,
}

/// What is known of a tenant that has come back.
struct Returned {
    tenant: Uuid,
    name: String,
    /// The deletion after which it was gone.
    deletion: Uuid,
}

/// What came of it all.
#[derive(Default)]
struct Outcome {
    certificates: usize,
    gone: usize,
    found: Vec<Returned>,
    /// Made anew after they were gone, and kept.
    recreated: Vec<Returned>,
    erased: Vec<Value>,
    not_believed: Vec<Value>,
    failed: Vec<Value>,
}

pub(super) async fn run(options: &Options) -> Result<(), Failure> {
    let trust = options.trust.keys()?;
    if trust.is_empty() && !options.unsigned {
        return Err("no key tells which certificates are the gateway's: pass --trusted-key FILE or \
             --certificate-key-file FILE; or --unsigned, to believe whoever can write to the storage"
            .into());
    }
    let desk = if options.dry_run {
        options.platform.look().await?
    } else {
        options.platform.erase(&options.storage, &options.trust.certificate).await?
    };
    let mut outcome = Outcome::default();
    let gone = options.read(&trust, &mut outcome).await?;
    outcome.look_for(&desk, gone, options.include_recreated).await?;
    if !options.dry_run {
        options.erase(&desk, &mut outcome).await?;
    }
    outcome.tell(options)
}

impl Options {
    /// The tenants that are said to be gone, each by its newest certificate.
    async fn read(&self, trust: &Trust, outcome: &mut Outcome) -> Result<BTreeMap<Uuid, Facts>, Failure> {
        let source = Storage::open_existing(&self.from)?;
        let keys = source.list(STORAGE_PREFIX, usize::MAX).await?;
        let mut read = stream::iter(keys)
            .map(async |(key, _)| (self.believe(trust, &key, source.get(&key).await), key))
            .buffer_unordered(READERS);
        let mut newest = BTreeMap::<Uuid, Facts>::new();
        while let Some((believed, key)) = read.next().await {
            match believed {
                Ok(facts) => {
                    outcome.certificates += 1;
                    let known = newest.get(&facts.tenant).map(|known| known.finished_at);
                    if known.is_none_or(|known| known < facts.finished_at) {
                        newest.insert(facts.tenant, facts);
                    }
                }
                Err((code, message)) => {
                    eprintln!("not believed: {key}: {code}: {message}");
                    outcome.not_believed.push(json!({ "key": key, "code": code, "message": message }));
                }
            }
        }
        Ok(newest)
    }

    /// What a certificate says, or code and reason why it is not believed.
    fn believe(
        &self,
        trust: &Trust,
        key: &str,
        file: Result<Option<Vec<u8>>, crate::storage::Error>,
    ) -> Result<Facts, (&'static str, String)> {
        let file = file.map_err(|error| ("STORAGE_FAILED", error.to_string()))?.unwrap_or_default();
        let refused = |error: VerifyError| (error.code(), error.to_string());
        let file = String::from_utf8(file)
            .map_err(|_| refused(VerifyError::NotACertificate("it is no text".to_owned())))?;
        let facts = match trust.verify(&file) {
            // Everything else about it has been found right by then.
            Err(VerifyError::NotSigned) if self.unsigned => Certificate::from_file(&file)
                .and_then(|(certificate, _)| Ok(Facts::read(&certificate.document)?)),
            verdict => verdict.map(|verdict| verdict.facts),
        };
        let facts = facts.map_err(refused)?;
        if storage_key(facts.tenant, facts.deletion) == key {
            Ok(facts)
        } else {
            Err(("MISPLACED", "it is the certificate of another deletion than its key says".to_owned()))
        }
    }

    /// Erases the tenants that were found, one after the other.
    async fn erase(&self, desk: &Desk, outcome: &mut Outcome) -> Result<(), Failure> {
        if outcome.found.is_empty() {
            return Ok(());
        }
        let hands = Hands::begin(desk)?;
        let deletions = desk.app.deletions();
        let (found, erased, failed) = (&outcome.found, &mut outcome.erased, &mut outcome.failed);
        let work = async {
            for tenant in found {
                match tenant.erase(desk, &hands, &deletions).await? {
                    Ok(deletion) => {
                        if !self.form.json {
                            print!("{} ({}): {}", tenant.name, tenant.tenant, print::ended(&deletion));
                        }
                        erased.push(deletion);
                    }
                    Err(message) => {
                        eprintln!("not erased: {}: {message}", tenant.tenant);
                        failed.push(json!({ "tenantId": tenant.tenant, "message": message }));
                    }
                }
            }
            Ok(())
        };
        let ended = hands.unless_interrupted(work).await;
        hands.end().await?;
        ended
    }
}

impl Returned {
    /// Returns its deletion, or why this one tenant was not erased.
    async fn erase(
        &self,
        desk: &Desk,
        hands: &Hands,
        deletions: &Deletions,
    ) -> Result<Result<Value, String>, Failure> {
        let request = Request {
            tenant: self.tenant,
            confirm_name: self.name.clone(),
            reason: None,
            force: true,
            grace_seconds: Some(0),
            export: None,
            plan_digest: None,
            idempotency_key: None,
            replay_of: Some(self.deletion),
        };
        let ask = async || match deletions.delete(&request, SUBJECT).await {
            Ok(deletion) => Ok(Ok(deletion)),
            Err(deletion::Error::Refused(refusal)) => Ok(Err(refusal.to_string())),
            Err(deletion::Error::Database(error)) => Err(error),
        };
        let mut asked = ask().await?;
        // The backup may hold a deletion that has not ended, as it was then.
        if let Ok(open) = &asked
            && open.is_cancelable()
        {
            let _ =
                deletions.cancel(open.id, Some("replaced: the tenant was erased after this backup")).await?;
            asked = ask().await?;
        }
        let deletion = match asked {
            Ok(deletion) => deletion,
            Err(message) => return Ok(Err(message)),
        };
        if deletion.status == Status::Blocked {
            let _ = deletions.resume(deletion.id, true).await?;
        }
        let deletion = desk.deletion_now(&deletion.id.to_string()).await?;
        let deletion = hands.follow(desk, deletion).await?;
        match deletion["status"].as_str() {
            Some("DELETED") => Ok(Ok(deletion)),
            Some("BLOCKED") => Ok(Err(blocked(&deletion).to_string())),
            _ => Ok(Err(format!("its deletion is {}", text(&deletion["status"])))),
        }
    }
}

impl Outcome {
    /// Sorts the tenants into those that are gone, those that are back and those that are others.
    async fn look_for(
        &mut self,
        desk: &Desk,
        gone: BTreeMap<Uuid, Facts>,
        include_recreated: bool,
    ) -> Result<(), Failure> {
        let gone: Vec<_> = gone.into_values().collect();
        for some in gone.chunks(LOOKED_FOR) {
            let there = try_join_all(some.iter().map(|facts| desk.existence(facts.tenant))).await?;
            for (facts, there) in some.iter().zip(there) {
                let Some((name, created_at)) = there else {
                    self.gone += 1;
                    continue;
                };
                let returned = Returned { tenant: facts.tenant, name, deletion: facts.deletion };
                if created_at > facts.finished_at && !include_recreated {
                    eprintln!(
                        "kept: {} ({}) was created at {}, after deletion {} had ended; --include-recreated erases it",
                        returned.name,
                        returned.tenant,
                        entity::timestamp::text(created_at),
                        returned.deletion
                    );
                    self.recreated.push(returned);
                } else {
                    self.found.push(returned);
                }
            }
        }
        Ok(())
    }

    fn tell(&self, options: &Options) -> Result<(), Failure> {
        let found = |returned: &Returned| json!({ "tenantId": returned.tenant, "name": returned.name, "replayOf": returned.deletion });
        let whole = json!({
            "certificates": self.certificates,
            "gone": self.gone,
            "found": self.found.iter().map(found).collect::<Vec<_>>(),
            "recreated": self.recreated.iter().map(found).collect::<Vec<_>>(),
            "erased": self.erased,
            "notBelieved": self.not_believed,
            "failed": self.failed,
        });
        options.form.show(&whole, || {
            let back = self.found.iter().map(|Returned { tenant, name, deletion }| {
                format!("{name} ({tenant}) is back after deletion {deletion}\n")
            });
            let back: String = if options.dry_run { back.collect() } else { String::new() };
            let counts = [self.certificates, self.gone, self.found.len(), self.erased.len()];
            let [certificates, gone, found, erased] = counts;
            let kept = match self.recreated.len() {
                0 => String::new(),
                kept => format!(", {kept} created anew and kept"),
            };
            format!(
                "{back}{certificates} certificate(s): {gone} tenant(s) gone, {found} back, {erased} erased again{kept}\n"
            )
        });
        match (self.not_believed.len(), self.failed.len()) {
            (0, 0) => Ok(()),
            (files, tenants) => {
                Err(format!("{files} certificate(s) were not believed, {tenants} tenant(s) were not erased")
                    .into())
            }
        }
    }
}
