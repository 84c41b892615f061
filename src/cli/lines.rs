//! Files with one relationship (or check) a line, read in batches with bounded memory.
//!
//! Blank lines and lines that begin with `//` or `#` are skipped. Everything before a bad line comes out before the error
//! does, so that a reader knows exactly how far it came.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::marker::PhantomData;
use std::path::Path;

use super::failure::Failure;
use super::reference::{ReferenceError, parse_relationship, parse_tuple};
use crate::model::{Tuple, TupleKey};

/// No relationship is longer: two ids of 1024 bytes, two types of 128, two relations of 64, a caveat with a context of 25,000
/// as JSON may write it, a time, and their dividers.
const LONGEST_LINE: usize = 256 << 10;

/// What a line says.
pub(super) trait Line: Sized {
    /// Parses it.
    fn parse(text: &str) -> Result<Self, ReferenceError>;
    /// What it is about.
    fn key(&self) -> &TupleKey;
}

impl Line for TupleKey {
    fn parse(text: &str) -> Result<Self, ReferenceError> {
        parse_relationship(text)
    }

    fn key(&self) -> &TupleKey {
        self
    }
}

impl Line for Tuple {
    fn parse(text: &str) -> Result<Self, ReferenceError> {
        parse_tuple(text)
    }

    fn key(&self) -> &TupleKey {
        &self.key
    }
}

/// Some lines, parsed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Batch<T> {
    /// What they say, in their order.
    pub(super) items: Vec<T>,
    /// Lines that named again what this batch already had, and took the place of the earlier ones.
    pub(super) repeated: u64,
    /// The first line, counted from 1.
    pub(super) first_line: u64,
    /// The last line that was read, blank ones and comments included.
    pub(super) last_line: u64,
    /// Bytes of the file up to the end of the last line.
    pub(super) bytes: u64,
}

/// Whether one batch may hold a relationship twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeats {
    /// It may.
    Keep,
    /// Only the last one stays: one write must not name a relationship twice, and written one after the other it would win.
    Drop,
}

/// Why reading stopped.
#[derive(Debug, thiserror::Error)]
pub(super) enum LineError {
    /// The line is not a relationship.
    #[error("line {line}: {problem}")]
    Reference {
        /// Counted from 1.
        line: u64,
        /// Why not.
        problem: ReferenceError,
    },
    /// The line is not text, or far too long to be a relationship.
    #[error("line {line}: it {problem}; is this a file with one relationship a line?")]
    Text {
        /// Counted from 1.
        line: u64,
        /// What it is.
        problem: &'static str,
    },
    /// The file cannot be read.
    #[error("line {line}: cannot read on: {source}")]
    Read {
        /// Counted from 1.
        line: u64,
        /// Why not.
        source: io::Error,
    },
}

impl LineError {
    /// The line, counted from 1.
    pub(super) fn line(&self) -> u64 {
        match self {
            Self::Reference { line, .. } | Self::Text { line, .. } | Self::Read { line, .. } => *line,
        }
    }
}

/// Opens `path`, or standard input for `-`; with the size where it is known.
pub(super) fn open(path: &Path) -> Result<(Box<dyn BufRead + Send>, Option<u64>), Failure> {
    if path.as_os_str() == "-" {
        return Ok((Box::new(BufReader::new(io::stdin())), None));
    }
    let open = || -> io::Result<_> {
        let file = File::open(path)?;
        let meta = file.metadata()?;
        Ok((file, meta.is_file().then_some(meta.len())))
    };
    let (file, size) = open().map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?;
    Ok((Box::new(BufReader::with_capacity(1 << 18, file)), size))
}

/// The batches of a file.
pub(super) struct Batches<R, T> {
    line_type: PhantomData<fn() -> T>,
    input: R,
    size: usize,
    repeats: Repeats,
    skip: u64,
    line: u64,
    bytes: u64,
    buffer: Vec<u8>,
    failed: Option<LineError>,
    ended: bool,
}

