//! `TenantConnection`: tenants page by page.

use std::sync::Arc;

use async_graphql::{Context, Enum, InputObject, Object, SimpleObject};
use tokio::sync::OnceCell;

use super::{
    error::Fault,
    loaders::TenantPage,
    page::PageInfo,
    quota::QuotaState,
    request::parts,
    stats::int,
    tenant::{TenantNode, TenantStatus},
};
use crate::{
    paging::{Counts, Cursor, Slice},
    tenant::{Criteria, OrderField, Tenant},
};

/// Which way a list is sorted. Rows without a value come last either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum SortDirection {
    /// Smallest, earliest, or first in the alphabet, first.
    Asc,
    /// Largest, latest, or last in the alphabet, first.
    Desc,
}

/// What tenants are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "OrderField")]
pub enum TenantOrderField {
    /// The name, by code point.
    Name,
    /// When the tenant was created.
    CreatedAt,
    /// Used calls as a share of the monthly limit; tenants without a limit come last.
    CallsUsedRatio,
    /// What the present month's calls cost.
    MonthlyUsageCents,
    /// Start of the latest call; tenants without a call come last.
    LastCallAt,
}

/// How tenants are sorted.
#[derive(Clone, Copy, Debug, InputObject)]
pub struct TenantOrder {
    /// What to sort by.
    pub(super) field: TenantOrderField,
    /// Which way.
    pub(super) direction: SortDirection,
}

/// Which tenants to list. All conditions hold; none given: every tenant the viewer may see.
#[derive(Clone, Debug, Default, InputObject)]
pub struct TenantFilter {
    /// Part of the name, ignoring case (on SQLite that of A to Z only).
    pub(super) name_contains: Option<String>,
    /// Any of these statuses.
    pub(super) status: Option<Vec<TenantStatus>>,
    /// Any of these states of the monthly limit.
    pub(super) quota_state: Option<Vec<QuotaState>>,
}

/// One page of tenants.
#[derive(Debug)]
pub struct TenantConnection {
    pub(super) criteria: Criteria,
    pub(super) slice: Slice,
    pub(super) found: Arc<TenantPage>,
    pub(super) counts: OnceCell<Result<Counts, Fault>>,
}

/// One tenant in a list, and its place there.
#[derive(Clone, Debug, SimpleObject)]
pub struct TenantEdge {
    /// The tenant.
    node: TenantNode,
    /// Its place: pass it as `after` or `before`.
    cursor: String,
}

impl TenantConnection {
    /// Counted at most once, and only when asked for.
    async fn counts(&self, context: &Context<'_>) -> Result<Counts, Fault> {
        let count = || async {
            let first = self.found.page.edges.first().map(|(cursor, _)| cursor);
            let after = self.slice.after.as_ref();
            Ok(self.criteria.counts(&parts(context).database, first, after, self.found.as_of).await?)
        };
        self.counts.get_or_init(count).await.clone()
    }
}

/// One page of tenants.
#[Object]
impl TenantConnection {
    /// The tenants of the page with their places in the list.
    async fn edges(&self) -> Vec<TenantEdge> {
        let edge = |(cursor, tenant): &(Cursor, Tenant)| TenantEdge {
            node: tenant.clone().into(),
            cursor: cursor.encode(),
        };
        self.found.page.edges.iter().map(edge).collect()
    }

    /// The tenants of the page.
    async fn nodes(&self) -> Vec<TenantNode> {
        self.found.page.edges.iter().map(|(_, tenant)| tenant.clone().into()).collect()
    }

    /// Where the page stands in the list.
    async fn page_info(&self, context: &Context<'_>) -> async_graphql::Result<PageInfo> {
        let known = PageInfo::of(&self.slice, &self.found.page);
        Ok(if known.needs_counts(context) { known.counted(self.counts(context).await?) } else { known })
    }

    /// How many tenants match the filter, on all pages together.
    async fn total_count(&self, context: &Context<'_>) -> async_graphql::Result<i32> {
        Ok(int(self.counts(context).await?.total, "totalCount")?)
    }
}
