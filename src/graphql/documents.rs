//! Remembers parsed documents: clients send the same few again and again.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use async_graphql::{
    Name, Value, Variables,
    parser::{
        self,
        types::{BaseType, ExecutableDocument, OperationDefinition, VariableDefinition},
    },
};
use quick_cache::{Weighter, sync::Cache};

use super::order::Order;

/// Characters of all documents remembered together. Parsed, each takes some twenty times as much.
const CAPACITY: u64 = 512 * 1024;
/// Documents that this has room for, about.
const EXPECTED: usize = 1_000;

/// Parsed documents by their text.
pub(super) struct Documents(Cache<String, Arc<Document>, ByLength>);

/// A parsed document.
pub(super) struct Document {
    pub(super) parsed: ExecutableDocument,
    /// Whether it has passed validation.
    passed: AtomicBool,
    /// Its variables, where validation looks at them no further than [`Self::is_valid`] does.
    plain: Option<Vec<Plain>>,
    /// The order of its answer's fields, where it has one operation only.
    order: OnceLock<Order>,
}

/// A variable that takes any text.
struct Plain {
    name: Name,
    nullable: bool,
}

impl Plain {
    fn of(variable: &VariableDefinition) -> Option<Self> {
        let kind = &variable.var_type.node;
        let is_text = matches!(&kind.base, BaseType::Named(name) if name == "ID" || name == "String");
        (is_text && variable.default_value.is_none())
            .then(|| Self { name: variable.name.node.clone(), nullable: kind.nullable })
    }

    fn takes(&self, variables: &Variables) -> bool {
        match variables.get(&self.name) {
            Some(Value::String(_)) => true,
            Some(Value::Null) => self.nullable,
            _ => false,
        }
    }
}

#[derive(Clone)]
struct ByLength;

impl Weighter<String, Arc<Document>> for ByLength {
    fn weight(&self, text: &String, _: &Arc<Document>) -> u64 {
        text.len() as u64
    }
}

impl Default for Documents {
    fn default() -> Self {
        Self(Cache::with_weighter(EXPECTED, CAPACITY, ByLength))
    }
}

impl Documents {
    /// The document, where it was parsed earlier.
    pub(super) fn known(&self, text: &str) -> Option<Arc<Document>> {
        self.0.get(text)
    }

    /// Parses a document, and remembers it. What is no document is not remembered.
    pub(super) fn parse(&self, text: &str) -> Result<Arc<Document>, parser::Error> {
        let parsed = parser::parse_query(text)?;
        let document = Arc::new(Document::new(parsed));
        self.0.insert(text.to_owned(), document.clone());
        Ok(document)
    }
}

impl Document {
    fn new(parsed: ExecutableDocument) -> Self {
        let mut operations = parsed.operations.iter();
        let plain = match (operations.next(), operations.next()) {
            (Some((_, only)), None) => {
                only.node.variable_definitions.iter().map(|variable| Plain::of(&variable.node)).collect()
            }
            _ => None,
        };
        Self { parsed, passed: AtomicBool::new(false), plain, order: OnceLock::new() }
    }

    /// The operation that would run, and its name: none where there is none of this name, or several and no name.
    pub(super) fn operation(&self, name: Option<&str>) -> Option<(Option<&Name>, &OperationDefinition)> {
        let mut all = self.parsed.operations.iter();
        let (name, definition) = match name {
            Some(_) => all.find(|(each, _)| each.map(Name::as_str) == name)?,
            None => all.next().filter(|_| all.next().is_none())?,
        };
        Some((name, &definition.node))
    }

    /// Notes that validation has passed it.
    pub(super) fn pass(&self) {
        self.passed.store(true, Ordering::Relaxed);
    }

    /// Whether validation would surely pass it with these variables, as it has done before. They matter to
    /// it only by the types of values.
    pub(super) fn is_valid(&self, variables: &Variables) -> bool {
        self.passed.load(Ordering::Relaxed)
            && self.plain.as_ref().is_some_and(|plain| plain.iter().all(|each| each.takes(variables)))
    }

    /// Puts the fields of an answer into the order in which `operation` selects them.
    pub(super) fn sort(&self, answer: &mut Value, operation: Option<&str>) {
        // Without data it may not have passed validation.
        if *answer == Value::Null {
            return;
        }
        if self.parsed.operations.iter().count() == 1 {
            self.order.get_or_init(|| Order::of(&self.parsed, None)).apply(answer);
        } else {
            Order::of(&self.parsed, operation).apply(answer);
        }
    }
}
