//! YAML with the lines that things stand on.

use saphyr::{LoadableYamlNode as _, MarkedYaml, Scalar, YamlData};
use saphyr_parser::{Event, Parser};

use super::problem::Problem;

/// A text, and the line that it begins on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) line: usize,
    pub(super) text: String,
}

/// Something in a document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node<'a> {
    yaml: &'a MarkedYaml<'a>,
}

/// Lists and mappings inside each other: more than any validation file has, and few enough for any stack.
const MAX_DEPTH: usize = 64;

/// Calls `read` with the one document of `text`.
pub(super) fn read<T>(text: &str, read: impl FnOnce(Node<'_>) -> Result<T, Problem>) -> Result<T, Problem> {
    check_depth(text)?;
    let documents = MarkedYaml::load_from_str(text)
        .map_err(|error| Problem::at_line(error.marker().line(), format!("not YAML: {}", error.info())))?;
    match documents.as_slice() {
        [document] => read(Node { yaml: document }),
        [] => Err(Problem::whole("the file is empty; it needs at least a schema")),
        [_, second, ..] => {
            let line = second.span.start.line();
            Err(Problem::at_line(line, "a second document begins here; a validation file has one"))
        }
    }
}

/// Refuses what is nested too deeply for [`MarkedYaml`], which is built and dropped by recursion. Stops at the first error of
/// the text, as building does, and leaves it to that to tell.
fn check_depth(text: &str) -> Result<(), Problem> {
    let mut depth = 0_usize;
    // The same kind of input as `load_from_str` reads from, so that the same events come out.
    for event in Parser::new_from_iter(text.chars()) {
        let Ok((event, span)) = event else { return Ok(()) };
        match event {
            Event::SequenceStart(..) | Event::MappingStart(..) => depth += 1,
            Event::SequenceEnd | Event::MappingEnd => depth = depth.saturating_sub(1),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::Alias(_)
            | Event::Scalar(..) => {}
        }
        if depth > MAX_DEPTH {
            let message = format!("lists and mappings are nested more than {MAX_DEPTH} deep");
            return Err(Problem::at_line(span.start.line(), message));
        }
    }
    Ok(())
}

impl<'a> Node<'a> {
    pub(super) fn line(self) -> usize {
        self.yaml.span.start.line()
    }

    /// The line behind the last one.
    pub(super) fn end_line(self) -> usize {
        self.yaml.span.end.line() + 1
    }

    pub(super) fn is_null(self) -> bool {
        matches!(self.yaml.data, YamlData::Value(Scalar::Null))
    }

    /// The text that this is. Numbers and the like are none: whoever wrote them forgot quotation marks.
    pub(super) fn text(self, what: &str) -> Result<Text, Problem> {
        match &self.yaml.data {
            YamlData::Value(Scalar::String(text)) => Ok(Text { line: self.line(), text: text.to_string() }),
            _ => Err(self.problem(format!("{what} must be a text"))),
        }
    }

    /// The items of a list; none for nothing.
    pub(super) fn list(self, what: &str) -> Result<Vec<Node<'a>>, Problem> {
        match &self.yaml.data {
            _ if self.is_null() => Ok(Vec::new()),
            YamlData::Sequence(items) => Ok(items.iter().map(|yaml| Node { yaml }).collect()),
            _ => Err(self.problem(format!("{what} must be a list"))),
        }
    }

    /// The members of a mapping; none for nothing.
    pub(super) fn members(self, what: &str) -> Result<Vec<(Text, Node<'a>)>, Problem> {
        match &self.yaml.data {
            _ if self.is_null() => Ok(Vec::new()),
            YamlData::Mapping(members) => {
                members.iter().map(|(key, yaml)| Ok((Node { yaml: key }.text("a name")?, Node { yaml }))).collect()
            }
            _ => Err(self.problem(format!("{what} must be a mapping of names to values"))),
        }
    }

    pub(super) fn problem(self, message: impl Into<String>) -> Problem {
        Problem::at_line(self.line(), message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_is_bounded_before_anything_recurses() {
        let whole = |text: &str| read(text, |node| Ok(node.line()));
        let block = |depth: usize| format!("{}x\n", "- ".repeat(depth));
        let flow = |depth: usize| format!("{}x{}\n", "[".repeat(depth), "]".repeat(depth));
        let mappings = |depth: usize| (0..depth).map(|n| format!("{}a:\n", " ".repeat(n))).collect::<String>();
        for text in [block(MAX_DEPTH), flow(MAX_DEPTH), mappings(MAX_DEPTH)] {
            whole(&text).expect("not too deep");
        }
        for text in [block(MAX_DEPTH + 1), flow(MAX_DEPTH + 1), mappings(MAX_DEPTH + 1), block(200_000)] {
            assert!(whole(&text).expect_err("too deep").message.contains("nested more than"));
        }
    }
}
