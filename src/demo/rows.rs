//! Rows on their way into the database, and the one walk over their tables that everything else uses.

use entity::{
    activity_logs, agents, call_recordings, call_transcripts, calls, integrations, knowledge_files,
    phone_numbers, sessions, sip_trunks, squad_members, squads, tenants, workflows,
};
use sea_orm::{EntityTrait, IdenStatic, Iterable, ModelTrait, Value, prelude::DateTimeUtc};
use uuid::Uuid;

use super::SeedError;

/// Some rows, of one tenant or of several.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rows {
    pub(super) tenants: Vec<tenants::Model>,
    pub(super) agents: Vec<agents::Model>,
    pub(super) calls: Vec<calls::Model>,
    pub(super) call_recordings: Vec<call_recordings::Model>,
    pub(super) call_transcripts: Vec<call_transcripts::Model>,
    pub(super) sessions: Vec<sessions::Model>,
    pub(super) workflows: Vec<workflows::Model>,
    pub(super) integrations: Vec<integrations::Model>,
    pub(super) knowledge_files: Vec<knowledge_files::Model>,
    pub(super) activity_logs: Vec<activity_logs::Model>,
    pub(super) sip_trunks: Vec<sip_trunks::Model>,
    pub(super) phone_numbers: Vec<phone_numbers::Model>,
    pub(super) squads: Vec<squads::Model>,
    pub(super) squad_members: Vec<squad_members::Model>,
}

/// Something done with the rows of each table.
pub(super) trait Visit {
    /// Called once for each table, also where there are no rows of it.
    fn table<E: EntityTrait>(&mut self, rows: &[E::Model]) -> Result<(), SeedError>;
}

impl Rows {
    /// Adds the rows of `other`, after its own.
    pub(super) fn append(&mut self, mut other: Self) {
        self.tenants.append(&mut other.tenants);
        self.agents.append(&mut other.agents);
        self.calls.append(&mut other.calls);
        self.call_recordings.append(&mut other.call_recordings);
        self.call_transcripts.append(&mut other.call_transcripts);
        self.sessions.append(&mut other.sessions);
        self.workflows.append(&mut other.workflows);
        self.integrations.append(&mut other.integrations);
        self.knowledge_files.append(&mut other.knowledge_files);
        self.activity_logs.append(&mut other.activity_logs);
        self.sip_trunks.append(&mut other.sip_trunks);
        self.phone_numbers.append(&mut other.phone_numbers);
        self.squads.append(&mut other.squads);
        self.squad_members.append(&mut other.squad_members);
    }

    /// Visits every table, parents before their children.
    pub(super) fn walk(&self, visitor: &mut impl Visit) -> Result<(), SeedError> {
        visitor.table::<tenants::Entity>(&self.tenants)?;
        visitor.table::<agents::Entity>(&self.agents)?;
        visitor.table::<calls::Entity>(&self.calls)?;
        visitor.table::<call_recordings::Entity>(&self.call_recordings)?;
        visitor.table::<call_transcripts::Entity>(&self.call_transcripts)?;
        visitor.table::<sessions::Entity>(&self.sessions)?;
        visitor.table::<workflows::Entity>(&self.workflows)?;
        visitor.table::<integrations::Entity>(&self.integrations)?;
        visitor.table::<knowledge_files::Entity>(&self.knowledge_files)?;
        visitor.table::<activity_logs::Entity>(&self.activity_logs)?;
        visitor.table::<sip_trunks::Entity>(&self.sip_trunks)?;
        visitor.table::<phone_numbers::Entity>(&self.phone_numbers)?;
        visitor.table::<squads::Entity>(&self.squads)?;
        visitor.table::<squad_members::Entity>(&self.squad_members)
    }
}

/// The name of a table.
pub(super) fn table_name<E: EntityTrait>() -> &'static str {
    E::default().table_name()
}

/// The columns of a table, in the order of [`cells`].
pub(super) fn columns<E: EntityTrait>() -> String {
    E::Column::iter().map(|column| column.as_str()).collect::<Vec<_>>().join(", ")
}

/// How many columns a table has.
pub(super) fn width<E: EntityTrait>() -> usize {
    E::Column::iter().count()
}

/// The values of a row.
pub(super) fn cells<E: EntityTrait>(row: &E::Model) -> impl Iterator<Item = Result<Cell, SeedError>> {
    E::Column::iter().map(|column| {
        Cell::from_value(row.get(column))
            .ok_or_else(|| SeedError::Column { table: table_name::<E>(), column: column.as_str() })
    })
}

/// One value, of the types that both databases are given.
pub(super) enum Cell {
    Null,
    Id(Uuid),
    Text(String),
    Integer(i32),
    Long(i64),
    Real(f64),
    Instant(DateTimeUtc),
}

impl Cell {
    /// None for a type that no column has had so far.
    fn from_value(value: Value) -> Option<Self> {
        Some(match value {
            Value::Uuid(id) => id.map_or(Self::Null, Self::Id),
            Value::String(text) => text.map_or(Self::Null, Self::Text),
            Value::Int(number) => number.map_or(Self::Null, Self::Integer),
            Value::BigInt(number) => number.map_or(Self::Null, Self::Long),
            Value::Double(number) => number.map_or(Self::Null, Self::Real),
            Value::ChronoDateTimeUtc(instant) => instant.map_or(Self::Null, Self::Instant),
            _ => return None,
        })
    }
}
