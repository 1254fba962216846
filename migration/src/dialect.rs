//! Column types that SQLite lacks.

/// Spells out two of them, a column a line: `ID`, 16 bytes, and `INSTANT`, text such as
/// `2026-10-02T12:34:56.789012Z`, whose date must exist.
pub(crate) fn sqlite(statement: &str) -> String {
    statement.lines().map(expand).collect::<Vec<_>>().join("\n")
}

fn expand(line: &str) -> String {
    let column = line.split_whitespace().next().unwrap_or_default();
    let comma = if line.ends_with(',') { "," } else { "" };
    let line_without_comma = line.trim_end_matches(',');
    if line.contains(&format!("{column} ID")) {
        format!(
            "{}{}{comma}",
            line_without_comma.replacen(" ID", " BLOB", 1),
            format_args!(" CHECK (length({column}) = 16)")
        )
    } else if line.contains(&format!("{column} INSTANT")) {
        let typed = line_without_comma
            .replacen(" INSTANT", " TEXT", 1)
            .replace("DEFAULT NOW", "DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')");
        // The seconds are checked without their fraction, which `strftime` would round.
        format!(
            "{typed} CHECK (substr({column}, 1, 19) IS strftime('%Y-%m-%dT%H:%M:%S', substr({column}, 1, 19)) \
             AND substr({column}, 20) GLOB '.[0-9][0-9][0-9][0-9][0-9][0-9]Z'){comma}"
        )
    } else {
        line.to_owned()
    }
}
