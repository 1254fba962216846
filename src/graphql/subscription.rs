//! The root of every subscription: reads that are repeated while somebody listens.

use std::time::Duration;

use async_graphql::{Context, ID, Subscription};
use futures_util::{Stream, StreamExt, stream};
use tokio::{sync::watch::Receiver, time::Instant};
use uuid::Uuid;

use super::{
    deletion::TenantDeletion,
    error::{Code, Fault},
    request::{parts, uuid, viewer},
    stats::TenantStats,
    watch::{Seen, Sight, Watcher},
};
use crate::{
    auth::{Action, Viewer},
    clock::Clock,
    deletion::{Deletion, Status},
    usage::Stats,
};

/// Shortest time between two answers; as often it is looked at whether the token has ended.
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
        if !viewer(context).may(Action::ReadTenant(tenant)) {
            return Err(hidden("tenant").into());
        }
        let follower = Follower::<Stats>::new(context, tenant).await?.ok_or_else(|| hidden("tenant"))?;
        Ok(stream::unfold(follower, Follower::next)
            .map(move |stats| Ok(TenantStats::new(tenant.into(), &stats?)?)))
    }

    /// A deletion's record: now, and again whenever it has changed. Completes after `DELETED` or
    /// `CANCELED`.
    async fn tenant_deletion(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The deletion's id.")] id: ID,
    ) -> async_graphql::Result<impl Stream<Item = Streamed<TenantDeletion>>> {
        let id = uuid(&id, "id")?;
        let viewer = viewer(context);
        let follower = Follower::<Deletion>::new(context, id).await?;
        let follower = follower.filter(|follower| {
            let deletion = follower.next.as_ref().and_then(|next| next.as_ref().ok());
            deletion.is_some_and(|deletion| viewer.may(Action::ReadTenant(deletion.tenant)))
        });
        let follower = follower.ok_or_else(|| hidden("deletion"))?;
        Ok(stream::unfold(follower, async |follower| {
            let last = follower.last.what.as_ref().ok().and_then(Option::as_ref);
            if follower.next.is_none() && last.is_some_and(has_ended) {
                return None;
            }
            let (deletion, follower) = follower.next().await?;
            Some((deletion.map(TenantDeletion).map_err(Into::into), follower))
        }))
    }
}

fn has_ended(deletion: &Deletion) -> bool {
    matches!(deletion.status, Status::Deleted | Status::Canceled)
}

/// What is not there and what may not be seen are told alike.
fn hidden(what: &str) -> Fault {
    Fault::new(Code::BadUserInput, format!("there is no {what} of this id that the token may see"))
}

/// Who listens, and to what.
struct Follower<T> {
    viewer: Viewer,
    clock: Clock,
    news: Receiver<Seen<T>>,
    /// What the listener knows, or is about to be told.
    last: Seen<T>,
    /// What it has not been told.
    next: Option<Result<T, Fault>>,
    /// From when on it may be told again.
    rested: Instant,
}

impl<T: Sight> Follower<T> {
    /// None where there is nothing to follow.
    async fn new(context: &Context<'_>, id: Uuid) -> Result<Option<Self>, Fault> {
        let watcher = context.data_unchecked::<Watcher<T>>();
        let now = watcher.look(id).await;
        let Some(what) = now.what.clone()? else { return Ok(None) };
        Ok(Some(Self {
            viewer: viewer(context).clone(),
            clock: parts(context).clock.clone(),
            news: watcher.follow(id, now.clone()),
            next: Some(Ok(what)),
            last: now,
            rested: Instant::now(),
        }))
    }

    /// The next thing to tell, or why there is none for now; nothing when it is gone, or the token has ended.
    async fn next(mut self) -> Option<(Result<T, Fault>, Self)> {
        loop {
            if self.viewer.expires_at <= self.clock.now() {
                return None;
            }
            if self.next.is_some() {
                // Another may have begun to follow meanwhile, and made the watcher tell in between.
                tokio::time::sleep_until(self.rested).await;
            }
            if let Some(next) = self.next.take() {
                self.rested = Instant::now() + PAUSE;
                return Some((next, self));
            }
            // Whether the token has ended is looked at as often as what is followed.
            match tokio::time::timeout(PAUSE, self.news.changed()).await {
                Err(_) => {}
                Ok(Err(_)) => return None,
                Ok(Ok(())) => {
                    let seen = self.news.borrow_and_update().clone();
                    // What the watcher saw before this listener came is no news.
                    if seen.is_news_after(&self.last) {
                        self.next = Some(seen.what.clone().transpose()?);
                        self.last = seen;
                    }
                }
            }
        }
    }
}
