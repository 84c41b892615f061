//! Relationships and validation files from anywhere, as people write them.

use super::reference::{parse_object, parse_object_relation, parse_relationship, parse_subject, parse_tuple};
use super::validate::Document;

/// What is understood is written back as it stands, but for the relation that means the object itself.
#[test]
fn a_relationship_reads_back_as_written() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        let _ = (parse_object(&text), parse_subject(&text), parse_object_relation(&text));
        if let Ok(key) = parse_relationship(&text) {
            let written = key.to_string();
            assert_eq!(written, text.strip_suffix("#...").unwrap_or(&text));
            assert_eq!(parse_relationship(&written).expect("it is our own"), key);
        }
        if let Ok(tuple) = parse_tuple(&text) {
            assert!(text.starts_with(&tuple.key.to_string()));
        }
    });
}

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
