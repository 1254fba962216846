//! The schema that is served holds everything that clients rely on.

use std::collections::{BTreeMap, BTreeSet};

use async_graphql_parser::{
    parse_schema,
    types::{ServiceDocument, TypeDefinition, TypeKind, TypeSystemDefinition},
};

const CONTRACT: &str = include_str!("contract.graphql");
const PUBLISHED: &str = include_str!("../../schema.graphql");

/// Each type's members with what clients may rely on of each: its type, its arguments, its default.
fn members(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let document: ServiceDocument = parse_schema(text).expect("a schema");
    let types = document.definitions.into_iter().filter_map(|definition| match definition {
        TypeSystemDefinition::Type(definition) => Some(definition.node),
        _ => None,
    });
    types.map(|definition| (definition.name.node.to_string(), members_of(&definition))).collect()
}

fn members_of(definition: &TypeDefinition) -> BTreeSet<String> {
    match &definition.kind {
        TypeKind::Scalar => BTreeSet::from(["scalar".to_owned()]),
        TypeKind::Enum(kind) => {
            kind.values.iter().map(|value| format!("enum {}", value.node.value.node)).collect()
        }
        TypeKind::InputObject(kind) => kind
            .fields
            .iter()
            .map(|field| {
                let field = &field.node;
                let default = field.default_value.as_ref().map(|value| format!(" = {}", value.node));
                format!("input {}: {}{}", field.name.node, field.ty.node, default.unwrap_or_default())
            })
            .collect(),
        TypeKind::Object(kind) => kind
            .fields
            .iter()
            .flat_map(|field| {
                let field = &field.node;
                let itself = format!("field {}: {}", field.name.node, field.ty.node);
                let arguments = field.arguments.iter().map(|argument| {
                    let argument = &argument.node;
                    let default = argument.default_value.as_ref().map(|value| format!(" = {}", value.node));
                    format!(
                        "argument {}({}: {}{})",
                        field.name.node,
                        argument.name.node,
                        argument.ty.node,
                        default.unwrap_or_default()
                    )
                });
                std::iter::once(itself).chain(arguments).collect::<Vec<_>>()
            })
            .collect(),
        other => panic!("{}: the contract has no {other:?}", definition.name.node),
    }
}

#[test]
fn the_published_schema_is_the_one_that_is_served() {
    assert_eq!(
        tenant_gateway::graphql::sdl(),
        PUBLISHED,
        "run `cargo run -- schema > schema.graphql` and commit it"
    );
}

#[test]
fn nothing_of_the_contract_is_missing_or_changed() {
    let published = members(PUBLISHED);
    for (name, wanted) in members(CONTRACT) {
        let found = published.get(&name).unwrap_or_else(|| panic!("type {name} is missing"));
        let missing: Vec<_> = wanted.difference(found).collect();
        assert!(missing.is_empty(), "{name} lacks, or changed: {missing:#?}\nit has {found:#?}");
    }
}

/// What grows beyond the contract must not break its clients: a new argument needs a default, or to
/// be nullable.
#[test]
fn what_was_added_can_be_left_out() {
    let contract = members(CONTRACT);
    for (name, found) in members(PUBLISHED) {
        let Some(wanted) = contract.get(&name) else { continue };
        for added in found.difference(wanted) {
            let demanded = added.ends_with('!') || added.ends_with("!)");
            let is_input = added.starts_with("input") || added.starts_with("argument");
            assert!(!(is_input && demanded), "{name}: {added} is demanded of clients that do not know it");
        }
    }
}

/// People read the schema in the playground: everything in it says what it is.
#[test]
fn everything_has_a_description() {
    let document: ServiceDocument = parse_schema(PUBLISHED).expect("a schema");
    let mut silent = Vec::new();
    for definition in &document.definitions {
        let TypeSystemDefinition::Type(definition) = definition else { continue };
        let definition = &definition.node;
        let name = definition.name.node.as_str();
        if definition.description.is_none() {
            silent.push(name.to_owned());
        }
        let mut note = |member: &str, described: bool| {
            if !described {
                silent.push(format!("{name}.{member}"));
            }
        };
        match &definition.kind {
            TypeKind::Enum(kind) => {
                kind.values.iter().for_each(|v| note(&v.node.value.node, v.node.description.is_some()));
            }
            TypeKind::InputObject(kind) => {
                kind.fields.iter().for_each(|f| note(&f.node.name.node, f.node.description.is_some()));
            }
            TypeKind::Object(kind) => {
                for field in &kind.fields {
                    note(&field.node.name.node, field.node.description.is_some());
                    for argument in &field.node.arguments {
                        note(&argument.node.name.node, argument.node.description.is_some());
                    }
                }
            }
            _ => {}
        }
    }
    assert!(silent.is_empty(), "without a description: {silent:#?}");
}
