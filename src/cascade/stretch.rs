//! A stretch of a route in SQL: the rows between two keys, and those that hang below them.

use sea_orm::DbBackend;
use uuid::Uuid;

use super::{
    Step,
    catalogue::{ForeignKey, RowName, quote},
    key::{self, Key, KeyColumn},
    way::{Hop, Route, list},
};
use crate::database::{self, Sql};

/// The tenant's rows of a route from after one key up to another; open where there is none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch<'a> {
    pub(super) route: &'a Route,
    pub(super) after: Option<&'a [String]>,
    pub(super) until: Option<&'a [String]>,
}

/// A statement's values, the tenant first: `$1` is the tenant's id in every text here.
pub(super) fn sql_of(backend: DbBackend, tenant: Uuid) -> Sql {
    let mut sql = Sql::new(backend);
    sql.bind(tenant.into());
    sql
}

impl Stretch<'_> {
    /// The columns of the walk's key, if it has any.
    pub(super) fn key(&self) -> Option<&[KeyColumn]> {
        if let Key::Columns(key) = &self.route.key { Some(key) } else { None }
    }

    /// Whether the stretch is of the very rows that a step is about, and its ends alone bound how many.
    pub(super) fn is_direct(&self) -> bool {
        self.route.hops.is_empty() && self.route.key != Key::Missing
    }

    /// A condition true for the rows that are walked.
    pub(super) fn condition(&self, sql: &mut Sql) -> Result<String, database::Error> {
        let mut condition = format!("{} = {}", quote(&self.route.column), self.route.form.tenant());
        if let Some(key) = self.key() {
            for (ordering, end) in [(">", self.after), ("<=", self.until)] {
                if let Some(end) = end {
                    condition += " AND ";
                    condition += &key::compared(sql, key, ordering, end)?;
                }
            }
        }
        Ok(condition)
    }

    /// A condition true for up to about `rows` rows of the step's table: those of the stretch, or that
    /// many of those below it.
    pub(super) fn rows_of(
        &self,
        sql: &mut Sql,
        step: &Step,
        only: Only<'_>,
        rows: u64,
    ) -> Result<String, database::Error> {
        if self.is_direct() {
            return Ok(format!("{}{}", self.condition(sql)?, only.on(&step.table.qualifier())));
        }
        let mut some = |selected: &[&str]| -> Result<String, database::Error> {
            let quoted: Vec<_> = selected.iter().map(ToString::to_string).collect();
            let below = self.below(sql, &self.route.hops, &quoted, only)?;
            Ok(format!("{below} LIMIT {}", sql.bind(i64::try_from(rows).unwrap_or(i64::MAX).into())))
        };
        Ok(match &step.rows {
            RowName::Place => format!("ctid = ANY (ARRAY ({}))", some(&["ctid"])?),
            RowName::PlaceInPartition => {
                // The first finds the rows, the second tells those of other partitions in the same places.
                let some = some(&["tableoid", "ctid"])?;
                format!("ctid = ANY (ARRAY (SELECT ctid FROM ({some}) s)) AND (tableoid, ctid) IN ({some})")
            }
            RowName::Columns(columns) if columns.is_empty() => {
                format!("{}{}", step.condition, only.on(&step.table.qualifier()))
            }
            RowName::Columns(columns) => {
                let columns: Vec<_> = columns.iter().map(|column| quote(column)).collect();
                let selected: Vec<_> = columns.iter().map(String::as_str).collect();
                format!("({}) IN ({})", columns.join(", "), some(&selected)?)
            }
        })
    }

    /// A query for the rows that hang below the stretch, by the last of `hops`. The order of the joins is
    /// fixed, from the tenant downwards, so that no plan reads what is not the tenant's.
    fn below(
        &self,
        sql: &mut Sql,
        hops: &[Hop],
        selected: &[String],
        only: Only<'_>,
    ) -> Result<String, database::Error> {
        let Some((hop, above)) = hops.split_last() else {
            let condition = self.condition(sql)?;
            let order = self.key().map(|key| format!(" ORDER BY {}", key::list(key))).unwrap_or_default();
            let (walked, only) = (self.route.walked.quoted(), only.on(&self.route.walked.qualifier()));
            return Ok(format!(
                "SELECT {} FROM {walked} WHERE {condition}{only}{order}",
                selected.join(", ")
            ));
        };
        let parent_columns: Vec<_> = hop.parent_columns.iter().map(|column| quote(column)).collect();
        let parents = self.below(sql, above, &parent_columns, Only::All)?;
        let child = hop.child.quoted();
        if sql.backend() == DbBackend::Sqlite {
            let (selected, equal) = (of(selected, "c"), equal(hop, "c"));
            let only = only.on("c");
            return Ok(format!(
                "SELECT {selected} FROM ({parents}) p CROSS JOIN {child} c WHERE {equal}{only}"
            ));
        }
        if !hop.is_indexed {
            let columns = list(&hop.columns, Some("c"));
            let (selected, only) = (of(selected, "c"), only.on("c"));
            return Ok(format!("SELECT {selected} FROM {child} c WHERE ({columns}) IN ({parents}){only}"));
        }
        let (selected, equal, only) = (of(selected, "c"), equal(hop, "c"), only.on("c"));
        Ok(format!(
            "SELECT s.* FROM ({parents} OFFSET 0) p CROSS JOIN LATERAL \
             (SELECT {selected} FROM {child} c WHERE {equal}{only} OFFSET 0) s"
        ))
    }
}

/// What a step's rows must be besides the tenant's.
#[derive(Clone, Copy, Debug)]
pub(super) enum Only<'a> {
    All,
    /// Not null in this column.
    Set(&'a str),
    /// Such that no other row refers to them by these keys of their table.
    Leaves(&'a [ForeignKey]),
}

impl Only<'_> {
    /// As the end of a condition, of rows that go by the name `row`.
    fn on(self, row: &str) -> String {
        match self {
            Self::All => String::new(),
            Self::Set(column) => format!(" AND {row}.{} IS NOT NULL", quote(column)),
            Self::Leaves(keys) => keys.iter().map(|key| unreferred(key, row)).collect(),
        }
    }
}

/// True for rows that none but themselves refer to.
fn unreferred(key: &ForeignKey, row: &str) -> String {
    let pairs = |own: &[String], of: &str| {
        let pairs = own.iter().zip(&key.parent_columns);
        let pair =
            |(own, theirs): (&String, &String)| format!("{of}.{} = {row}.{}", quote(own), quote(theirs));
        pairs.map(pair).collect::<Vec<_>>().join(" AND ")
    };
    format!(
        " AND NOT EXISTS (SELECT 1 FROM {} below WHERE {} AND NOT ({}))",
        key.child.quoted(),
        pairs(&key.child_columns, "below"),
        pairs(&key.parent_columns, "below")
    )
}

/// Columns of the table named.
fn of(columns: &[String], name: &str) -> String {
    columns.iter().map(|column| format!("{name}.{column}")).collect::<Vec<_>>().join(", ")
}

/// The columns of `child` equal those of its parent, `p`.
fn equal(hop: &Hop, child: &str) -> String {
    let pairs = hop.columns.iter().zip(&hop.parent_columns);
    let pair = |(own, theirs): (&String, &String)| format!("{child}.{} = p.{}", quote(own), quote(theirs));
    pairs.map(pair).collect::<Vec<_>>().join(" AND ")
}
