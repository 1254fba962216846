//! Reads the figures of many tenants in one statement: from the sums, and from the differences that
//! are not in them yet.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use entity::{tenants, timestamp};
use quick_cache::sync::Cache;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement};
use uuid::Uuid;

use super::{
    Error, Span, Stats, Zone,
    columns::{ACTIVE_CALLS, ACTIVE_SESSIONS, figures_from},
};
use crate::{
    clock::Clock,
    database::{self, Database, Sql},
};

/// A call that has not ended counts as going on for this long after its start.
const CALL_HORIZON: TimeDelta = TimeDelta::hours(24);

/// A tenant as one snapshot shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Its own row.
    pub tenant: tenants::Model,
    /// Its figures; none where its time zone is not in the IANA database.
    pub stats: Option<Stats>,
}

/// Reads figures. Cheap to clone; all clones remember together.
#[derive(Clone, Debug)]
pub struct Reader {
    pub(super) database: Database,
    pub(super) clock: Clock,
    session_timeout: TimeDelta,
    zones: Arc<Mutex<HashMap<Zone, Windows>>>,
    /// The zone that each tenant was last seen in.
    homes: Arc<Cache<Uuid, Zone>>,
}

/// Zones whose windows every statement takes. Where more are known it takes those of its own tenants only:
/// beyond 16 kB an encrypted connection sends a statement in pieces, and waits 40 ms between them.
const FEW_ZONES: usize = 32;
/// The same on SQLite, which goes through all of them for each tenant.
const FEW_ZONES_EMBEDDED: usize = 4;
/// Tenants whose zone is remembered.
const REMEMBERED: usize = 100_000;

/// The day and the month that are looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows {
    pub(super) today: Span,
    pub(super) month: Span,
}

/// What the sums tell of tenants.
#[derive(Debug, Default)]
pub struct Known {
    /// The tenants that they tell of.
    pub readings: HashMap<Uuid, Reading>,
    /// Tenants whose sums are not built yet: their figures must come from their calls.
    pub unbuilt: Vec<Uuid>,
}

/// What rows say of their tenants.
#[derive(Default)]
struct Found {
    readings: HashMap<Uuid, Reading>,
    /// Tenants in zones that the statement had no windows of.
    in_new_zone: Vec<(Uuid, Zone)>,
    /// Tenants whose sums are not built yet.
    unbuilt: Vec<(Uuid, Zone)>,
}

impl Reader {
    /// A session without a sign of life for longer than `session_timeout` is over.
    #[must_use]
    pub fn new(database: Database, clock: Clock, session_timeout: TimeDelta) -> Self {
        let homes = Arc::new(Cache::new(REMEMBERED));
        Self { database, clock, session_timeout, zones: Arc::default(), homes }
    }

    /// Each of `tenants` now, as the sums tell, in one statement whatever their number and zones. One that does
    /// not exist is missing from the answer.
    ///
    /// The statement takes the windows of every zone that any tenant was seen in, of many only those of
    /// its own tenants, and each tenant's own row chooses. Tenants in a zone that was not seen before take a
    /// further statement.
    ///
    /// # Errors
    ///
    /// [`Error`]; then nothing is known of any of them.
    pub async fn known(&self, tenants: &[Uuid]) -> Result<Known, Error> {
        let found = self.kept(tenants, self.clock.now()).await?;
        let unbuilt = found.unbuilt.into_iter().map(|(tenant, _)| tenant).collect();
        Ok(Known { readings: found.readings, unbuilt })
    }

    /// Each of `tenants` now, as [`known`](Self::known) tells; those whose sums are still being built are read from
    /// their calls, by a further statement that is the slower the more calls their month has.
    ///
    /// # Errors
    ///
    /// [`Error`]; then nothing is known of any of them.
    pub async fn read(&self, tenants: &[Uuid]) -> Result<HashMap<Uuid, Reading>, Error> {
        let as_of = self.clock.now();
        let mut found = self.kept(tenants, as_of).await?;
        // Once, unless a tenant's zone changes at this very moment.
        while !found.unbuilt.is_empty() {
            let unbuilt = std::mem::take(&mut found.unbuilt);
            let more = self.counted(&unbuilt, as_of).await?;
            found.readings.extend(more.readings);
            found.unbuilt = more.unbuilt;
        }
        Ok(found.readings)
    }

