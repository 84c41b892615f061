//! Relationships from anywhere, as people write them.

use super::reference::{parse_object, parse_relationship, parse_subject};

/// What is understood is written back as it stands, but for the relation that means the object itself.
#[test]
fn a_relationship_reads_back_as_written() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        let _ = (parse_object(&text), parse_subject(&text));
        if let Ok(key) = parse_relationship(&text) {
            let written = key.to_string();
            assert_eq!(written, text.strip_suffix("#...").unwrap_or(&text));
            assert_eq!(parse_relationship(&written).expect("it is our own"), key);
        }
    });
}
