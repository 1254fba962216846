//! What a request asks for piece by piece is gathered twice: within the request by its own loaders,
//! which live as long as it does, and then with other requests by [`Batchers`].

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use chrono::{DateTime, Utc};
use dataloader::{BatchFn, non_cached::Loader};
use sea_orm::DbBackend;
use tracing::Instrument;
use uuid::Uuid;

use super::{
    batch::{Answers, Batcher, Crowding, Source},
    error::Fault,
    request::Parts,
};
use crate::{
    clock::Clock,
    database::Database,
    deletion::{self, Deletion, TableProgress},
    metrics::Metrics,
    paging::{Page, Slice},
    tenant::{self, Criteria, Tenant},
    usage::{Reader, Reading, Series, SeriesRequest},
};

/// How often a loader lets others run before it takes what has gathered: all fields of one level are
/// asked for before the first of them is looked at again.
const YIELDS: usize = 1;

/// What a key gives: nothing where there is nothing, or its fault.
type Loaded<V> = Result<Option<V>, Fault>;

/// What all requests share. Cheap to clone.
#[derive(Clone)]
pub(super) struct Batchers(Arc<All>);

struct All {
    tenants: Batcher<Tenants>,
    tenant_pages: Batcher<TenantPages>,
    readings: Batcher<Readings>,
    counted_readings: Batcher<CountedReadings>,
    series: Batcher<AllSeries>,
    counted_series: Batcher<CountedSeries>,
    deletions: Batcher<AllDeletions>,
    newest_deletions: Batcher<NewestDeletions>,
    deletion_tables: Batcher<DeletionTables>,
}

impl Batchers {
    pub(super) fn new(parts: &Parts) -> Self {
        fn batcher<S: Source>(source: S, crowding: Crowding, metrics: &Metrics) -> Batcher<S> {
            Batcher::new(source, crowding, metrics.batches(S::NAME))
        }
        let Parts { database, reader, metrics, clock, .. } = parts;
        let crowding = match database.backend() {
            DbBackend::Sqlite => Crowding::EMBEDDED,
            _ => Crowding::SERVED,
        };
        Self(Arc::new(All {
            tenants: batcher(Tenants(database.clone()), crowding, metrics),
            tenant_pages: batcher(TenantPages(database.clone(), clock.clone()), Crowding::APART, metrics),
            readings: batcher(Readings(reader.clone()), crowding, metrics),
            counted_readings: batcher(CountedReadings(reader.clone()), crowding, metrics),
            series: batcher(AllSeries(reader.clone()), crowding, metrics),
            counted_series: batcher(CountedSeries(reader.clone()), crowding, metrics),
            deletions: batcher(AllDeletions(database.clone()), crowding, metrics),
            newest_deletions: batcher(NewestDeletions(database.clone()), crowding, metrics),
            deletion_tables: batcher(DeletionTables(database.clone()), crowding, metrics),
        }))
    }
}

type Gathering<S> = Loader<<S as Source>::Key, Loaded<<S as Source>::Value>, Shared<S>>;

/// One request's loader for one source. Most requests need one of them: each is made when it is.
struct Own<S: Source>(OnceLock<Gathering<S>>);

struct Shared<S: Source>(Batcher<S>);

impl<S: Source> BatchFn<S::Key, Loaded<S::Value>> for Shared<S> {
    async fn load(&mut self, keys: &[S::Key]) -> Answers<S> {
        self.0.ask(keys).await
    }
}

impl<S: Source> Default for Own<S> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<S: Source> Own<S> {
    async fn load(&self, batcher: &Batcher<S>, key: S::Key) -> Loaded<S::Value> {
        let loader = || {
            let loader = Loader::new(Shared(batcher.clone()));
            loader.with_max_batch_size(S::MAX_KEYS).with_yield_count(YIELDS)
        };
        let span = tracing::debug_span!("load", source = S::NAME);
        self.0.get_or_init(loader).try_load(key).instrument(span).await?
    }
}

