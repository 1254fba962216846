//! The root of every subscription: reads that are repeated while somebody listens.

use std::time::Duration;

use async_graphql::{Context, ID, Subscription};
use futures_util::{Stream, stream};
use tokio::sync::watch::Receiver;
use uuid::Uuid;

use super::{
    deletion::TenantDeletion,
    error::{Code, Fault},
    request::{Parts, parts, uuid, viewer},
    stats::TenantStats,
    watch::{Seen, Watcher, as_of, differ},
};
use crate::{
    auth::{Action, Viewer},
    deletion::{self, Deletion, Status},
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
        let watcher = context.data_unchecked::<Watcher>();
        let may = viewer(context).may(Action::ReadTenant(tenant));
        let now = if may { watcher.look(tenant).await? } else { None };
        let Some(now) = now else { return Err(hidden("tenant").into()) };
        let news = watcher.follow(tenant, Some(now.clone()));
        let follower = Follower { watch: Watch::new(context), tenant, news, last: None, next: Some(now) };
        Ok(stream::unfold(follower, Follower::next))
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

    async fn deletion(&self, id: Uuid) -> Result<Option<Deletion>, Fault> {
        let found = deletion::by_ids(&self.parts.database, &[id]).await?.pop();
        Ok(found.filter(|deletion| self.viewer.may(Action::ReadTenant(deletion.tenant))))
    }
}

/// Who listens to a tenant's figures.
struct Follower {
    watch: Watch,
    tenant: Uuid,
    news: Receiver<Seen>,
    /// What the listener knows.
    last: Seen,
    /// What it has not been told.
    next: Seen,
}

impl Follower {
    async fn next(mut self) -> Option<(Streamed<TenantStats>, Self)> {
        loop {
            if self.watch.is_over() {
                return None;
            }
            if let Some(stats) = self.next.take() {
                let shown = TenantStats::new(self.tenant.into(), &stats).map_err(Into::into);
                self.last = Some(stats);
                return Some((shown, self));
            }
            // Whether the token has ended is looked at as often as the tenant.
            match tokio::time::timeout(PAUSE, self.news.changed()).await {
                Err(_) => {}
                Ok(Err(_)) => return None,
                Ok(Ok(())) => {
                    let seen = self.news.borrow_and_update().clone();
                    seen.as_ref()?;
                    // What the watcher saw before this listener came is no news.
                    if as_of(&self.last) <= as_of(&seen) && differ(&self.last, &seen) {
                        self.next = seen;
                    }
                }
            }
        }
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
