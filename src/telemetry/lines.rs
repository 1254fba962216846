//! The log's way to where it is written: what is told of each operation goes there together with that of others, for a
//! write of its own would take longer than most operations.

use std::{
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

use super::OPERATIONS;

/// Bytes that wait at most.
const MOST: usize = 16 * 1024;

/// Takes lines and writes them to `out` in their order: those of operations after a moment, all others at once. Cheap
/// to clone.
#[derive(Debug)]
pub(super) struct Lines<W>(Arc<Shared<W>>);

#[derive(Debug)]
struct Shared<W> {
    lines: Mutex<Waiting<W>>,
    /// Told when the first line begins to wait.
    begun: Condvar,
}

#[derive(Debug)]
struct Waiting<W> {
    bytes: Vec<u8>,
    out: W,
}

impl<W: Write> Waiting<W> {
    fn write(&mut self) -> io::Result<()> {
        let outcome = self.out.write_all(&self.bytes).and_then(|()| self.out.flush());
        self.bytes.clear();
        outcome
    }
}

impl<W> Clone for Lines<W> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<W> Lines<W> {
    fn waiting(&self) -> MutexGuard<'_, Waiting<W>> {
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: Write + Send + 'static> Lines<W> {
    /// Starts a thread that writes what has waited for so long.
    pub(super) fn to(out: W, wait: Duration) -> Self {
        let bytes = Vec::with_capacity(MOST);
        let lines =
            Self(Arc::new(Shared { lines: Mutex::new(Waiting { bytes, out }), begun: Condvar::new() }));
        let own = lines.clone();
        thread::spawn(move || {
            loop {
                let waiting = own.0.begun.wait_while(own.waiting(), |waiting| waiting.bytes.is_empty());
                drop(waiting);
                thread::sleep(wait);
                own.write();
            }
        });
        lines
    }

    /// Writes what waits.
    pub(super) fn write(&self) {
        // There is nobody to tell of a log that cannot be written.
        let _ = self.waiting().write();
    }
}

/// Where one line goes.
#[derive(Debug)]
pub(super) struct Line<'a, W> {
    lines: &'a Lines<W>,
    may_wait: bool,
}

impl<W: Write> Write for Line<'_, W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self.lines.waiting();
        if waiting.bytes.is_empty() && self.may_wait {
            self.lines.0.begun.notify_one();
        }
        waiting.bytes.extend_from_slice(line);
        if !self.may_wait || waiting.bytes.len() >= MOST {
            waiting.write()?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a, W: Write + 'a> MakeWriter<'a> for Lines<W> {
    type Writer = Line<'a, W>;

    fn make_writer(&'a self) -> Self::Writer {
        Line { lines: self, may_wait: false }
    }

    fn make_writer_for(&'a self, of: &Metadata<'_>) -> Self::Writer {
        Line { lines: self, may_wait: of.target() == OPERATIONS }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[derive(Clone, Debug, Default)]
    struct Written(Arc<Mutex<Vec<Vec<u8>>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("a lock").push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Written {
        fn texts(&self) -> Vec<String> {
            let all = self.0.lock().expect("a lock");
            all.iter().map(|bytes| String::from_utf8(bytes.clone()).expect("text")).collect()
        }
    }

    fn put(lines: &Lines<Written>, may_wait: bool, text: &str) {
        Line { lines, may_wait }.write_all(text.as_bytes()).expect("a line");
    }

    #[test]
    fn lines_of_operations_wait_for_each_other_and_no_other_does() {
        let written = Written::default();
        let lines = Lines::to(written.clone(), Duration::from_mins(1));
        put(&lines, true, "a\n");
        put(&lines, true, "b\n");
        put(&lines, false, "c\n");
        assert_eq!(written.texts(), ["a\nb\nc\n"], "at once, and in their order");
        put(&lines, false, "d\n");
        assert_eq!(written.texts().len(), 2);

        let long = "x".repeat(MOST - 1);
        put(&lines, true, &long);
        put(&lines, true, "y");
        assert_eq!(written.texts()[2], format!("{long}y"), "not more than so many bytes wait");

        put(&lines, true, "e\n");
        lines.write();
        assert_eq!(written.texts()[3], "e\n", "at the end nothing is left");
    }

    #[test]
    fn a_line_that_nothing_follows_is_written_too() {
        let written = Written::default();
        let lines = Lines::to(written.clone(), Duration::from_millis(10));
        for count in 1..=2 {
            put(&lines, true, "a\n");
            let begun = Instant::now();
            while written.texts().len() < count {
                assert!(begun.elapsed() < Duration::from_secs(10), "it waits for ever");
                thread::sleep(Duration::from_millis(5));
            }
        }
    }
}