    /// Remembers in which zone a tenant was seen, so that reading it takes one statement.
    ///
    /// # Errors
    ///
    /// [`Error::Calendar`] at the ends of the calendar.
    pub fn meet(&self, tenant: Uuid, time_zone: &str) -> Result<(), Error> {
        let Ok(zone) = Zone::named(time_zone) else { return Ok(()) };
        if self.homes.get(&tenant) != Some(zone) {
            self.windows(self.clock.now(), &[], [zone])?;
            self.homes.insert(tenant, zone);
        }
        Ok(())
    }

    /// The windows that these tenants need, as far as their zones are known, and those of new zones.
    fn windows(
        &self,
        as_of: DateTime<Utc>,
        tenants: &[Uuid],
        new: impl IntoIterator<Item = Zone>,
    ) -> Result<HashMap<Zone, Windows>, Error> {
        let mut known = self.zones.lock().unwrap_or_else(PoisonError::into_inner);
        let new: HashSet<Zone> = new.into_iter().collect();
        let missing: Vec<Zone> = new.iter().copied().filter(|zone| !known.contains_key(zone)).collect();
        let over = |windows: &Windows| !(windows.today.start..windows.today.end).contains(&as_of);
        let stale: Vec<Zone> =
            known.iter().filter(|(_, windows)| over(windows)).map(|(zone, _)| *zone).collect();
        for zone in missing.into_iter().chain(stale) {
            known.insert(zone, Windows { today: zone.day(as_of)?, month: zone.month(as_of)? });
        }
        let few = match self.database.backend() {
            DbBackend::Sqlite => FEW_ZONES_EMBEDDED,
            _ => FEW_ZONES,
        };
        if known.len() <= few {
            return Ok(known.clone());
        }
        let homes = tenants.iter().filter_map(|tenant| self.homes.get(tenant));
        Ok(homes.chain(new).filter_map(|zone| Some((zone, *known.get(&zone)?))).collect())
    }

    /// Reads sums and differences, whatever the zones.
    async fn kept(&self, tenants: &[Uuid], as_of: DateTime<Utc>) -> Result<Found, Error> {
        let mut found = self.kept_within(tenants, &self.windows(as_of, tenants, [])?, as_of).await?;
        // Once, unless a tenant's zone changes at this very moment.
        while !found.in_new_zone.is_empty() {
            let (again, zones): (Vec<_>, Vec<_>) = found.in_new_zone.drain(..).unzip();
            let more = self.kept_within(&again, &self.windows(as_of, &again, zones)?, as_of).await?;
            found.readings.extend(more.readings);
            found.unbuilt.extend(more.unbuilt);
            found.in_new_zone = more.in_new_zone;
        }
        Ok(found)
    }

    /// Reads sums and differences of tenants in zones with these windows.
    async fn kept_within(
        &self,
        tenants: &[Uuid],
        windows: &HashMap<Zone, Windows>,
        as_of: DateTime<Utc>,
    ) -> Result<Found, Error> {
        let rows = self.database.query_all(self.summing(tenants, windows, as_of)?).await?;
        let found = find(&rows, windows, as_of).map_err(database::Error::from)?;
        for (tenant, zone) in &found.in_new_zone {
            self.homes.insert(*tenant, *zone);
        }
        for (tenant, reading) in &found.readings {
            let home = reading.stats.as_ref().map(|stats| stats.zone);
            if let Some(zone) = home.filter(|zone| self.homes.get(tenant) != Some(*zone)) {
                self.homes.insert(*tenant, zone);
            }
        }
        Ok(found)
    }

