//! `Tenant`.

use async_graphql::{Context, Enum, ID, Object};

use super::{
    deletion::TenantDeletion,
    error::Fault,
    preview::DeletionPreview,
    quota::TenantQuota,
    request::{loaders, parts, require},
    scalar::{Date, DateTime},
    stats::TenantStats,
    usage::{TenantUsage, UsageGranularity},
};
use crate::{
    auth::Action,
    deletion,
    tenant::{Status, Tenant},
    usage::{Quota, SeriesRequest, Stats, Subject, Zone},
};

/// Whether a tenant works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "Status")]
pub enum TenantStatus {
    /// It works.
    Active,
    /// It is set aside, by choice: the soft alternative to a deletion.
    Inactive,
    /// The platform has stopped it.
    Suspended,
    /// It is being erased.
    Deleting,
}

/// A customer organisation.
#[derive(Clone, Debug)]
pub struct TenantNode(pub(super) Tenant);

impl TenantNode {
    fn subject(&self) -> Result<Subject, Fault> {
        Ok(Subject { tenant: self.0.id, zone: Zone::named(&self.0.time_zone)? })
    }

    async fn figures(&self, context: &Context<'_>) -> Result<Option<std::sync::Arc<Stats>>, Fault> {
        loaders(context).stats(self.subject()?).await
    }
}

/// A customer organisation.
#[Object(name = "Tenant")]
impl TenantNode {
    /// Identifies the tenant.
    async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// What people call it. Not unique.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether it works.
    #[expect(clippy::unused_async, reason = "a resolver is async by its form")]
    async fn status(&self) -> async_graphql::Result<TenantStatus> {
        let unknown =
            || Fault::new(super::Code::Internal, "the tenant's status is none that the gateway knows");
        Ok(Status::of(&self.0.status).ok_or_else(unknown)?.into())
    }

    /// IANA name of the zone whose days and months its statistics follow.
    async fn time_zone(&self) -> &str {
        &self.0.time_zone
    }

    /// The commercial plan, in the platform's own words.
    async fn plan(&self) -> Option<&str> {
        self.0.plan.as_deref()
    }

    /// Calls included a month. Null: unlimited.
    async fn monthly_call_limit(&self) -> Option<i32> {
        self.0.monthly_call_limit
    }

    /// Calls allowed at the same time. Null: unlimited.
    async fn max_concurrent_calls(&self) -> Option<i32> {
        self.0.max_concurrent_calls
    }

    /// When it was created.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When its own fields last changed.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }

    /// When a scheduled deletion will begin. Null when none is scheduled.
    async fn deletion_scheduled_for(&self) -> Option<DateTime> {
        None
    }

    /// Usage, performance and billing figures of the present day and month. Null only together with
    /// an error.
    async fn stats(&self, context: &Context<'_>) -> Option<async_graphql::Result<TenantStats>> {
        let stats = match self.figures(context).await {
            Ok(stats) => stats?,
            Err(fault) => return Some(Err(fault.into())),
        };
        Some(TenantStats::new(self.0.id.into(), &stats).map_err(Into::into))
    }

    /// How much of its limits the tenant has used. Null only together with an error.
    async fn quota(&self, context: &Context<'_>) -> Option<async_graphql::Result<TenantQuota>> {
        let stats = match self.figures(context).await {
            Ok(stats) => stats?,
            Err(fault) => return Some(Err(fault.into())),
        };
        Some(TenantQuota::new(&Quota::of(&stats)).map_err(Into::into))
    }

    /// Figures of the days from `from` to `to`, both inclusive, bucket by bucket: at most 2,000
    /// buckets, from 2012 on. Null only together with an error.
    async fn usage(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "First day, inclusive, in the tenant's time zone.")] from: Date,
        #[graphql(desc = "Last day, inclusive, in the tenant's time zone.")] to: Date,
        #[graphql(desc = "How wide a bucket is.")] granularity: UsageGranularity,
    ) -> Option<async_graphql::Result<TenantUsage>> {
        let read = async {
            let Subject { tenant, zone } = self.subject()?;
            let request =
                SeriesRequest { tenant, zone, from: from.0, to: to.0, granularity: granularity.into() };
            // What is wrong with this range is told here, not by a batch that others share.
            request.spine()?;
            let series = loaders(context).series(request).await?;
            series.map(|series| TenantUsage::new(&request, &series)).transpose()
        };
        read.await.map_err(Into::into).transpose()
    }

    /// What a deletion would erase now. Admins only. Null only together with an error.
    async fn deletion_preview(
        &self,
        context: &Context<'_>,
    ) -> Option<async_graphql::Result<DeletionPreview>> {
        let read = async {
            require(context, Action::PreviewDeletion, "preview a deletion")?;
            let parts = parts(context);
            let now = parts.clock.now();
            let preview = deletion::preview(&parts.database, &parts.reader, self.0.id, now).await?;
            DeletionPreview::new(self.0.id.into(), &preview)
        };
        Some(read.await.map_err(Into::into))
    }

    /// The tenant's newest deletion. Null also when there is none.
    async fn deletion(&self, context: &Context<'_>) -> Option<async_graphql::Result<TenantDeletion>> {
        match loaders(context).newest_deletion(self.0.id).await {
            Ok(deletion) => Some(Ok(TenantDeletion(deletion?))),
            Err(fault) => Some(Err(fault.into())),
        }
    }
}