/// The loaders of one request.
pub(super) struct Loaders {
    shared: Batchers,
    tenants: Own<Tenants>,
    readings: Own<Readings>,
    counted_readings: Own<CountedReadings>,
    series: Own<AllSeries>,
    counted_series: Own<CountedSeries>,
    deletions: Own<AllDeletions>,
    newest_deletions: Own<NewestDeletions>,
    deletion_tables: Own<DeletionTables>,
}

impl Loaders {
    pub(super) fn new(batchers: &Batchers) -> Self {
        Self {
            shared: batchers.clone(),
            tenants: Own::default(),
            readings: Own::default(),
            counted_readings: Own::default(),
            series: Own::default(),
            counted_series: Own::default(),
            deletions: Own::default(),
            newest_deletions: Own::default(),
            deletion_tables: Own::default(),
        }
    }

    pub(super) async fn tenant(&self, id: Uuid) -> Loaded<Tenant> {
        self.tenants.load(&self.shared.0.tenants, id).await
    }

    /// A page of the list: who asks for the same at the same time shares it. What the viewer may see is a part of what
    /// is asked for.
    pub(super) async fn tenant_page(
        &self,
        criteria: Criteria,
        slice: Slice,
    ) -> Result<Arc<TenantPage>, Fault> {
        // Not through a loader of the request's own, which would read its lists one after another.
        let mut pages = self.shared.0.tenant_pages.ask(&[(criteria, slice)]).await.into_values();
        pages.next().transpose()?.flatten().ok_or_else(Fault::lost)
    }

    pub(super) async fn reading(&self, tenant: Uuid) -> Loaded<Arc<Reading>> {
        match self.readings.load(&self.shared.0.readings, tenant).await? {
            Some(Told::Unbuilt) => self.counted_readings.load(&self.shared.0.counted_readings, tenant).await,
            Some(Told::All(reading)) => Ok(Some(reading)),
            None => Ok(None),
        }
    }

    pub(super) async fn series(&self, request: SeriesRequest) -> Loaded<Arc<Series>> {
        match self.series.load(&self.shared.0.series, request).await? {
            Some(Told::Unbuilt) => self.counted_series.load(&self.shared.0.counted_series, request).await,
            Some(Told::All(series)) => Ok(Some(series)),
            None => Ok(None),
        }
    }

    pub(super) async fn deletion(&self, id: Uuid) -> Loaded<Deletion> {
        self.deletions.load(&self.shared.0.deletions, id).await
    }

    pub(super) async fn newest_deletion(&self, tenant: Uuid) -> Loaded<Deletion> {
        self.newest_deletions.load(&self.shared.0.newest_deletions, tenant).await
    }

    pub(super) async fn deletion_tables(&self, deletion: Uuid) -> Loaded<Arc<Vec<TableProgress>>> {
        self.deletion_tables.load(&self.shared.0.deletion_tables, deletion).await
    }
}

struct Tenants(Database);

impl Source for Tenants {
    type Key = Uuid;
    type Value = Tenant;
    const NAME: &'static str = "tenants";
    const MAX_KEYS: usize = 256;

    async fn load(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, Tenant>, Fault> {
        Ok(tenant::find(&self.0, ids).await?.into_iter().map(|row| (row.id, row)).collect())
    }
}

struct TenantPages(Database, Clock);

/// A page of the list of tenants, as it was at that moment.
#[derive(Debug)]
pub(super) struct TenantPage {
    pub(super) page: Page<Tenant>,
    pub(super) as_of: DateTime<Utc>,
}

impl Source for TenantPages {
    type Key = (Criteria, Slice);
    type Value = Arc<TenantPage>;
    const NAME: &'static str = "tenant_pages";
    const MAX_KEYS: usize = 1;

