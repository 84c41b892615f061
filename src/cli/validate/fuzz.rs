//! Validation files from anywhere.

use super::document::Document;

/// What is wrong with a file has a place inside it.
#[test]
fn a_validation_file_is_read_or_refused() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        match Document::parse(&text) {
            Ok(document) => assert!(document.schema_file.is_some() || !document.schema.text.is_empty()),
            Err(problem) => {
                let lines = text.split(['\n', '\r']).count() + 1;
                assert!(problem.line.is_none_or(|line| (1..=lines).contains(&line)), "{problem:?}");
            }
        }
    });
}
