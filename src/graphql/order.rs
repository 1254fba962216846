//! Puts an answer's fields into the order of the document, as the GraphQL specification describes
//! it: the library gives them in the order in which they became ready.

use async_graphql::{
    Name, Positioned, Value,
    indexmap::IndexMap,
    parser::types::{ExecutableDocument, Selection, SelectionSet},
};

type Selections<'a> = Vec<&'a Positioned<SelectionSet>>;

/// The answer's data with its fields in the order in which the operation selects them.
pub(super) fn in_document_order(
    data: Value,
    document: &ExecutableDocument,
    operation: Option<&str>,
) -> Value {
    let operation = document
        .operations
        .iter()
        .find(|(name, _)| operation.is_none() || name.map(Name::as_str) == operation)
        .map(|(_, operation)| &operation.node.selection_set);
    match operation {
        Some(selections) => sort(data, document, &vec![selections]),
        None => data,
    }
}

fn sort(value: Value, document: &ExecutableDocument, selections: &Selections<'_>) -> Value {
    match value {
        Value::List(items) => {
            Value::List(items.into_iter().map(|item| sort(item, document, selections)).collect())
        }
        Value::Object(mut fields) => {
            let mut wanted = IndexMap::new();
            for set in selections {
                collect(set, document, &mut wanted);
            }
            let mut sorted = IndexMap::with_capacity(fields.len());
            for (name, below) in wanted {
                if let Some(value) = fields.swap_remove(name) {
                    sorted.insert(name.clone(), sort(value, document, &below));
                }
            }
            sorted.extend(fields);
            Value::Object(sorted)
        }
        scalar => scalar,
    }
}

/// The names that a selection gives its fields, in order, each with what is selected below it.
/// Validation has refused fragments that contain themselves.
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
