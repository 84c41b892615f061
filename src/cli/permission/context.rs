//! Values for caveats, as a flag: a JSON object.

use prost_types::Struct;

use crate::api::from_json_text;

/// The context of a question.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ContextArgs {
    /// Values for parameters of caveats, as a JSON object: '{"ip": "10.0.0.1"}'
    #[arg(long, value_name = "JSON", value_parser = parse_context)]
    context: Option<Struct>,
}

impl ContextArgs {
    /// As the wire has it.
    pub(super) fn to_wire(&self) -> Option<Struct> {
        self.context.clone()
    }
}

fn parse_context(text: &str) -> Result<Struct, String> {
    from_json_text(text).ok_or_else(|| "write it as a JSON object, for example '{\"ip\": \"10.0.0.1\"}'".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_a_json_object() {
        assert_eq!(parse_context(r#"{"a": 1}"#).unwrap().fields.len(), 1);
        for bad in ["", "1", "[1]", "{a: 1}", "{"] {
            parse_context(bad).unwrap_err();
        }
    }
}
