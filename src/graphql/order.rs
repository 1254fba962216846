//! Puts an answer's fields into the order of the document, as the GraphQL specification describes
//! it: the library gives them in the order in which they became ready.

use async_graphql::{
    Name, Positioned, Value,
    indexmap::IndexMap,
    parser::types::{ExecutableDocument, Selection, SelectionSet},
};

/// The names that a selection gives its fields, in order, each with the order below it.
#[derive(Debug, Default)]
pub(super) struct Order(Vec<(Name, Order)>);

type Selections<'a> = Vec<&'a Positioned<SelectionSet>>;

impl Order {
    /// The order of an operation of a document that validation has passed: its fragments contain
    /// themselves nowhere, and its fields are not many.
    pub(super) fn of(document: &ExecutableDocument, operation: Option<&str>) -> Self {
        let operation = document
            .operations
            .iter()
            .find(|(name, _)| operation.is_none() || name.map(Name::as_str) == operation)
            .map(|(_, operation)| &operation.node.selection_set);
        operation.map_or_else(Self::default, |selections| Self::below(&vec![selections], document))
    }

    fn below(selections: &Selections<'_>, document: &ExecutableDocument) -> Self {
        let mut wanted = IndexMap::new();
        for set in selections {
            collect(set, document, &mut wanted);
        }
        Self(wanted.into_iter().map(|(name, below)| (name.clone(), Self::below(&below, document))).collect())
    }

    /// Sorts the fields of every object in `value`. Most are sorted already.
    pub(super) fn apply(&self, value: &mut Value) {
        match value {
            Value::List(items) => items.iter_mut().for_each(|item| self.apply(item)),
            Value::Object(fields) => {
                if !self.holds(fields) {
                    self.sort(fields);
                }
                let mut orders = self.0.iter();
                for (name, value) in fields {
                    if let Some((_, below)) = orders.find(|(wanted, _)| wanted == name) {
                        below.apply(value);
                    }
                }
            }
            _ => {}
        }
    }

    /// Whether fields are in order; some of those that were selected may be missing.
    fn holds(&self, fields: &IndexMap<Name, Value>) -> bool {
        let mut names = self.0.iter().map(|(name, _)| name);
        fields.keys().all(|name| names.any(|wanted| wanted == name))
    }

    fn sort(&self, fields: &mut IndexMap<Name, Value>) {
        let mut unsorted = std::mem::take(fields);
        for (name, _) in &self.0 {
            if let Some(value) = unsorted.swap_remove(name) {
                fields.insert(name.clone(), value);
            }
        }
        fields.extend(unsorted);
    }
}

/// What is selected below each name.
fn collect<'a>(
    set: &'a Positioned<SelectionSet>,
    document: &'a ExecutableDocument,
    wanted: &mut IndexMap<&'a Name, Selections<'a>>,
) {
    for selection in &set.node.items {
        match &selection.node {
            Selection::Field(field) => {
                wanted.entry(&field.node.response_key().node).or_default().push(&field.node.selection_set);
            }
            Selection::InlineFragment(fragment) => collect(&fragment.node.selection_set, document, wanted),
            Selection::FragmentSpread(spread) => {
                if let Some(fragment) = document.fragments.get(&spread.node.fragment_name.node) {
                    collect(&fragment.node.selection_set, document, wanted);
                }
            }
        }
    }
}
