//! Who is on the platform: a few large tenants and many small ones, some new, some gone quiet, and
//! how many calls each of them makes.

use chrono::{DateTime, Months, TimeDelta, Utc};
use chrono_tz::Tz;
use uuid::Uuid;

use super::{SeedError, Shape, cast, dice::Dice};

/// The first tenants take these in turn, so that a small platform has offsets of three quarters of an
/// hour, clocks that move by half an hour, and both hemispheres; the others draw from them.
const ZONES: [Tz; 14] = [
    Tz::America__New_York,
    Tz::Europe__Berlin,
    Tz::Asia__Kathmandu,
    Tz::America__Santiago,
    Tz::Australia__Lord_Howe,
    Tz::UTC,
    Tz::America__Los_Angeles,
    Tz::Europe__London,
    Tz::Asia__Tokyo,
    Tz::America__Sao_Paulo,
    Tz::Asia__Kolkata,
    Tz::Africa__Johannesburg,
    Tz::Pacific__Auckland,
    Tz::America__Chicago,
];

/// How fast sizes fall off: the tenant of rank n makes about n^-1.1 of the largest one's calls.
const TAIL: f64 = 1.1;

/// Statistics know nothing before 2012, when the last zone gave up offsets below a quarter-hour.
const EARLIEST: DateTime<Utc> = match DateTime::from_timestamp(1_325_548_800, 0) {
    Some(instant) => instant,
    None => DateTime::UNIX_EPOCH,
};

/// How a tenant stands with the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// In business for longer than the history reaches.
    Settled,
    /// Signed up within the last weeks.
    New,
    /// Signed up and nothing else.
    Empty,
    /// Stopped by the platform some days ago.
    Suspended,
    /// Left some weeks ago.
    Inactive,
}

/// How a tenant's calls compare with what it may make a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowance {
    /// Room to spare.
    Ample,
    /// Nearly used up.
    Tight,
    /// More than allowed.
    Exceeded,
    /// No limit.
    Unlimited,
}

/// One tenant before its rows are written: all that takes the whole platform to decide.
#[derive(Clone, Debug)]
pub(super) struct Outline {
    /// The stream of chance that its rows are drawn from.
    pub(super) stream: u64,
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) zone: Tz,
    pub(super) standing: Standing,
    pub(super) allowance: Allowance,
    pub(super) created_at: DateTime<Utc>,
    /// Calls were made from here …
    pub(super) from: DateTime<Utc>,
    /// … up to here.
    pub(super) to: DateTime<Utc>,
    /// How many.
    pub(super) calls: u64,
    /// How many in a month of business.
    pub(super) monthly_calls: f64,
    /// How many of them go on right now.
    pub(super) live_calls: u64,
}

/// All tenants, the largest first.
///
/// # Errors
///
/// [`SeedError::TooLong`] when the history would reach back too far.
pub(super) fn outlines(shape: &Shape, now: DateTime<Utc>) -> Result<Vec<Outline>, SeedError> {
    let start = now
        .checked_sub_months(Months::new(shape.months))
        .filter(|start| *start >= EARLIEST)
        .ok_or(SeedError::TooLong)?;
    let mut outlines: Vec<_> = (0..shape.tenants).map(|index| outline(shape, index, start, now)).collect();
    let weights = weights(shape, &outlines, start, now);
    let counts =
        shares(u64::from(shape.tenants) * u64::from(shape.calls) * u64::from(shape.months), &weights);
    for (index, (outline, calls)) in outlines.iter_mut().zip(counts).enumerate() {
        let months = seconds(outline.to - outline.from) / seconds(TimeDelta::days(30));
        outline.calls = calls;
        #[expect(clippy::cast_precision_loss, reason = "a size, not a sum")]
        let monthly = calls as f64 / months.max(0.01);
        outline.monthly_calls = monthly;
        outline.live_calls = live_calls(shape, index, outline).min(calls);
    }
    Ok(outlines)
}

