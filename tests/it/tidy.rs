//! The house rules that a program can check: which way imports point, how long a file is, and that
//! each says what it is for.

use std::{fs, path::Path};

/// Longest file, in lines.
const LONGEST: usize = 400;

/// What each part may import of the crate. Imports point down: no part is in the list of one that it
/// imports itself.
const MAY_IMPORT: [(&str, &[&str]); 19] = [
    ("main", &[]),
    (
        "cli",
        &[
            "app",
            "auth",
            "cascade",
            "clock",
            "config",
            "database",
            "deletion",
            "demo",
            "graphql",
            "metrics",
            "storage",
            "telemetry",
            "usage",
        ],
    ),
    ("config", &["auth", "cascade", "deletion", "storage"]),
    (
        "app",
        &[
            "auth", "cascade", "clock", "database", "deletion", "graphql", "http", "metrics", "storage",
            "usage", "workers",
        ],
    ),
    ("workers", &["database", "metrics", "usage"]),
    ("http", &["auth", "database", "deletion", "graphql", "metrics", "telemetry", "usage"]),
    (
        "graphql",
        &["auth", "clock", "database", "deletion", "metrics", "paging", "telemetry", "tenant", "usage"],
    ),
    (
        "deletion",
        &["auth", "cascade", "clock", "database", "faults", "metrics", "paging", "storage", "usage"],
    ),
    ("tenant", &["auth", "database", "paging", "usage"]),
    ("demo", &["database", "storage"]),
    ("usage", &["clock", "database"]),
    ("cascade", &["database"]),
    ("auth", &["clock", "telemetry"]),
    ("paging", &["database"]),
    ("database", &[]),
    ("storage", &[]),
    ("metrics", &[]),
    ("faults", &[]),
    ("telemetry", &[]),
];

/// Parts that import nothing and that all may import.
const LEAVES: [&str; 3] = ["clock", "faults", "telemetry"];

fn sources(directory: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push((path.display().to_string(), fs::read_to_string(&path).expect("text")));
        }
    }
}

fn tree(name: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(name), &mut found);
    assert!(!found.is_empty(), "{name} has no sources");
    found
}

#[test]
fn every_file_says_what_it_is_for_and_is_short() {
    for (path, text) in ["src", "entity", "migration", "tests"].into_iter().flat_map(tree) {
        assert!(text.starts_with("//! "), "{path} does not begin with a line that says what it is for");
        let lines = text.lines().count();
        assert!(lines <= LONGEST, "{path} has {lines} lines: two ideas?");
    }
}

#[test]
fn imports_point_down() {
    for (at, (part, allowed)) in MAY_IMPORT.iter().enumerate() {
        for below in *allowed {
            let place = MAY_IMPORT.iter().position(|(name, _)| name == below);
            let below_is_lower = place.is_none_or(|place| place > at);
            assert!(
                LEAVES.contains(below) || below_is_lower,
                "{part} may not import {below}, which is above it"
            );
        }
    }
    for (path, text) in tree("src") {
        let inside = path.split("/src/").last().expect("a path");
        let part = inside.split(['/', '.']).next().expect("a part");
        if part == "lib" {
            continue;
        }
        let allowed =
            MAY_IMPORT.iter().find(|(name, _)| *name == part).map_or(&[][..], |(_, allowed)| allowed);
        for imported in imports(&text) {
            assert!(
                imported == part || allowed.contains(&imported.as_str()),
                "{path} imports {imported}, which {part} may not"
            );
        }
    }
}

/// The parts named after `crate::`, alone or in braces.
fn imports(text: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut parts = Vec::new();
    for after in text.split("crate::").skip(1) {
        match after.strip_prefix('{') {
            Some(list) => {
                let (mut depth, mut start) = (0, true);
                for (at, c) in list.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        c if start && c.is_alphabetic() => {
                            parts.push(word(&list[at..]));
                            start = false;
                        }
                        _ => {}
                    }
                }
            }
            None => parts.push(word(after)),
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

#[test]
fn libraries_stay_in_their_places() {
    for (path, text) in tree("src") {
        let inside = path.split("/src/").last().expect("a path");
        let part = inside.split(['/', '.']).next().expect("a part");
        for (library, homes) in [
            ("axum", &["http", "app"][..]),
            ("async_graphql", &["graphql", "http"]),
            ("dataloader", &["graphql"]),
            ("jsonwebtoken", &["auth"]),
            ("prometheus_client", &["metrics"]),
            ("object_store", &["storage"]),
            ("indicatif", &["cli", "demo"]),
        ] {
            let used = text.contains(&format!("{library}::"));
            assert!(!used || homes.contains(&part), "{path} knows {library}");
        }
        let deletes = text.contains("\"DELETE FROM") || text.contains("(\"DELETE");
        // The others clear away what is their own, and nothing else.
        let own = ["usage_", "{table}", "gateway_leases", "tenant_deletion_"]
            .map(|table| text.matches(&format!("DELETE FROM {table}")).count());
        let own = text.matches("DELETE FROM").count() == own.iter().sum::<usize>();
        assert!(!deletes || part == "cascade" || own, "{path} builds a DELETE");
    }
}
