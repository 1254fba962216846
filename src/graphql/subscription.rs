//! The root of every subscription: reads that are repeated while somebody listens.

use std::time::Duration;

use async_graphql::{Context, ID, Subscription};
use futures_util::{Stream, stream};
use uuid::Uuid;

use super::{
    deletion::TenantDeletion,
    error::{Code, Fault},
    request::{Parts, parts, uuid, viewer},
    stats::TenantStats,
};
use crate::{
    auth::{Action, Viewer},
    deletion::{self, Deletion, Status},
    usage::{self, Stats},
};

/// Between two looks at the database.
const PAUSE: Duration = Duration::from_secs(1);

type Streamed<T> = async_graphql::Result<T>;

/// Streams. Each begins with what is there now and goes on until the token ends.
#[derive(Clone, Copy, Debug)]
pub struct Subscription;

/// Streams. Each begins with what is there now and goes on until the token ends.
#[Subscription]
impl Subscription {
    /// A tenant's figures: now, and again whenever they have changed, at most once a second.
    /// Completes when the tenant is gone.
    async fn tenant_stats(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The tenant's id.")] tenant_id: ID,
    ) -> async_graphql::Result<impl Stream<Item = Streamed<TenantStats>>> {
        let tenant = uuid(&tenant_id, "tenantId")?;
        let watch = Watch::new(context);
        if !watch.viewer.may(Action::ReadTenant(tenant)) || watch.figures(tenant).await?.is_none() {
            return Err(hidden("tenant").into());
        }
        Ok(stream::unfold((watch, None), move |(watch, last)| next_stats(watch, last, tenant)))
    }

    /// A deletion's record: now, and again whenever it has changed. Completes after `DELETED` or
    /// `CANCELED`.
    async fn tenant_deletion(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The deletion's id.")] id: ID,
    ) -> async_graphql::Result<impl Stream<Item = Streamed<TenantDeletion>>> {
        let id = uuid(&id, "id")?;
        let watch = Watch::new(context);
        if watch.deletion(id).await?.is_none() {
            return Err(hidden("deletion").into());
        }
        Ok(stream::unfold((watch, None), move |(watch, last)| next_deletion(watch, last, id)))
    }
}

/// What is not there and what may not be seen are told alike.
fn hidden(what: &str) -> Fault {
    Fault::new(Code::BadUserInput, format!("there is no {what} of this id that the token may see"))
}

/// Who listens, and what is needed to look again.
struct Watch {
    parts: Parts,
    viewer: Viewer,
}

impl Watch {
    fn new(context: &Context<'_>) -> Self {
        Self { parts: parts(context).clone(), viewer: viewer(context).clone() }
    }

    fn is_over(&self) -> bool {
        self.viewer.expires_at <= self.parts.clock.now()
    }

    async fn figures(&self, tenant: Uuid) -> Result<Option<Stats>, Fault> {
        let Some(reading) = self.parts.reader.read(&[tenant]).await?.remove(&tenant) else { return Ok(None) };
        match reading.stats {
            Some(stats) => Ok(Some(stats)),
            None => Err(usage::Error::UnknownZone(reading.tenant.time_zone).into()),
        }
    }

    async fn deletion(&self, id: Uuid) -> Result<Option<Deletion>, Fault> {
        let found = deletion::by_ids(&self.parts.database, &[id]).await?.pop();
        Ok(found.filter(|deletion| self.viewer.may(Action::ReadTenant(deletion.tenant))))
    }
}

async fn next_stats(
    watch: Watch,
    last: Option<Stats>,
    tenant: Uuid,
) -> Option<(Streamed<TenantStats>, (Watch, Option<Stats>))> {
    loop {
        if watch.is_over() {
            return None;
        }
        match watch.figures(tenant).await {
            Ok(Some(stats)) => {
                let same =
                    last.as_ref().is_some_and(|last| Stats { as_of: stats.as_of, ..last.clone() } == stats);
                if !same {
                    let shown = TenantStats::new(tenant.into(), &stats).map_err(Into::into);
                    return Some((shown, (watch, Some(stats))));
                }
            }
            Ok(None) => return None,
            // One failed look is no change; the next may succeed.
            Err(_) => tracing::warn!(%tenant, "a look at a subscribed tenant failed"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn next_deletion(
    watch: Watch,
    last: Option<Deletion>,
    id: Uuid,
) -> Option<(Streamed<TenantDeletion>, (Watch, Option<Deletion>))> {
    if last.as_ref().is_some_and(|last| matches!(last.status, Status::Deleted | Status::Canceled)) {
        return None;
    }
    loop {
        if watch.is_over() {
            return None;
        }
        match watch.deletion(id).await {
            Ok(Some(deletion)) if last.as_ref() != Some(&deletion) => {
                return Some((Ok(TenantDeletion(deletion.clone())), (watch, Some(deletion))));
            }
            Ok(Some(_)) => {}
            Ok(None) => return None,
            Err(_) => tracing::warn!(deletion = %id, "a look at a subscribed deletion failed"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}