    /// Reads calls, in the windows of these zones. A tenant that has moved to another meanwhile is still to
    /// be read.
    async fn counted(&self, tenants: &[(Uuid, Zone)], as_of: DateTime<Utc>) -> Result<Found, Error> {
        let (ids, zones): (Vec<_>, Vec<_>) = tenants.iter().copied().unzip();
        let windows = self.windows(as_of, &ids, zones)?;
        let wanted: Vec<_> =
            tenants.iter().filter_map(|(id, zone)| Some((*id, *windows.get(zone)?))).collect();
        let rows = self.database.query_all(self.counting(&wanted, as_of)).await?;
        let mut found = find(&rows, &windows, as_of).map_err(database::Error::from)?;
        let asked: HashMap<Uuid, Zone> = tenants.iter().copied().collect();
        found.readings.retain(|id, reading| {
            let moved =
                reading.stats.as_ref().map(|stats| stats.zone).filter(|zone| asked.get(id) != Some(zone));
            found.unbuilt.extend(moved.map(|zone| (*id, zone)));
            moved.is_none()
        });
        found.unbuilt.append(&mut found.in_new_zone);
        Ok(found)
    }

    /// Sessions and calls of one tenant that are going on now, through any connection: a deletion
    /// looks through its own transaction.
    ///
    /// # Errors
    ///
    /// [`database::Error`].
    pub async fn activity<C: ConnectionTrait>(
        &self,
        connection: &C,
        tenant: Uuid,
    ) -> Result<(i64, i64), database::Error> {
        let backend = connection.get_database_backend();
        let now = self.clock.now();
        let sql = format!("SELECT {ACTIVE_SESSIONS} AS sessions, {ACTIVE_CALLS} AS calls")
            .replace("t.id", "$1")
            .replace("$LIVE", "$2")
            .replace("$HORIZON", "$3");
        let values = [
            tenant.into(),
            timestamp::value(backend, now - self.session_timeout),
            timestamp::value(backend, now - CALL_HORIZON),
        ];
        let row = connection.query_one_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
        let row = row.ok_or_else(|| database::Error::Refused("an aggregate gave no row".to_owned()))?;
        Ok((row.try_get_by("sessions")?, row.try_get_by("calls")?))
    }

    /// What is told of a tenant beside its sums: what [`find`] reads, in its order.
    pub(super) fn columns(&self, sql: &mut Sql, unbuilt: &str, as_of: DateTime<Utc>) -> String {
        let live = sql.bind_instant(as_of - self.session_timeout);
        let horizon = sql.bind_instant(as_of - CALL_HORIZON);
        format!(
            "{}, {unbuilt} AS unbuilt, \
             (SELECT count(*) FROM agents a WHERE a.tenant_id = t.id) AS agents, \
             {ACTIVE_SESSIONS} AS active_sessions, {ACTIVE_CALLS} AS active_calls, \
             (SELECT max(c.started_at) FROM calls c WHERE c.tenant_id = t.id) AS last_call_at",
            tenants::COLUMNS
        )
        .replace("$LIVE", &live)
        .replace("$HORIZON", &horizon)
    }
}

/// Reads rows of [`Reader::columns`], with the calls of the day and the sums of the month behind them.
fn find(
    rows: &[QueryResult],
    windows: &HashMap<Zone, Windows>,
    as_of: DateTime<Utc>,
) -> Result<Found, DbErr> {
    let mut found = Found { readings: HashMap::with_capacity(rows.len()), ..Found::default() };
    for row in rows {
        let tenant = tenants::Model::read(row)?;
        let (id, zone) = (tenant.id, Zone::named(&tenant.time_zone).ok());
        let stats = match zone.map(|zone| (zone, windows.get(&zone))) {
            None => None,
            Some((zone, None)) => {
                found.in_new_zone.push((id, zone));
                continue;
            }
            Some((zone, _)) if row.try_get_by_index(9)? => {
                found.unbuilt.push((id, zone));
                continue;
            }
            Some((zone, Some(windows))) => Some(Stats {
                as_of,
                zone,
                today: windows.today,
                month: windows.month,
                agents: row.try_get_by_index(10)?,
                active_sessions: row.try_get_by_index(11)?,
                active_calls: row.try_get_by_index(12)?,
                last_call_at: row.try_get_by_index(13)?,
                calls_today: row.try_get_by_index(14)?,
                figures: figures_from(row, 15)?,
            }),
        };
        found.readings.insert(id, Reading { tenant, stats });
    }
    Ok(found)
}
