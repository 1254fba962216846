//! What a document may ask for, counted before it is validated: validation itself follows fragments, and a few lines
//! of them can stand for a billion fields.

use std::collections::HashMap;

use async_graphql::{
    Name, Value, Variables,
    parser::types::{ExecutableDocument, Field, Selection, SelectionSet, VariableDefinition},
};
use chrono::NaiveDate;

use crate::{
    paging::{DEFAULT_PAGE, MAX_PAGE},
    usage::MAX_BUCKETS,
};

/// Deepest nesting of brackets of any kind. The parser goes one call deeper with each.
const MAX_NESTING: usize = 100;
/// Fields that give a page.
const PAGED: [&str; 2] = ["tenants", "tenantDeletions"];

/// The most that a document may have. Fragments count wherever they are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DocumentLimits {
    /// Words and signs of the text.
    pub tokens: usize,
    /// Fields inside fields.
    pub depth: usize,
    /// Fields, those of a page times its size.
    pub cost: usize,
    /// Fields under another name.
    pub aliases: usize,
    /// Directives.
    pub directives: usize,
    /// Fields of one operation's root.
    pub root_fields: usize,
}

impl Default for DocumentLimits {
    /// Several times what the largest document of a dashboard or of the playground has; the longest series fits.
    fn default() -> Self {
        Self { tokens: 5_000, depth: 20, cost: 50_000, aliases: 200, directives: 100, root_fields: 50 }
    }
}

/// The field that gives a series of buckets.
const SERIES: &str = "usage";

/// What a document has more of than it may: a sentence for the client.
pub(super) type TooMuch = String;

impl DocumentLimits {
    /// Looks at a text that is not parsed yet.
    pub(super) fn check_text(&self, text: &str) -> Result<(), TooMuch> {
        let (mut tokens, mut nesting) = (0, 0_usize);
        let mut rest = text.as_bytes();
        while let Some(first) = rest.first() {
            let length = match first {
                b'#' => rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len()),
                b' ' | b'\t' | b'\n' | b'\r' | b',' => 1,
                b'"' => {
                    tokens += 1;
                    string(rest)
                }
                byte if is_word(*byte) => {
                    tokens += 1;
                    rest.iter().position(|byte| !is_word(*byte)).unwrap_or(rest.len())
                }
                byte => {
                    tokens += 1;
                    match byte {
                        b'{' | b'[' | b'(' => nesting += 1,
                        b'}' | b']' | b')' => nesting = nesting.saturating_sub(1),
                        _ => {}
                    }
                    1
                }
            };
            if tokens > self.tokens {
                return Err(format!("the document has more than {} tokens; split it", self.tokens));
            }
            if nesting > MAX_NESTING {
                return Err(format!("the document nests brackets deeper than {MAX_NESTING}"));
            }
            rest = &rest[length..];
        }
        Ok(())
    }

    /// Looks at a document, with the variables that say how large its pages are.
    pub(super) fn check(&self, document: &ExecutableDocument, variables: &Variables) -> Result<(), TooMuch> {
        for (_, operation) in document.operations.iter() {
            let operation = &operation.node;
            let mut walk = Walk {
                document,
                variables,
                definitions: operation
                    .variable_definitions
                    .iter()
                    .map(|definition| &definition.node)
                    .collect(),
                fragments: HashMap::new(),
            };
            let mut found = walk.selection(&operation.selection_set.node);
            found.directives += operation.directives.len();
            let within = [
                (found.depth, self.depth, "is nested deeper than", "levels; ask in several requests"),
                (
                    found.cost,
                    self.cost,
                    "costs more than",
                    "fields, those of a page times its size; ask for smaller pages",
                ),
                (found.aliases, self.aliases, "has more than", "aliases; ask in several requests"),
                (found.directives, self.directives, "has more than", "directives"),
                (
                    found.roots,
                    self.root_fields,
                    "has more than",
                    "fields at its root; ask in several requests",
                ),
            ];
            for (found, limit, exceeds, what) in within {
                if found > limit {
                    return Err(format!("the document {exceeds} {limit} {what}"));
                }
            }
        }
        Ok(())
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+' | b'.') || byte >= 0x80
}

/// The length of the string that a text begins with. One without an end is as long as the text.
fn string(text: &[u8]) -> usize {
    let is_block = text.starts_with(b"\"\"\"");
    let quotes: &[u8] = if is_block { b"\"\"\"" } else { b"\"" };
    // A block knows one escape only; elsewhere any sign may follow.
    let (escape, escaped): (&[u8], usize) = if is_block { (b"\\\"\"\"", 4) } else { (b"\\", 2) };
    let mut at = quotes.len();
    while at < text.len() {
        if text[at..].starts_with(escape) {
            at += escaped;
        } else if text[at..].starts_with(quotes) {
            return at + quotes.len();
        } else {
            at += 1;
        }
    }
    text.len()
}

