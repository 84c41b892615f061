//! YAML with the lines that things stand on.

use saphyr::{LoadableYamlNode as _, MarkedYaml, Scalar, YamlData};

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

/// Calls `read` with the one document of `text`.
pub(super) fn read<T>(text: &str, read: impl FnOnce(Node<'_>) -> Result<T, Problem>) -> Result<T, Problem> {
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
