//! Backups from anywhere.

use super::{BackupError, BackupReader};

/// A file is read to its end or refused; what is read out of a header is bounded by the file.
#[test]
fn a_backup_is_read_or_refused() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let Ok(mut reader) = BackupReader::new(bytes) else { return };
        let mut read = 0u64;
        loop {
            match reader.next(Some(bytes.len() as u64)) {
                Ok(Some(_)) => read += 1,
                Ok(None) => break,
                Err(BackupError::Torn(after)) => {
                    assert_eq!(after, read);
                    break;
                }
                Err(_) => break,
            }
            assert!(read <= 16 << 20, "{} bytes have no more records", bytes.len());
        }
    });
}