/// What a selection has, with all that it contains.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    depth: usize,
    cost: usize,
    aliases: usize,
    directives: usize,
    /// Fields of the selection itself.
    roots: usize,
}

impl Found {
    /// The same in a fragment: to follow one is work too, even where it has no field.
    fn spread(self) -> Self {
        Self { cost: self.cost.saturating_add(1), ..self }
    }
}

struct Walk<'a> {
    document: &'a ExecutableDocument,
    variables: &'a Variables,
    definitions: Vec<&'a VariableDefinition>,
    /// Each fragment is looked at once, however often it is spread. One that is being looked at counts as nothing:
    /// validation refuses it.
    fragments: HashMap<&'a Name, Found>,
}

impl<'a> Walk<'a> {
    fn selection(&mut self, selection: &'a SelectionSet) -> Found {
        let mut all = Found::default();
        for item in &selection.items {
            let found = match &item.node {
                Selection::Field(field) => self.field(&field.node),
                Selection::InlineFragment(inline) => self.selection(&inline.node.selection_set.node).spread(),
                Selection::FragmentSpread(spread) => self.fragment(&spread.node.fragment_name.node).spread(),
            };
            all.depth = all.depth.max(found.depth);
            all.cost = all.cost.saturating_add(found.cost);
            all.aliases = all.aliases.saturating_add(found.aliases);
            all.directives = all.directives.saturating_add(found.directives + item.node.directives().len());
            all.roots = all.roots.saturating_add(found.roots);
        }
        all
    }

    fn field(&mut self, field: &'a Field) -> Found {
        let inner = self.selection(&field.selection_set.node);
        Found {
            depth: inner.depth + 1,
            cost: inner.cost.saturating_mul(self.page(field)).saturating_add(1),
            aliases: inner.aliases.saturating_add(usize::from(field.alias.is_some())),
            directives: inner.directives,
            roots: 1,
        }
    }

    fn fragment(&mut self, name: &'a Name) -> Found {
        if let Some(known) = self.fragments.get(name) {
            return *known;
        }
        self.fragments.insert(name, Found::default());
        let definition = self.document.fragments.get(name);
        let found =
            definition.map(|fragment| self.selection(&fragment.node.selection_set.node)).unwrap_or_default();
        self.fragments.insert(name, found);
        found
    }

    /// How often what is inside a field is given.
    fn page(&self, field: &Field) -> usize {
        if field.name.node == SERIES {
            return self.buckets(field).unwrap_or(MAX_BUCKETS).min(MAX_BUCKETS);
        }
        if !PAGED.contains(&field.name.node.as_str()) {
            return 1;
        }
        let sizes = ["first", "last"].iter().filter_map(|argument| {
            let value = field.get_argument(argument)?.node.clone();
            let value = value.into_const_with(|name| self.variable(&name).ok_or(())).ok()?;
            let Value::Number(size) = value else { return None };
            size.as_u64().and_then(|size| usize::try_from(size).ok())
        });
        // What is no size is refused where it is resolved.
        sizes.max().unwrap_or(DEFAULT_PAGE).min(MAX_PAGE)
    }

    /// How many buckets a series has, about; nothing where that cannot be told.
    fn buckets(&self, field: &Field) -> Option<usize> {
        let argument = |name: &str| {
            let value = field.get_argument(name)?.node.clone();
            value.into_const_with(|name| self.variable(&name).ok_or(())).ok()
        };
        let day = |name: &str| match argument(name)? {
            Value::String(text) => text.parse::<NaiveDate>().ok(),
            _ => None,
        };
        let days = usize::try_from((day("to")? - day("from")?).num_days()).unwrap_or_default() + 1;
        let granularity = match argument("granularity")? {
            Value::Enum(name) => name.to_string(),
            Value::String(name) => name,
            _ => return None,
        };
        match granularity.as_str() {
            "HOUR" => days.checked_mul(24),
            "DAY" => Some(days),
            "MONTH" => Some(days / 28 + 2),
            _ => None,
        }
    }