    async fn load(&self, keys: &[Self::Key]) -> Result<HashMap<Self::Key, Self::Value>, Fault> {
        let mut found = HashMap::with_capacity(keys.len());
        for (criteria, slice) in keys {
            let as_of = self.1.now();
            let page = criteria.page(&self.0, slice, as_of).await?;
            found.insert((criteria.clone(), slice.clone()), Arc::new(TenantPage { page, as_of }));
        }
        Ok(found)
    }
}

/// What the sums tell of a key.
#[derive(Clone)]
enum Told<V> {
    All(V),
    /// The sums are not built yet. Counting calls may take long, so it is done apart, key by key: nobody else waits
    /// for it.
    Unbuilt,
}

struct Readings(Reader);

impl Source for Readings {
    type Key = Uuid;
    type Value = Told<Arc<Reading>>;
    const NAME: &'static str = "stats";
    const MAX_KEYS: usize = 256;

    async fn load(&self, tenants: &[Uuid]) -> Result<HashMap<Uuid, Self::Value>, Fault> {
        let known = self.0.known(tenants).await?;
        let told = known.readings.into_iter().map(|(tenant, reading)| (tenant, Told::All(Arc::new(reading))));
        Ok(told.chain(known.unbuilt.into_iter().map(|tenant| (tenant, Told::Unbuilt))).collect())
    }
}

struct CountedReadings(Reader);

impl Source for CountedReadings {
    type Key = Uuid;
    type Value = Arc<Reading>;
    const NAME: &'static str = "stats_counted";
    const MAX_KEYS: usize = 1;

    async fn load(&self, tenants: &[Uuid]) -> Result<HashMap<Uuid, Arc<Reading>>, Fault> {
        Ok(self.0.read(tenants).await?.into_iter().map(|(id, reading)| (id, Arc::new(reading))).collect())
    }
}

struct AllSeries(Reader);

impl Source for AllSeries {
    type Key = SeriesRequest;
    type Value = Told<Arc<Series>>;
    const NAME: &'static str = "usage";
    /// A request has up to 2,000 buckets.
    const MAX_KEYS: usize = 100;

    async fn load(&self, requests: &[SeriesRequest]) -> Result<HashMap<SeriesRequest, Self::Value>, Fault> {
        let (known, unbuilt) = self.0.known_series(requests).await?;
        let told = known.into_iter().map(|(request, series)| (request, Told::All(Arc::new(series))));
        Ok(told.chain(unbuilt.into_iter().map(|request| (request, Told::Unbuilt))).collect())
    }
}

struct CountedSeries(Reader);

impl Source for CountedSeries {
    type Key = SeriesRequest;
    type Value = Arc<Series>;
    const NAME: &'static str = "usage_counted";
    const MAX_KEYS: usize = 1;

    async fn load(&self, requests: &[SeriesRequest]) -> Result<HashMap<SeriesRequest, Arc<Series>>, Fault> {
        Ok(self.0.series(requests).await?.into_iter().map(|(key, row)| (key, Arc::new(row))).collect())
    }
}

struct AllDeletions(Database);

impl Source for AllDeletions {
    type Key = Uuid;
    type Value = Deletion;
    const NAME: &'static str = "deletions";
    const MAX_KEYS: usize = 256;

    async fn load(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, Deletion>, Fault> {
        Ok(deletion::by_ids(&self.0, ids).await?.into_iter().map(|row| (row.id, row)).collect())
    }
}

struct NewestDeletions(Database);

impl Source for NewestDeletions {
    type Key = Uuid;
    type Value = Deletion;
    const NAME: &'static str = "newest_deletions";
    const MAX_KEYS: usize = 256;

    async fn load(&self, tenants: &[Uuid]) -> Result<HashMap<Uuid, Deletion>, Fault> {
        let found = deletion::newest_of(&self.0.connection, tenants).await?;
        Ok(found.into_iter().map(|row| (row.tenant, row)).collect())
    }
}

struct DeletionTables(Database);

impl Source for DeletionTables {
    type Key = Uuid;
    type Value = Arc<Vec<TableProgress>>;
    const NAME: &'static str = "deletion_tables";
    const MAX_KEYS: usize = 256;

    async fn load(&self, deletions: &[Uuid]) -> Result<HashMap<Uuid, Self::Value>, Fault> {
        let found = deletion::tables_of(&self.0, deletions).await?;
        Ok(found.into_iter().map(|(key, row)| (key, Arc::new(row))).collect())
    }
}
