//! `TenantDeletionConnection`: deletions page by page, newest first.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use tokio::sync::OnceCell;

use super::{
    deletion::{TenantDeletion, TenantDeletionStatus},
    error::Fault,
    page::PageInfo,
    request::parts,
    stats::int,
};
use crate::{
    deletion::{Criteria, Deletion},
    paging::{Counts, Cursor, Page, Slice},
};

/// Which deletions to list. All conditions hold; none given: every one the viewer may see.
#[derive(Clone, Debug, Default, InputObject)]
pub struct TenantDeletionFilter {
    /// Of this tenant.
    pub(super) tenant_id: Option<ID>,
    /// In any of these states.
    pub(super) status: Option<Vec<TenantDeletionStatus>>,
}

/// One page of deletions, newest first.
#[derive(Debug)]
pub struct TenantDeletionConnection {
    pub(super) criteria: Criteria,
    pub(super) slice: Slice,
    pub(super) page: Page<Deletion>,
    pub(super) counts: OnceCell<Result<Counts, Fault>>,
}

/// One deletion in a list, and its place there.
#[derive(Clone, Debug, SimpleObject)]
pub struct TenantDeletionEdge {
    /// The deletion.
    node: TenantDeletion,
    /// Its place: pass it as `after` or `before`.
    cursor: String,
}

impl TenantDeletionConnection {
    /// Counted at most once, and only when asked for.
    async fn counts(&self, context: &Context<'_>) -> Result<Counts, Fault> {
        let count = || async {
            let first = self.page.edges.first().map(|(cursor, _)| cursor);
            Ok(self.criteria.counts(&parts(context).database, first, self.slice.after.as_ref()).await??)
        };
        self.counts.get_or_init(count).await.clone()
    }
}

/// One page of deletions, newest first.
#[Object]
impl TenantDeletionConnection {
    /// The deletions of the page with their places in the list.
    async fn edges(&self) -> Vec<TenantDeletionEdge> {
        let edge = |(cursor, deletion): &(Cursor, Deletion)| TenantDeletionEdge {
            node: TenantDeletion(deletion.clone()),
            cursor: cursor.encode(),
        };
        self.page.edges.iter().map(edge).collect()
    }

    /// The deletions of the page.
    async fn nodes(&self) -> Vec<TenantDeletion> {
        self.page.edges.iter().map(|(_, deletion)| TenantDeletion(deletion.clone())).collect()
    }

    /// Where the page stands in the list.
    async fn page_info(&self, context: &Context<'_>) -> async_graphql::Result<PageInfo> {
        let known = PageInfo::of(&self.slice, &self.page);
        Ok(if known.needs_counts(context) { known.counted(self.counts(context).await?) } else { known })
    }

    /// How many deletions match the filter, on all pages together.
    async fn total_count(&self, context: &Context<'_>) -> async_graphql::Result<i32> {
        Ok(int(self.counts(context).await?.total, "totalCount")?)
    }
}
