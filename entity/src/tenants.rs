//! Customer organisations, the root of everything that a deletion erases.

use sea_orm::{QueryResult, entity::prelude::*};

/// One customer organisation.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "tenants")]
pub struct Model {
    /// Chosen by whoever creates the tenant.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// What people call it; a deletion is confirmed with it. Not unique.
    #[sea_orm(column_type = "Text")]
    pub name: String,
    /// `active`, `inactive`, `suspended` or `deleting`.
    #[sea_orm(column_type = "Text")]
    pub status: String,
    /// IANA name of the zone whose days and months its statistics follow.
    #[sea_orm(column_type = "Text")]
    pub time_zone: String,
    /// The commercial plan, in the platform's own words.
    #[sea_orm(column_type = "Text", nullable)]
    pub plan: Option<String>,
    /// Calls included a month; none: unlimited.
    pub monthly_call_limit: Option<i32>,
    /// Calls allowed at the same time; none: unlimited.
    pub max_concurrent_calls: Option<i32>,
    /// When the row was made.
    pub created_at: DateTimeUtc,
    /// When the row was last changed.
    pub updated_at: DateTimeUtc,
    /// Its agents.
    #[sea_orm(has_many)]
    pub agents: HasMany<super::agents::Entity>,
    /// Its calls.
    #[sea_orm(has_many)]
    pub calls: HasMany<super::calls::Entity>,
    /// Its recordings.
    #[sea_orm(has_many)]
    pub call_recordings: HasMany<super::call_recordings::Entity>,
    /// Its transcripts.
    #[sea_orm(has_many)]
    pub call_transcripts: HasMany<super::call_transcripts::Entity>,
    /// Its sessions.
    #[sea_orm(has_many)]
    pub sessions: HasMany<super::sessions::Entity>,
    /// Its workflows.
    #[sea_orm(has_many)]
    pub workflows: HasMany<super::workflows::Entity>,
    /// Its integrations.
    #[sea_orm(has_many)]
    pub integrations: HasMany<super::integrations::Entity>,
    /// Its knowledge files.
    #[sea_orm(has_many)]
    pub knowledge_files: HasMany<super::knowledge_files::Entity>,
    /// Its activity logs.
    #[sea_orm(has_many)]
    pub activity_logs: HasMany<super::activity_logs::Entity>,
    /// Its SIP trunks.
    #[sea_orm(has_many)]
    pub sip_trunks: HasMany<super::sip_trunks::Entity>,
    /// Its phone numbers.
    #[sea_orm(has_many)]
    pub phone_numbers: HasMany<super::phone_numbers::Entity>,
    /// Its squads.
    #[sea_orm(has_many)]
    pub squads: HasMany<super::squads::Entity>,
    /// Its squad members.
    #[sea_orm(has_many)]
    pub squad_members: HasMany<super::squad_members::Entity>,
    /// Sums of its calls by quarter-hour.
    #[sea_orm(has_many)]
    pub usage_quarter_hours: HasMany<super::usage_quarter_hours::Entity>,
    /// Sums of its calls by day.
    #[sea_orm(has_many)]
    pub usage_days: HasMany<super::usage_days::Entity>,
    /// Whether its sums are still to be built.
    #[sea_orm(has_many)]
    pub usage_rebuilds: HasMany<super::usage_rebuilds::Entity>,
}

/// The columns of tenant `t`, as [`Model::read`] wants them at the beginning of a row.
pub const COLUMNS: &str = "t.id, t.name, t.status, t.time_zone, t.plan, t.monthly_call_limit, \
     t.max_concurrent_calls, t.created_at, t.updated_at";

impl Model {
    /// Reads [`COLUMNS`] by their places: a page has hundreds of them, and looking each up by its name takes
    /// longer.
    ///
    /// # Errors
    ///
    /// When the row has other columns.
    pub fn read(row: &QueryResult) -> Result<Self, DbErr> {
        Ok(Self {
            id: row.try_get_by_index(0)?,
            name: row.try_get_by_index(1)?,
            status: row.try_get_by_index(2)?,
            time_zone: row.try_get_by_index(3)?,
            plan: row.try_get_by_index(4)?,
            monthly_call_limit: row.try_get_by_index(5)?,
            max_concurrent_calls: row.try_get_by_index(6)?,
            created_at: row.try_get_by_index(7)?,
            updated_at: row.try_get_by_index(8)?,
        })
    }
}

impl ActiveModelBehavior for ActiveModel {}