fn outline(shape: &Shape, index: u32, start: DateTime<Utc>, now: DateTime<Utc>) -> Outline {
    let stream = 2 * u64::from(index) + 1;
    let mut dice = Dice::new(shape.seed, stream);
    let standing = standing(index, shape.tenants);
    let created_at = match standing {
        Standing::Empty => dice.instant(now - TimeDelta::hours(40), now - TimeDelta::hours(1)),
        Standing::New => dice.instant(now - TimeDelta::days(25), now - TimeDelta::days(3)),
        _ => dice.instant(start - TimeDelta::days(900), start - TimeDelta::days(20)),
    };
    let from = start.max(created_at + TimeDelta::hours(2)).min(now);
    let quiet_for = match standing {
        Standing::Suspended => TimeDelta::days(dice.whole(4, 20)),
        Standing::Inactive => TimeDelta::days(dice.whole(20, 45)),
        _ => TimeDelta::zero(),
    };
    // A short history still has some calls in it.
    let to = (now - quiet_for).max(from + (now - from) / 4);
    let place = usize::try_from(index).unwrap_or(usize::MAX);
    Outline {
        // The id comes first, so that its chance is a matter of the seed alone.
        id: Dice::new(shape.seed, stream).id(created_at),
        stream: stream + 1,
        name: cast::company(shape.seed, index),
        zone: ZONES.get(place).copied().unwrap_or_else(|| dice.pick(&ZONES)),
        standing,
        allowance: allowance(&mut dice, index, standing),
        created_at,
        from,
        to,
        calls: 0,
        monthly_calls: 0.0,
        live_calls: 0,
    }
}

fn standing(index: u32, tenants: u32) -> Standing {
    match index {
        0 => Standing::Settled,
        last if last > 1 && last == tenants - 1 => Standing::Empty,
        i if i % 53 == 52 => Standing::Empty,
        i if i % 9 == 5 => Standing::New,
        i if i % 11 == 7 => Standing::Suspended,
        i if i % 13 == 9 => Standing::Inactive,
        _ => Standing::Settled,
    }
}

/// Even a small platform has a tenant close to its limit and one beyond.
fn allowance(dice: &mut Dice, index: u32, standing: Standing) -> Allowance {
    let draw = dice.unit();
    match (index, standing) {
        (0, _) => Allowance::Unlimited,
        (1, Standing::Settled) => Allowance::Tight,
        (2, Standing::Settled) => Allowance::Exceeded,
        (_, Standing::Settled) if draw < 0.12 => Allowance::Tight,
        (_, Standing::Settled) if draw < 0.18 => Allowance::Exceeded,
        (_, Standing::Settled) if draw < 0.22 => Allowance::Unlimited,
        _ => Allowance::Ample,
    }
}

/// How many calls each tenant makes, compared with the others: by its rank, give or take, and by the
/// part of the history that it was in business for.
fn weights(shape: &Shape, outlines: &[Outline], start: DateTime<Utc>, now: DateTime<Utc>) -> Vec<f64> {
    let mut dice = Dice::new(shape.seed, 0);
    let mut sizes: Vec<f64> =
        (1..=shape.tenants).map(|rank| dice.real(0.8, 1.25) * f64::from(rank).powf(-TAIL)).collect();
    sizes.sort_unstable_by(|a, b| b.total_cmp(a));
    let span = seconds(now - start).max(1.0);
    outlines
        .iter()
        .zip(sizes)
        .map(|(outline, size)| match outline.standing {
            Standing::Empty => 0.0,
            _ => size * seconds(outline.to - outline.from) / span,
        })
        .collect()
}

/// Splits `total` by weight into whole numbers that add up to it.
fn shares(total: u64, weights: &[f64]) -> Vec<u64> {
    let sum: f64 = weights.iter().sum();
    if sum <= 0.0 {
        return vec![0; weights.len()];
    }
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let mut shares: Vec<u64> = weights.iter().map(|weight| (total as f64 * weight / sum) as u64).collect();
    // What rounding down left over is less than one for each tenant.
    let mut rest = total.saturating_sub(shares.iter().sum());
    for (share, _) in shares.iter_mut().zip(weights).filter(|(_, weight)| **weight > 0.0) {
        let extra = rest.min(1);
        *share += extra;
        rest -= extra;
    }
    shares
}

fn live_calls(shape: &Shape, index: usize, outline: &Outline) -> u64 {
    let mut dice = Dice::new(shape.seed, u64::MAX - outline.stream);
    let calls = match outline.standing {
        Standing::Settled | Standing::New if index == 0 => dice.whole(3, 6),
        Standing::Settled | Standing::New if outline.monthly_calls > 1_000.0 => dice.whole(0, 3),
        Standing::Settled | Standing::New => i64::from(dice.chance(0.2)),
        _ => 0,
    };
    u64::try_from(calls).unwrap_or_default()
}

fn seconds(span: TimeDelta) -> f64 {
    span.as_seconds_f64()
}
