//! Schemas from anywhere: reading one ends, and gives a schema or an error that can be shown.

use super::spicedb;

/// Longer texts only take longer.
const LONGEST_MESSAGE: usize = 4096;

#[test]
fn any_text_is_a_schema_or_an_error() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        if let Err(error) = spicedb::parse(&text) {
            let message = error.to_string();
            assert!(!message.is_empty() && message.len() <= LONGEST_MESSAGE + text.len(), "{message}");
        }
    });
}
