//! `Tenant`.

use std::sync::Arc;

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
    deletion::Deletion,
    tenant::{Status, Tenant},
    usage::{self, Quota, Reading, SeriesRequest, Stats, Zone},
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
pub struct TenantNode {
    row: Tenant,
    /// What was read with its row, where that was more.
    reading: Option<Arc<Reading>>,
}

impl From<Tenant> for TenantNode {
    fn from(row: Tenant) -> Self {
        Self { row, reading: None }
    }
}

impl From<Arc<Reading>> for TenantNode {
    fn from(reading: Arc<Reading>) -> Self {
        Self { row: reading.tenant.clone(), reading: Some(reading) }
    }
}

impl TenantNode {
    /// Its figures and the row they go with; none when the tenant has gone meanwhile.
    async fn reading(&self, context: &Context<'_>) -> Result<Option<Arc<Reading>>, Fault> {
        if let Some(reading) = &self.reading {
            return Ok(Some(reading.clone()));
        }
        parts(context).reader.meet(self.row.id, &self.row.time_zone)?;
        loaders(context).reading(self.row.id).await
    }
}

/// The figures of a reading; without them its zone is unknown.
fn figures(reading: &Reading) -> Result<&Stats, Fault> {
    match &reading.stats {
        Some(stats) => Ok(stats),
        None => Err(usage::Error::UnknownZone(reading.tenant.time_zone.clone()).into()),
    }
}

/// A customer organisation.
#[Object(name = "Tenant")]
impl TenantNode {
    /// Identifies the tenant.
    async fn id(&self) -> ID {
        self.row.id.into()
    }

    /// What people call it. Not unique.
    async fn name(&self) -> &str {
        &self.row.name
    }

    /// Whether it works.
    #[expect(clippy::unused_async, reason = "a resolver is async by its form")]
    async fn status(&self) -> async_graphql::Result<TenantStatus> {
        let unknown =
            || Fault::new(super::Code::Internal, "the tenant's status is none that the gateway knows");
        Ok(Status::of(&self.row.status).ok_or_else(unknown)?.into())
    }

    /// IANA name of the zone whose days and months its statistics follow.
    async fn time_zone(&self) -> &str {
        &self.row.time_zone
    }

    /// The commercial plan, in the platform's own words.
    async fn plan(&self) -> Option<&str> {
        self.row.plan.as_deref()
    }

    /// Calls included a month. Null: unlimited.
    async fn monthly_call_limit(&self) -> Option<i32> {
        self.row.monthly_call_limit
    }

    /// Calls allowed at the same time. Null: unlimited.
    async fn max_concurrent_calls(&self) -> Option<i32> {
        self.row.max_concurrent_calls
    }

    /// When it was created.
    async fn created_at(&self) -> DateTime {
        DateTime(self.row.created_at)
    }

    /// When its own fields last changed.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.row.updated_at)
    }

    /// When a scheduled deletion will begin. Null when none is scheduled.
    async fn deletion_scheduled_for(&self, context: &Context<'_>) -> Option<async_graphql::Result<DateTime>> {
        match loaders(context).newest_deletion(self.row.id).await {
            Ok(deletion) => {
                deletion.filter(Deletion::is_cancelable).map(|deletion| Ok(DateTime(deletion.scheduled_for)))
            }
            Err(fault) => Some(Err(fault.into())),
        }
    }

    /// Usage, performance and billing figures of the present day and month. Null only together with
    /// an error.
    async fn stats(&self, context: &Context<'_>) -> Option<async_graphql::Result<TenantStats>> {
        let read = async {
            let Some(reading) = self.reading(context).await? else { return Ok(None) };
            TenantStats::new(self.row.id.into(), figures(&reading)?).map(Some)
        };
        read.await.map_err(|fault: Fault| fault.into()).transpose()
    }

    /// How much of its limits the tenant has used. Null only together with an error.
    async fn quota(&self, context: &Context<'_>) -> Option<async_graphql::Result<TenantQuota>> {
        let read = async {
            let Some(reading) = self.reading(context).await? else { return Ok(None) };
            TenantQuota::new(&Quota::of(&reading.tenant, figures(&reading)?)).map(Some)
        };
        read.await.map_err(|fault: Fault| fault.into()).transpose()
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
            let (tenant, zone) = (self.row.id, Zone::named(&self.row.time_zone)?);
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
            let preview = parts.deletions.preview(self.row.id).await?;
            DeletionPreview::new(self.row.id.into(), &preview)
        };
        Some(read.await.map_err(Into::into))
    }

    /// The tenant's newest deletion. Null also when there is none.
    async fn deletion(&self, context: &Context<'_>) -> Option<async_graphql::Result<TenantDeletion>> {
        match loaders(context).newest_deletion(self.row.id).await {
            Ok(deletion) => Some(Ok(TenantDeletion(deletion?))),
            Err(fault) => Some(Err(fault.into())),
        }
    }
}