impl<R: BufRead, T: Line> Batches<R, T> {
    /// Batches of at most `size` relationships from what follows the first `skip` lines.
    pub(super) fn new(input: R, size: usize, repeats: Repeats, skip: u64) -> Self {
        assert!(size > 0, "an empty batch would never end");
        Self {
            line_type: PhantomData,
            input,
            size,
            repeats,
            skip,
            line: 0,
            bytes: 0,
            buffer: Vec::new(),
            failed: None,
            ended: false,
        }
    }

    /// The next relationship; `None` at the end.
    fn next_item(&mut self) -> Result<Option<T>, LineError> {
        loop {
            if !self.next_line()? {
                return Ok(None);
            }
            if self.line <= self.skip {
                continue;
            }
            let line = self.line;
            let text = std::str::from_utf8(&self.buffer)
                .map_err(|_| LineError::Text { line, problem: "is not UTF-8 text" })?
                .trim_start_matches('\u{feff}')
                .trim();
            if text.is_empty() || text.starts_with("//") || text.starts_with('#') {
                continue;
            }
            return T::parse(text).map(Some).map_err(|problem| LineError::Reference { line, problem });
        }
    }

    /// Reads a line into the buffer, of which no more than a bounded part is ever kept.
    fn next_line(&mut self) -> Result<bool, LineError> {
        self.buffer.clear();
        let line = self.line + 1;
        let most = LONGEST_LINE as u64 + 1;
        let read = (&mut self.input).take(most).read_until(b'\n', &mut self.buffer);
        let read = read.map_err(|source| LineError::Read { line, source })?;
        if read == 0 {
            return Ok(false);
        }
        if self.buffer.len() > LONGEST_LINE && self.buffer.last() != Some(&b'\n') {
            return Err(LineError::Text { line, problem: "is longer than any relationship" });
        }
        self.line = line;
        self.bytes += read as u64;
        Ok(true)
    }
}

