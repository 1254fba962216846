//! Cursor pages: which slice of a sorted list is asked for, and where a row stands in it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use entity::timestamp;
use sea_orm::{DbBackend, Value};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::database::Sql;

/// Most rows of one page.
pub const MAX_PAGE: usize = 100;
/// Rows of a page when the caller names no number.
pub const DEFAULT_PAGE: usize = 50;

/// Why a page cannot be given. The sentences are for the caller.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PageError {
    /// The text is no cursor of this list in this order.
    #[error(
        "the cursor is not from this list in this order; take one from pageInfo, and keep filter and orderBy"
    )]
    Cursor,
    /// More rows than a page may have, or fewer than none.
    #[error("`{0}` must be from 0 to {MAX_PAGE}; follow pageInfo for more")]
    Size(&'static str),
    /// Both ends at once.
    #[error("give `first` or `last`, not both")]
    BothEnds,
}

/// A place in a sorted list: the row's sort key and, among equals, its id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cursor {
    /// Which list and order the place belongs to.
    #[serde(rename = "o")]
    pub order: String,
    /// The sort key as text; none sorts last.
    #[serde(rename = "k")]
    pub key: Option<String>,
    /// The row.
    #[serde(rename = "i")]
    pub id: Uuid,
}

impl Cursor {
    /// Its opaque text.
    #[must_use]
    pub fn encode(&self) -> String {
        // These three fields always make JSON.
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    fn decode(text: &str, order: &str) -> Result<Self, PageError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| PageError::Cursor)?;
        let cursor: Self = serde_json::from_slice(&bytes).map_err(|_| PageError::Cursor)?;
        // No text of the database holds a NUL, and PostgreSQL takes none.
        let is_text = cursor.key.as_ref().is_none_or(|key| !key.contains('\0'));
        if cursor.order == order && is_text { Ok(cursor) } else { Err(PageError::Cursor) }
    }
}

/// Which rows of a list are asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Slice {
    /// Only rows after this one.
    pub after: Option<Cursor>,
    /// Only rows before this one.
    pub before: Option<Cursor>,
    /// At most so many.
    pub size: usize,
    /// The last of them, not the first.
    pub from_end: bool,
}

/// The arguments of a connection, as the client gave them.
#[derive(Clone, Debug, Default)]
pub struct PageArguments {
    /// The first so many.
    pub first: Option<i32>,
    /// After this cursor.
    pub after: Option<String>,
    /// The last so many.
    pub last: Option<i32>,
    /// Before this cursor.
    pub before: Option<String>,
}

impl PageArguments {
    /// Checks the arguments for the list and order named `order`.
    ///
    /// # Errors
    ///
    /// [`PageError`].
    pub fn slice(self, order: &str) -> Result<Slice, PageError> {
        let size = |name, number: i32| match usize::try_from(number) {
            Ok(size) if size <= MAX_PAGE => Ok(size),
            _ => Err(PageError::Size(name)),
        };
        let (size, from_end) = match (self.first, self.last) {
            (Some(_), Some(_)) => return Err(PageError::BothEnds),
            (Some(first), None) => (size("first", first)?, false),
            (None, Some(last)) => (size("last", last)?, true),
            (None, None) => (DEFAULT_PAGE, false),
        };
        let cursor = |text: Option<String>| text.map(|text| Cursor::decode(&text, order)).transpose();
        Ok(Slice { after: cursor(self.after)?, before: cursor(self.before)?, size, from_end })
    }
}

/// One page of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// Rows with the place of each.
    pub edges: Vec<(Cursor, T)>,
    /// Whether the side the slice was cut at has more rows.
    pub has_more: bool,
}

/// How many rows a list has, and how many of them come before a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All that match the filter.
    pub total: i64,
    /// Those before the page's first row.
    pub before: i64,
}

/// How a list is sorted: the key `k`, then `id`; rows without a key come last either way.
#[derive(Clone, Copy, Debug)]
pub struct Sorting {
    /// Largest first.
    pub descending: bool,
    /// Whether a row may lack a key.
    pub nullable: bool,
    /// Turns a cursor's text back into the key's type.
    pub key: fn(&str) -> Option<Value>,
}

/// Turns a cursor's text back into an instant, for a list that is sorted by one; for [`Sorting::key`].
#[must_use]
pub fn instant_key(backend: DbBackend) -> fn(&str) -> Option<Value> {
    fn parsed(backend: DbBackend, text: &str) -> Option<Value> {
        let instant = text.parse::<DateTime<Utc>>().ok()?;
        Some(timestamp::value(backend, instant))
    }
    match backend {
        DbBackend::Sqlite => |text| parsed(DbBackend::Sqlite, text),
        _ => |text| parsed(DbBackend::Postgres, text),
    }
}

impl Sorting {
    /// `ORDER BY`, in the list's direction or, from its end, in the other.
    #[must_use]
    pub fn order_by(&self, from_end: bool) -> String {
        let direction = if self.descending == from_end { "ASC" } else { "DESC" };
        let nulls = match (self.nullable, from_end) {
            (false, _) => "",
            (true, false) => "k IS NULL, ",
            (true, true) => "k IS NOT NULL, ",
        };
        format!("ORDER BY {nulls}k {direction}, id {direction}")
    }

    /// A condition: the row comes strictly after `cursor`.
    ///
    /// # Errors
    ///
    /// [`PageError::Cursor`] when its key is of another type.
    pub fn after(&self, sql: &mut Sql, cursor: &Cursor) -> Result<String, PageError> {
        self.compare(sql, cursor, !self.descending, true)
    }

    /// A condition: the row comes strictly before `cursor`.
    ///
    /// # Errors
    ///
    /// [`PageError::Cursor`] when its key is of another type.
    pub fn before(&self, sql: &mut Sql, cursor: &Cursor) -> Result<String, PageError> {
        self.compare(sql, cursor, self.descending, false)
    }

    fn compare(
        &self,
        sql: &mut Sql,
        cursor: &Cursor,
        greater: bool,
        later: bool,
    ) -> Result<String, PageError> {
        let sign = if greater { '>' } else { '<' };
        let Some(key) = &cursor.key else {
            if !self.nullable {
                return Err(PageError::Cursor);
            }
            let id = sql.bind(cursor.id.into());
            return Ok(if later {
                format!("(k IS NULL AND id {sign} {id})")
            } else {
                format!("(k IS NOT NULL OR id {sign} {id})")
            });
        };
        let key = sql.bind((self.key)(key).ok_or(PageError::Cursor)?);
        let id = sql.bind(cursor.id.into());
        let among_keys = format!("(k, id) {sign} ({key}, {id})");
        Ok(if self.nullable && later { format!("({among_keys} OR k IS NULL)") } else { among_keys })
    }
}
