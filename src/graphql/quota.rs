//! `TenantQuota`.

use async_graphql::{Enum, SimpleObject};

use super::{error::Fault, scalar::DateTime, stats::int};
use crate::usage;

/// How near a limit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "usage::QuotaState")]
pub enum QuotaState {
    /// There is no limit.
    Unlimited,
    /// Below four fifths of the limit.
    Ok,
    /// From four fifths of the limit.
    Warning,
    /// At the limit, or beyond it.
    Exceeded,
}

/// How much of its limits a tenant has used, all from one snapshot of the database.
#[derive(Clone, Debug, SimpleObject)]
pub struct TenantQuota {
    /// Calls included a month. Null: unlimited.
    monthly_call_limit: Option<i32>,
    /// Calls that started in the tenant's present month.
    calls_used: i32,
    /// Calls left of the monthly limit, never below 0. Null: unlimited.
    calls_remaining: Option<i32>,
    /// Used calls as a share of the limit: may exceed 1, and is 1 when the limit is 0. Null:
    /// unlimited.
    calls_used_ratio: Option<f64>,
    /// Calls allowed at the same time. Null: unlimited.
    max_concurrent_calls: Option<i32>,
    /// Calls going on.
    active_calls: i32,
    /// Further calls allowed at the same time, never below 0. Null: unlimited.
    concurrent_remaining: Option<i32>,
    /// How near the monthly limit is.
    state: QuotaState,
    /// How near the limit of simultaneous calls is.
    concurrency_state: QuotaState,
    /// When the tenant's month ends and counting begins anew.
    resets_at: DateTime,
    /// The instant of the reading.
    as_of: DateTime,
}

impl TenantQuota {
    pub(super) fn new(quota: &usage::Quota) -> Result<Self, Fault> {
        let used = int(quota.calls_used, "callsUsed")?;
        let active = int(quota.active_calls, "activeCalls")?;
        let remaining = |limit: Option<i32>, used: i32| limit.map(|limit| limit.saturating_sub(used).max(0));
        Ok(Self {
            monthly_call_limit: quota.monthly_call_limit,
            calls_used: used,
            calls_remaining: remaining(quota.monthly_call_limit, used),
            calls_used_ratio: quota.ratio(),
            max_concurrent_calls: quota.max_concurrent_calls,
            active_calls: active,
            concurrent_remaining: remaining(quota.max_concurrent_calls, active),
            state: usage::QuotaState::of(quota.calls_used, quota.monthly_call_limit).into(),
            concurrency_state: usage::QuotaState::of(quota.active_calls, quota.max_concurrent_calls).into(),
            resets_at: DateTime(quota.resets_at),
            as_of: DateTime(quota.as_of),
        })
    }
}
