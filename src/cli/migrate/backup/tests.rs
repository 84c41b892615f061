//! Backups that are written here are read here; and so is one that was written elsewhere.

use super::{BackupError, BackupReader, BackupWriter};
use crate::cli::reference::{Shown, parse_tuple, relationship_to_wire};
use crate::wire::authzed::v1::Relationship;

const SCHEMA: &str = "definition user {}\n\ndefinition doc {\n\trelation viewer: user\n}";

fn relationship(text: &str) -> Relationship {
    relationship_to_wire(&parse_tuple(text).expect("a relationship"))
}

fn read(bytes: &[u8]) -> Result<(String, Option<String>, Vec<String>), BackupError> {
    let mut reader = BackupReader::new(bytes)?;
    let mut all = Vec::new();
    while let Some(relationship) = reader.next(Some(bytes.len() as u64))? {
        all.push(Shown::of(relationship).to_string());
    }
    Ok((reader.schema().to_owned(), reader.token(), all))
}

fn written(texts: &[String]) -> Vec<u8> {
    let mut writer = BackupWriter::new(Vec::new(), SCHEMA, "a token").expect("memory");
    for text in texts {
        writer.append(relationship(text)).expect("memory");
    }
    writer.finish().expect("memory")
}

fn some() -> Vec<String> {
    let mut texts = vec![
        "doc:readme#viewer@user:emil".to_owned(),
        "doc:readme#viewer@user:*".to_owned(),
        "doc:readme#viewer@team:eng#member[tenant/only:{\"days\":[1,2.5],\"zone\":\"UTC\"}]".to_owned(),
        "doc:readme#viewer@user:ada[only]".to_owned(),
        "doc:readme#viewer@user:bob[only][expiration:2030-01-01T00:00:00.250Z]".to_owned(),
        "doc:readme#viewer@user:eve[expiration:1970-01-01T00:00:00Z]".to_owned(),
    ];
    texts.extend((0..5000).map(|n| format!("doc:{n}#viewer@user:emil")));
    texts
}

#[test]
fn what_was_written_is_read() {
    let (schema, token, read) = read(&written(&some())).expect("whole");
    assert_eq!((schema.as_str(), token.as_deref()), (SCHEMA, Some("a token")));
    assert_eq!(read, some());
}

/// `tests/migrate/backup.go` wrote it, with the library that zed writes with, and zed's records.
#[test]
fn what_another_library_wrote_is_read() {
    let bytes = include_bytes!("../../../../tests/migrate/go.zedbackup");
    let (schema, token, read) = read(bytes).expect("whole");
    assert!(schema.starts_with("use expiration\n\ncaveat on_tier(tier int, limits map<any>)"), "{schema}");
    assert_eq!(token.as_deref(), Some("Gh8KEzE3OTUzNDc3MjE2NTcxMjgwOTQSCDlmZjNjMjdk"));
    let expected = [
        "doc:readme#viewer@user:emil",
        "doc:readme#viewer@user:*",
        "doc:readme#viewer@team:eng#member",
        "doc:plan#viewer@user:ada[on_tier:{\"limits\":{\"a\":[1.5,null,\"x\"]},\"tier\":5}]",
        "doc:plan#viewer@user:bob[on_tier]",
        "doc:plan#guest@user:eve[expiration:2100-01-02T03:04:05.678Z]",
        "doc:plan#guest@user:fay[on_tier:{\"tier\":1}][expiration:2100-01-02T03:04:05.678Z]",
        "team:eng#member@team:core#member",
    ];
    assert_eq!(read[..expected.len()], expected);
    assert_eq!(read.len(), expected.len() + 300);
}

/// Wherever a file is cut, no more is read than it has, and never a part of a relationship. Only a cut between two blocks
/// cannot be told from an end: the format counts nothing.
#[test]
fn a_file_that_is_cut_or_damaged_says_so() {
    let whole = written(&some());
    let mut unnoticed = 0;
    for length in (0..whole.len()).step_by(61) {
        match read(&whole[..length]) {
            Err(_) => {}
            Ok((_, _, read)) => {
                assert_eq!(read, some()[..read.len()]);
                unnoticed += 1;
            }
        }
    }
    assert!(unnoticed <= 2, "{unnoticed}");
    let mut damaged = 0;
    for at in (0..whole.len()).step_by(997) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        damaged += usize::from(read(&bytes).is_err());
    }
    // A bit of a name in the header, or of the token, may change without a trace.
    assert!(damaged * 10 > whole.len() / 997 * 8, "{damaged} of {}", whole.len() / 997);
}

#[test]
fn what_is_not_a_backup_is_refused() {
    assert!(matches!(read(b""), Err(BackupError::Unreadable(_))));
    assert!(matches!(read(b"Obj\x01 what"), Err(BackupError::Unreadable(_))));
    // A record that holds itself would be read without an end.
    let text = r#"[{"type":"record","name":"schema_v1","fields":[{"name":"next","type":"schema_v1"}]}]"#;
    let schema = apache_avro::Schema::parse_str(text).expect("a schema");
    let mut writer = apache_avro::Writer::new(&schema, Vec::new()).expect("memory");
    writer.flush().expect("memory");
    let mut bytes = writer.into_inner().expect("memory");
    let marker = bytes[bytes.len() - 16..].to_vec();
    bytes.extend([2, 2, 0]);
    bytes.extend(marker);
    assert!(matches!(read(&bytes), Err(BackupError::Other(_))), "{:?}", read(&bytes));
}
