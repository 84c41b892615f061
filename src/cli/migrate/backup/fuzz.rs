//! Backups from anywhere.

use std::sync::LazyLock;

use apache_avro::Writer;

use super::format::{SCHEMA, relationship_record, schema_record};
use super::{BackupError, BackupReader};
use crate::cli::reference::{parse_tuple, relationship_to_wire};

/// A small backup that is not compressed, so that a change to it is not caught by a checksum.
static SMALL: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut writer = Writer::new(&SCHEMA, Vec::new()).expect("memory");
    writer.append_value(schema_record("definition user {}")).expect("memory");
    for text in
        ["doc:1#viewer@user:a[cave:{\"x\":[1,{\"y\":null}]}]", "doc:1#viewer@user:b[expiration:2030-01-01T00:00:00Z]"]
    {
        let relationship = relationship_to_wire(&parse_tuple(text).expect("a relationship"));
        writer.append_value(relationship_record(relationship)).expect("memory");
    }
    writer.into_inner().expect("memory")
});

/// A file is read to its end or refused; what is read out of it is bounded by its length.
fn read(bytes: &[u8]) {
    let Ok(mut reader) = BackupReader::new(bytes) else { return };
    let mut read = 0;
    loop {
        match reader.next(Some(bytes.len() as u64)) {
            Ok(Some(_)) => read += 1,
            Ok(None) => return,
            Err(BackupError::Torn(after)) => {
                assert_eq!(after, read);
                return;
            }
            Err(_) => return,
        }
        assert!(read <= 64 * bytes.len() as u64, "{} bytes have no more records", bytes.len());
    }
}

#[test]
fn a_backup_is_read_or_refused() {
    bolero::check!().for_each(|bytes: &[u8]| {
        read(bytes);
        // The same bytes as changes of a file that was good: where, and to what.
        let mut changed = SMALL.clone();
        for change in bytes.chunks_exact(3) {
            let at = usize::from(u16::from_be_bytes([change[0], change[1]])) % changed.len();
            changed[at] = change[2];
        }
        read(&changed);
    });
}
