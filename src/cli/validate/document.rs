//! A validation file as data: what it says, with the lines, before anything is judged.

use std::path::PathBuf;

use super::expectation::{Expected, parse_expected};
use super::problem::Problem;
use super::yaml::{self, Node, Text};
use crate::caveat::Context;
use crate::cli::reference::{parse_object_relation, parse_tuple};
use crate::cli::schema::Source;
use crate::engine::CheckItem;
use crate::model::Tuple;
use crate::service::Place;

/// One file.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) schema: Text,
    /// Where the schema is instead.
    pub(super) schema_file: Option<Text>,
    /// The file that the schema was read from, if not this one, and what was in it.
    pub(super) schema_source: Option<(PathBuf, Source)>,
    pub(super) tuples: Vec<(usize, Tuple)>,
    pub(super) assertions: Vec<Assertion>,
    pub(super) expectations: Vec<Expectation>,
}

/// What a check must answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Allowed,
    Denied,
    Conditional,
}

/// A check with its answer.
#[derive(Debug)]
pub(super) struct Assertion {
    pub(super) line: usize,
    /// As written.
    pub(super) text: String,
    pub(super) item: CheckItem,
    pub(super) verdict: Verdict,
}

/// All who belong to a relation or permission.
#[derive(Debug)]
pub(super) struct Expectation {
    pub(super) line: usize,
    pub(super) place: Place,
    pub(super) subjects: Vec<(usize, Expected)>,
}

impl Document {
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let document = yaml::read(text, |root| {
            let mut document = Self::default();
            for (name, node) in root.members("a validation file")? {
                match name.text.as_str() {
                    "schema" => document.schema = schema(node, text)?,
                    "schemaFile" if node.is_null() => {}
                    "schemaFile" => document.schema_file = Some(node.text("schemaFile")?),
                    "relationships" => document.tuples = relationships(node, text)?,
                    "assertions" => document.assertions = assertions(node)?,
                    "validation" => document.expectations = expectations(node)?,
                    other => return Err(unknown(name.line, other, NAMES)),
                }
            }
            Ok(document)
        })?;
        match (&document.schema_file, document.schema.text.trim().is_empty()) {
            (None, true) => Err(Problem::whole("there is no schema; give `schema` or `schemaFile`")),
            (Some(file), false) => Err(Problem::at_line(file.line, "give `schema` or `schemaFile`, not both")),
            (None, false) | (Some(_), true) => Ok(document),
        }
    }
}

const NAMES: &str = "schema, schemaFile, relationships, assertions, validation";
const ASSERTIONS: &str = "assertTrue, assertFalse, assertCaveated";

/// A name that nobody reads is an assertion that nobody makes.
fn unknown(line: usize, name: &str, known: &str) -> Problem {
    Problem::at_line(line, format!("{name:?} is not known here; known are {known}"))
}

/// The schema with the line that its first line stands on.
fn schema(node: Node<'_>, file: &str) -> Result<Text, Problem> {
    if node.is_null() {
        return Ok(Text::default());
    }
    let schema = node.text("schema")?;
    let visible = schema.text.lines().enumerate().find(|(_, line)| !line.trim().is_empty());
    let first =
        visible.and_then(|(index, line)| Some(find(file, node, node.line(), line.trim())?.saturating_sub(index)));
    Ok(Text { line: first.unwrap_or(schema.line).max(1), ..schema })
}

/// The line from `from` on, within `node`, that is `wanted`. YAML folds and indents, so that lines of a text cannot be counted.
fn find(file: &str, node: Node<'_>, from: usize, wanted: &str) -> Option<usize> {
    let lines = file.lines().enumerate().skip(from.saturating_sub(1)).take(node.end_line().saturating_sub(from) + 1);
    lines.map(|(index, line)| (index + 1, line)).find(|(_, line)| line.trim() == wanted).map(|(number, _)| number)
}

fn relationships(node: Node<'_>, file: &str) -> Result<Vec<(usize, Tuple)>, Problem> {
    if node.is_null() {
        return Ok(Vec::new());
    }
    let mut tuples = Vec::new();
    let mut line = node.line();
    let mut from = line;
    for text in node.text("relationships")?.text.lines().map(str::trim) {
        if text.is_empty() || text.starts_with("//") {
            continue;
        }
        if let Some(found) = find(file, node, from, text) {
            // The same text may stand there again.
            (line, from) = (found, found + 1);
        }
        tuples.push((line, parse_tuple(text).map_err(|error| Problem::at_line(line, error.to_string()))?));
    }
    Ok(tuples)
}

fn assertions(node: Node<'_>) -> Result<Vec<Assertion>, Problem> {
    let mut assertions = Vec::new();
    for (name, list) in node.members("assertions")? {
        let verdict = match name.text.as_str() {
            "assertTrue" => Verdict::Allowed,
            "assertFalse" => Verdict::Denied,
            "assertCaveated" => Verdict::Conditional,
            other => return Err(unknown(name.line, other, ASSERTIONS)),
        };
        for item in list.list(&name.text)? {
            let Text { line, text } = item.text("an assertion")?;
            let item = assertion(&text).map_err(|message| Problem::at_line(line, message))?;
            assertions.push(Assertion { line, text, item, verdict });
        }
    }
    Ok(assertions)
}

/// `document:1#view@user:emil`, and then perhaps ` with {"hour": 9}`.
fn assertion(text: &str) -> Result<CheckItem, String> {
    let (question, context) = match text.trim().split_once(" with ") {
        None => (text.trim(), Context::new()),
        Some((question, json)) => {
            let context = Context::from_json_text(json.trim());
            (question.trim(), context.map_err(|error| format!("in {text:?}, after `with`: {error}"))?)
        }
    };
    let tuple = parse_tuple(question).map_err(|error| error.to_string())?;
    if !tuple.qualifiers.is_empty() {
        return Err(format!("{text:?} has a caveat or an expiration; an assertion asks, and gives values by `with`"));
    }
    let key = tuple.key;
    Ok(CheckItem { resource: key.resource, permission: key.relation, subject: key.subject, context })
}

fn expectations(node: Node<'_>) -> Result<Vec<Expectation>, Problem> {
    let expectation = |(name, list): (Text, Node<'_>)| {
        let (object, relation) =
            parse_object_relation(&name.text).map_err(|error| Problem::at_line(name.line, error.to_string()))?;
        let subject = |item: Node<'_>| {
            let Text { line, text } = item.text("an expected subject")?;
            Ok((line, parse_expected(&text).map_err(|message| Problem::at_line(line, message))?))
        };
        let subjects = list.list(&name.text)?.into_iter().map(subject).collect::<Result<_, Problem>>()?;
        Ok(Expectation { line: name.line, place: Place { object, relation }, subjects })
    };
    node.members("validation")?.into_iter().map(expectation).collect()
}
