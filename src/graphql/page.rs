//! What every connection says of its page.

use async_graphql::{Context, Object};

use crate::paging::{Counts, Page, Slice};

/// Where a page stands in its list.
#[derive(Clone, Debug)]
pub struct PageInfo {
    /// Whether rows follow and precede it, as far as the page itself tells.
    next: Option<bool>,
    previous: Option<bool>,
    rows: i64,
    start_cursor: Option<String>,
    end_cursor: Option<String>,
}

impl PageInfo {
    /// As far as the page tells: on the side where it was cut off, and at the end of the list where it begins.
    pub(super) fn of<T>(slice: &Slice, page: &Page<T>) -> Self {
        let at_end = |cursor: bool| (!cursor).then_some(false);
        let (next, previous) = if slice.from_end {
            let is_cut = slice.after.is_none() || page.has_more;
            (at_end(slice.before.is_some()), is_cut.then_some(page.has_more))
        } else {
            let is_cut = slice.before.is_none() || page.has_more;
            (is_cut.then_some(page.has_more), at_end(slice.after.is_some()))
        };
        Self {
            next,
            previous,
            rows: i64::try_from(page.edges.len()).unwrap_or(i64::MAX),
            start_cursor: page.edges.first().map(|(cursor, _)| cursor.encode()),
            end_cursor: page.edges.last().map(|(cursor, _)| cursor.encode()),
        }
    }

    /// Whether something is asked for that only counting tells.
    pub(super) fn needs_counts(&self, context: &Context<'_>) -> bool {
        let wanted = context.look_ahead();
        self.next.is_none() && wanted.field("hasNextPage").exists()
            || self.previous.is_none() && wanted.field("hasPreviousPage").exists()
    }

    /// With what counting has told; what the page itself tells was read at one moment.
    pub(super) fn counted(self, counts: Counts) -> Self {
        let next = counts.total > counts.before.saturating_add(self.rows);
        let (next, previous) = (self.next.or(Some(next)), self.previous.or(Some(counts.before > 0)));
        Self { next, previous, ..self }
    }
}

/// Where a page stands in its list.
#[Object]
impl PageInfo {
    /// Whether rows follow the page's last one.
    async fn has_next_page(&self) -> bool {
        self.next.unwrap_or_default()
    }

    /// Whether rows come before the page's first one.
    async fn has_previous_page(&self) -> bool {
        self.previous.unwrap_or_default()
    }

    /// Cursor of the page's first row: pass it as `before` to page backwards. Null on an empty page.
    async fn start_cursor(&self) -> Option<&str> {
        self.start_cursor.as_deref()
    }

    /// Cursor of the page's last row: pass it as `after` to page forwards. Null on an empty page.
    async fn end_cursor(&self) -> Option<&str> {
        self.end_cursor.as_deref()
    }
}
