//! The table that is printed, and the limits in it.

use std::time::Duration;

/// Lines of the table.
#[derive(Default)]
pub struct Table {
    lines: Vec<String>,
    missed: usize,
}

impl Table {
    /// A ratio that must not be smaller.
    pub fn at_least(&mut self, what: &str, detail: &str, found: f64, least: f64) {
        self.line(what, detail, &format!("{found:.2}"), &format!("≥ {least}"), found >= least);
    }

    /// A ratio that must not be larger.
    pub fn at_most(&mut self, what: &str, detail: &str, found: f64, most: f64) {
        self.line(what, detail, &format!("{found:.2}"), &format!("≤ {most}"), found <= most);
    }

    /// Something of which there must be none.
    pub fn none(&mut self, what: &str, detail: &str, found: i64) {
        self.line(what, detail, &found.to_string(), "0", found == 0);
    }

    fn line(&mut self, what: &str, detail: &str, found: &str, limit: &str, reached: bool) {
        let verdict = if reached { "reached" } else { "NOT REACHED" };
        self.missed += usize::from(!reached);
        let line = format!("| {what} | {detail} | {found} | {limit} | {verdict} |");
        eprintln!("{line}");
        self.lines.push(line);
    }

    /// All of it, as Markdown.
    pub fn print(&self) {
        println!("\n| what | measured | figure | must reach | |\n|---|---|---|---|---|");
        for line in &self.lines {
            println!("{line}");
        }
        println!("\n{} of {} reached", self.lines.len() - self.missed, self.lines.len());
    }
}

/// The middle one.
pub fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Milliseconds.
pub fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
