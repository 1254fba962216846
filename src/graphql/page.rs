//! What every connection says of its page.

use async_graphql::SimpleObject;

use crate::paging::{Counts, Cursor, Slice};

/// Where a page stands in its list.
#[derive(Clone, Debug, SimpleObject)]
pub struct PageInfo {
    /// Whether rows follow the page's last one.
    has_next_page: bool,
    /// Whether rows come before the page's first one.
    has_previous_page: bool,
    /// Cursor of the page's first row: pass it as `before` to page backwards. Null on an empty page.
    start_cursor: Option<String>,
    /// Cursor of the page's last row: pass it as `after` to page forwards. Null on an empty page.
    end_cursor: Option<String>,
}

impl PageInfo {
    /// For a page at either end of its list, where the slice alone tells both sides.
    pub(super) fn without_counting<'a>(
        slice: &Slice,
        has_more: bool,
        cursors: impl DoubleEndedIterator<Item = &'a Cursor>,
    ) -> Option<Self> {
        match (slice.from_end, &slice.after, &slice.before) {
            (false, None, None) => Some(Self::new(false, has_more, cursors)),
            (true, None, None) => Some(Self::new(has_more, false, cursors)),
            _ => None,
        }
    }

    /// For a page whose place has been counted.
    pub(super) fn counted<'a>(
        counts: Counts,
        cursors: impl DoubleEndedIterator<Item = &'a Cursor> + Clone,
    ) -> Self {
        let rows = i64::try_from(cursors.clone().count()).unwrap_or(i64::MAX);
        Self::new(counts.before > 0, counts.total > counts.before.saturating_add(rows), cursors)
    }

    fn new<'a>(
        has_previous_page: bool,
        has_next_page: bool,
        mut cursors: impl DoubleEndedIterator<Item = &'a Cursor>,
    ) -> Self {
        let start_cursor = cursors.next().map(Cursor::encode);
        let end_cursor = cursors.next_back().map(Cursor::encode).or_else(|| start_cursor.clone());
        Self { has_next_page, has_previous_page, start_cursor, end_cursor }
    }
}