    fn variable(&self, name: &Name) -> Option<Value> {
        let default = || self.definitions.iter().find(|each| each.name.node == *name)?.default_value();
        self.variables.get(name).or_else(default).cloned()
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use serde_json::json;

    use super::*;

    const LIMITS: DocumentLimits =
        DocumentLimits { tokens: 60, depth: 4, cost: 40, aliases: 2, directives: 2, root_fields: 3 };

    /// The first words of the refusal, if there is one.
    fn refused(document: &str, variables: serde_json::Value) -> Option<String> {
        LIMITS.check_text(document).err().or_else(|| {
            let parsed = parse_query(document).expect("a document");
            LIMITS.check(&parsed, &Variables::from_json(variables)).err()
        })
    }

    #[test]
    fn each_limit_is_held_at_its_edge() {
        for (fits, exceeds, what) in [
            ("{ a { b { c { d } } } }", "{ a { b { c { d { e } } } } }", "deeper than 4 levels"),
            ("{ x: a y: a }", "{ x: a y: a z: a }", "2 aliases"),
            (
                "{ a @skip(if: true) b @skip(if: true) }",
                "{ a @skip(if: true) b @skip(if: true) c @skip(if: true) }",
                "2 directives",
            ),
            ("{ a b c }", "{ a b c d }", "3 fields at its root"),
            ("{ tenants(first: 39) { id } }", "{ tenants(first: 40) { id } }", "costs more than 40"),
        ] {
            assert_eq!(refused(fits, json!({})), None, "{fits}");
            let sentence = refused(exceeds, json!({})).expect(exceeds);
            assert!(sentence.contains(what), "{sentence}");
        }
        let most = format!("{{ a(x: [{}]) }}", "1 ".repeat(60 - 9));
        assert_eq!(LIMITS.check_text(&most), Ok(()));
        assert!(LIMITS.check_text(&format!("{most} # \n x")).is_err());
    }

    #[test]
    fn a_page_is_as_large_as_its_variable_says() {
        let document = "query ($n: Int = 100) { tenants(first: $n) { id } }";
        assert_eq!(refused(document, json!({ "n": 5 })), None);
        assert!(refused(document, json!({ "n": 50 })).is_some());
        assert!(refused(document, json!({})).is_some(), "the default counts");
        assert!(refused("{ tenants { id } }", json!({})).is_some(), "a page has a size by itself");
    }

    #[test]
    fn a_series_is_as_long_as_its_range() {
        let document =
            |range: &str| format!("query ($to: Date = \"2026-01-31\") {{ usage({range}) {{ a }} }}");
        let day = "from: \"2026-01-01\", to: $to, granularity: DAY";
        assert_eq!(refused(&document(day), json!({})), None);
        assert!(refused(&document(day), json!({ "to": "2026-03-31" })).is_some());
        assert!(refused(&document(&day.replace("DAY", "HOUR")), json!({})).is_some());
        assert_eq!(refused(&document(&day.replace("DAY", "MONTH")), json!({ "to": "2026-12-31" })), None);
        assert!(refused(&document("from: \"x\""), json!({})).is_some(), "what cannot be told is long");
    }

    /// Fragments that spread each other: few words, a billion fields, counted at once.
    #[test]
    fn fragments_count_wherever_they_are_spread() {
        let mut document = "{ ...f0 }".to_owned();
        for number in 0..40 {
            let next = number + 1;
            document.extend([format!(" fragment f{number} on Query {{ ...f{next} ...f{next} }}")]);
        }
        document += " fragment f40 on Query { a }";
        let parsed = parse_query(&document).expect("a document");
        let limits = DocumentLimits::default();
        assert!(limits.check(&parsed, &Variables::default()).is_err());
        // Those without a field are followed too.
        let empty = parse_query(document.replace("{ a }", "{ ...gone }")).expect("a document");
        assert!(limits.check(&empty, &Variables::default()).is_err());
        let circle = parse_query("{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }");
        assert_eq!(
            limits.check(&circle.expect("a document"), &Variables::default()),
            Ok(()),
            "for validation"
        );
    }

    #[test]
    fn what_is_in_strings_and_comments_is_no_token() {
        for text in [
            "{ a(b: \"{[(((((\\\" ((((\") } # {{{{{{{",
            "{ a(b: \"\"\"{[ \" ((( \"\" (( \\\"\"\" ((\"\"\") }",
            "\u{feff}{ a }",
        ] {
            assert_eq!(LIMITS.check_text(text), Ok(()), "{text}");
        }
        assert!(LIMITS.check_text(&"[".repeat(59)).is_ok());
        assert!(DocumentLimits { tokens: 10_000, ..LIMITS }.check_text(&"[".repeat(101)).is_err());
        assert!(LIMITS.check_text("\"no end").is_ok());
        // In a block a backslash alone escapes nothing.
        let hidden = format!("{{ a(b: \"\"\"\\\\\"\"\" \"\"\", c: {}", "[".repeat(101));
        assert!(DocumentLimits { tokens: 10_000, ..LIMITS }.check_text(&hidden).is_err());
    }
}