impl<R: BufRead, T: Line> Iterator for Batches<R, T> {
    type Item = Result<Batch<T>, LineError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.failed.take() {
            return Some(Err(error));
        }
        if self.ended {
            return None;
        }
        let mut places = HashMap::new();
        let (mut items, mut repeated, mut first_line) = (Vec::new(), 0, 0);
        while items.len() < self.size {
            match self.next_item() {
                Ok(Some(item)) => {
                    if items.is_empty() {
                        first_line = self.line;
                    }
                    match self.repeats {
                        Repeats::Keep => items.push(item),
                        Repeats::Drop => match places.entry(item.key().clone()) {
                            Entry::Occupied(place) => {
                                repeated += 1;
                                items[*place.get()] = item;
                            }
                            Entry::Vacant(place) => {
                                place.insert(items.len());
                                items.push(item);
                            }
                        },
                    }
                }
                Ok(None) => {
                    self.ended = true;
                    break;
                }
                Err(error) => {
                    self.ended = true;
                    self.failed = Some(error);
                    break;
                }
            }
        }
        if items.is_empty() {
            return self.failed.take().map(Err);
        }
        // A bad line was not consumed.
        let last_line = match &self.failed {
            None => self.line,
            Some(error) => error.line() - 1,
        };
        Some(Ok(Batch { items, repeated, first_line, last_line, bytes: self.bytes }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys of a batch, its first line and its last.
    type Read = (Vec<String>, u64, u64);

    fn batches(text: &[u8], size: usize, repeats: Repeats, skip: u64) -> (Vec<Read>, Option<String>) {
        let (mut good, mut bad) = (Vec::new(), None);
        for batch in Batches::<_, TupleKey>::new(text, size, repeats, skip) {
            match batch {
                Ok(batch) => {
                    assert!(bad.is_none(), "nothing may follow an error");
                    good.push((
                        batch.items.iter().map(ToString::to_string).collect(),
                        batch.first_line,
                        batch.last_line,
                    ));
                }
                Err(error) => bad = Some(error.to_string()),
            }
        }
        (good, bad)
    }

    fn doc(number: u32) -> String {
        format!("document:{number}#viewer@user:emil")
    }

    #[test]
    fn blank_lines_and_comments_are_skipped_and_counted() {
        let text = format!("\u{feff}// list\n\n  {}  \r\n# more\n{}\n{}", doc(1), doc(2), doc(3));
        let (good, bad) = batches(text.as_bytes(), 2, Repeats::Keep, 0);
        assert_eq!(good, [(vec![doc(1), doc(2)], 3, 5), (vec![doc(3)], 6, 6)]);
        assert_eq!(bad, None);
    }

    #[test]
    fn empty_files_give_nothing() {
        for text in ["", "\n\n", "// only\n# comments"] {
            assert_eq!(batches(text.as_bytes(), 10, Repeats::Drop, 0), (vec![], None), "{text:?}");
        }
    }

    #[test]
    fn what_comes_before_a_bad_line_comes_out_and_nothing_after_it() {
        let text = format!("{}\n{}\nnonsense\n{}\n", doc(1), doc(2), doc(3));
        let (good, bad) = batches(text.as_bytes(), 10, Repeats::Drop, 0);
        assert_eq!(good, [(vec![doc(1), doc(2)], 1, 2)]);
        assert!(bad.unwrap().starts_with("line 3: \"nonsense\" is not a relationship"));
    }

    #[test]
    fn skipped_lines_are_not_judged() {
        let text = format!("\nnonsense\n{}\n", doc(1));
        assert_eq!(batches(text.as_bytes(), 10, Repeats::Keep, 2), (vec![(vec![doc(1)], 3, 3)], None));
        assert!(batches(text.as_bytes(), 10, Repeats::Keep, 1).1.is_some(), "one line too few is skipped");
        assert_eq!(batches(text.as_bytes(), 10, Repeats::Keep, 99), (vec![], None));
    }

    #[test]
    fn repeats_are_dropped_within_a_batch_only_where_asked() {
        let text = format!("{0}\n{0}\n{1}\n{0}\n", doc(1), doc(2));
        let (dropped, _) = batches(text.as_bytes(), 2, Repeats::Drop, 0);
        assert_eq!(dropped, [(vec![doc(1), doc(2)], 1, 3), (vec![doc(1)], 4, 4)]);
        let twice = format!("{0}[one]\n{0}[two]\n", doc(1));
        let batch = Batches::<_, Tuple>::new(twice.as_bytes(), 2, Repeats::Drop, 0).next().unwrap().unwrap();
        let names: Vec<_> = batch.items.into_iter().map(|it| it.qualifiers.caveat.unwrap().name).collect();
        assert_eq!(names, ["two"], "the last one counts");
        let (kept, _) = batches(text.as_bytes(), 2, Repeats::Keep, 0);
        assert_eq!(kept, [(vec![doc(1), doc(1)], 1, 2), (vec![doc(2), doc(1)], 3, 4)]);
    }

    #[test]
    fn files_that_are_no_list_are_refused_without_reading_them_whole() {
        let mut endless = BufReader::new(io::repeat(b'x'));
        let error = Batches::<_, TupleKey>::new(&mut endless, 1, Repeats::Keep, 0).next().unwrap().unwrap_err();
        assert!(error.to_string().starts_with("line 1: it is longer than any relationship"), "{error}");
        let (_, bad) = batches(b"\xff\xfe\n", 1, Repeats::Keep, 0);
        assert!(bad.unwrap().starts_with("line 1: it is not UTF-8"));
    }

    #[test]
    fn the_longest_relationship_fits() {
        let id = "x".repeat(1024);
        let types = format!("{0}/{1}", "a".repeat(64), "b".repeat(63));
        let relation = "r".repeat(64);
        let text = format!("{types}:{id}#{relation}@{types}:{id}#{relation}\n");
        assert_eq!(batches(text.as_bytes(), 1, Repeats::Keep, 0).0.len(), 1);
    }
}
