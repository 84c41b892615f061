//! Imports: one schema text out of several files. Files come in through a callback, so that nothing here reads a disk; what a
//! path may name is judged here as far as its text goes, and by whoever opens it.
//!
//! As in SpiceDB: a path is relative to the file that names it and stays below its folder; a file that is imported several
//! times counts once; what is imported stands before what imports it.

use std::collections::BTreeSet;

use super::ast::{At, StatementKind};
use super::features::{Feature, Features};
use super::parser::parse_text;
use crate::model::limits;
use crate::schema::SchemaError;

/// Why files do not make a schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {error}")]
pub struct ImportError {
    /// The file in which it is wrong.
    pub file: String,
    /// What is wrong.
    pub error: Box<SchemaError>,
}

/// One text, and where its parts come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Imported {
    /// A schema without imports.
    pub text: String,
    /// For each piece of it, in order: the line at which it begins, counted from 1, its file, and its first line there.
    pub origins: Vec<(usize, String, usize)>,
}

impl Imported {
    /// The file and the line that became `line` of the text.
    #[must_use]
    pub fn origin_of(&self, line: usize) -> Option<(&str, usize)> {
        let after = self.origins.partition_point(|(start, _, _)| *start <= line);
        let (start, file, first) = self.origins.get(after.checked_sub(1)?)?;
        Some((file, first + (line - start)))
    }
}

/// Reads `root` and what it imports, by `load`, and makes one text of them. A root without imports stays as it is.
///
/// `load` is given paths relative to the folder of the root, in normal form, and says for a person why it cannot load one.
pub fn compile_imports(
    root: &str,
    load: &mut dyn FnMut(&str) -> Result<String, String>,
) -> Result<Imported, ImportError> {
    let text = load(root).map_err(|why| failed(root, SchemaError::parse("", 0, why)))?;
    if !read(root, &text)?.imports_any() {
        let origins = vec![(1, root.to_owned(), 1)];
        return Ok(Imported { text, origins });
    }
    let mut merger =
        Merger { load, seen: BTreeSet::new(), bytes: 0, features: Features::default(), pieces: Vec::new() };
    merger.merge(root.to_owned(), text)?;
    Ok(merger.finish())
}

fn failed(file: &str, error: SchemaError) -> ImportError {
    ImportError { file: file.to_owned(), error: Box::new(error) }
}

/// A file that is being merged: what of it is still to come.
struct Open {
    path: String,
    text: String,
    /// The last import first.
    imports: Vec<At<String>>,
    pieces: Vec<Piece>,
}

/// A statement with the comments before it.
struct Piece {
    file: String,
    first_line: usize,
    text: String,
}

struct ParsedFile {
    features: Features,
    imports: Vec<At<String>>,
    pieces: Vec<Piece>,
}

impl ParsedFile {
    fn imports_any(&self) -> bool {
        !self.imports.is_empty()
    }
}

fn read(path: &str, text: &str) -> Result<ParsedFile, ImportError> {
    let file = parse_text(text).map_err(|error| failed(path, error))?;
    let (mut imports, mut pieces) = (Vec::new(), Vec::new());
    let (mut line, mut counted) = (1, 0);
    for statement in file.statements {
        match statement.kind {
            StatementKind::Import(target) => imports.push(target),
            StatementKind::Definition(..) | StatementKind::Partial(..) | StatementKind::Caveat(_) => {
                line += text[counted..statement.lead].matches('\n').count();
                counted = statement.lead;
                let text = text[statement.lead..statement.place.end].to_owned();
                pieces.push(Piece { file: path.to_owned(), first_line: line, text });
            }
        }
    }
    Ok(ParsedFile { features: file.features, imports, pieces })
}

struct Merger<'l> {
    load: &'l mut dyn FnMut(&str) -> Result<String, String>,
    seen: BTreeSet<String>,
    bytes: usize,
    features: Features,
    pieces: Vec<Piece>,
}

impl Merger<'_> {
    /// Depth first, without recursion: the files that are open are those on the way from the root.
    fn merge(&mut self, root: String, text: String) -> Result<(), ImportError> {
        let mut open = vec![self.open(root, text)?];
        while let Some(file) = open.last_mut() {
            let Some(target) = file.imports.pop() else {
                self.pieces.append(&mut file.pieces);
                open.pop();
                continue;
            };
            let refuse = |message: String| {
                let error = SchemaError::parse(&file.text, target.place.start, message).with_source(
                    &file.text,
                    target.place.end,
                    target.value.as_str(),
                );
                failed(&file.path, error)
            };
            let path = resolve(&file.path, &target.value).map_err(&refuse)?;
            if self.seen.contains(&path) {
                if open.iter().any(|above| above.path == path) {
                    let message = format!("`{path}` imports itself, by way of the files between");
                    let Some(file) = open.last() else { return Ok(()) };
                    let error = SchemaError::parse(&file.text, target.place.start, message).with_source(
                        &file.text,
                        target.place.end,
                        target.value.as_str(),
                    );
                    return Err(failed(&file.path, error));
                }
                continue;
            }
            if self.seen.len() >= limits::IMPORTED_FILES {
                return Err(refuse(format!("a schema can be imported from at most {} files", limits::IMPORTED_FILES)));
            }
            let text = (self.load)(&path).map_err(|why| refuse(format!("cannot import `{path}`: {why}")))?;
            let next = self.open(path, text)?;
            open.push(next);
        }
        Ok(())
    }

    fn open(&mut self, path: String, text: String) -> Result<Open, ImportError> {
        self.bytes += text.len();
        if self.bytes > limits::SCHEMA_BYTES {
            let message =
                format!("the imported files are larger than a schema may be ({} bytes)", limits::SCHEMA_BYTES);
            return Err(failed(&path, SchemaError::parse("", 0, message)));
        }
        let ParsedFile { features, mut imports, pieces } = read(&path, &text)?;
        self.features = self.features.union(features);
        self.seen.insert(path.clone());
        imports.reverse();
        Ok(Open { path, text, imports, pieces })
    }

    fn finish(self) -> Imported {
        let mut imported = Imported::default();
        let mut line = 1;
        for feature in self.features.iter().filter(|feature| *feature != Feature::Import) {
            imported.text.push_str(&format!("use {}\n", feature.word()));
            line += 1;
        }
        for Piece { file, first_line, text } in self.pieces {
            if !imported.text.is_empty() {
                imported.text.push('\n');
                line += 1;
            }
            imported.origins.push((line, file, first_line));
            line += text.matches('\n').count() + 1;
            imported.text.push_str(&text);
            imported.text.push('\n');
        }
        imported
    }
}

/// `target` as seen from the folder of the root, where `from` names it.
fn resolve(from: &str, target: &str) -> Result<String, String> {
    if target.is_empty() || target.starts_with('/') || target.contains(['\\', '\0', ':']) {
        return Err(format!("import path `{target}` is not allowed: name a file below the folder of this one"));
    }
    let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err(format!("import path `{target}` is not allowed: it must not leave the folder by `..`")),
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}
