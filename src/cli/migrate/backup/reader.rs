//! Reads a backup, record by record.
//!
//! A header may describe any data. It is held against what a backup has before the first record is read: records that hold
//! themselves, for example, could be read for ever.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use apache_avro::schema::RecordSchema;
use apache_avro::types::Value;
use apache_avro::{Reader, Schema};

use super::format::{RELATIONSHIP_RECORD, RecordError, SCHEMA_RECORD, TOKEN_KEY, to_relationship, to_schema};
use crate::wire::authzed::v1::Relationship;

/// Most memory for one block of a file. Blocks of zed have a hundred records.
const BLOCK_BYTES: usize = 128 << 20;
/// Records of a union, and fields of a record. Backups have two and nine.
const MOST_PARTS: usize = 32;

/// Why a file cannot be read on.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli::migrate) enum BackupError {
    /// It is no container, or damaged.
    #[error("it cannot be read: {0}")]
    Unreadable(Box<apache_avro::Error>),
    /// It is a container of something else.
    #[error("it is not a backup of SpiceDB: {0}")]
    Other(&'static str),
    /// A record is not what it should be.
    #[error("record {0}: {1}")]
    Record(u64, RecordError),
    /// What follows was not read.
    #[error("it ends in the middle, after {0} relationships")]
    Torn(u64),
}

impl From<apache_avro::Error> for BackupError {
    fn from(error: apache_avro::Error) -> Self {
        Self::Unreadable(Box::new(error))
    }
}

/// The name of a record's type, and its fields.
type NamedRecord = (String, Vec<(String, Value)>);

/// Counts what was read.
pub(in crate::cli::migrate) struct Counted<R> {
    input: R,
    bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// A backup that is read.
pub(in crate::cli::migrate) struct BackupReader<R: Read> {
    records: Reader<'static, Counted<R>>,
    bytes: Arc<AtomicU64>,
    /// Names of the records, by their place in the union.
    names: Vec<String>,
    schema: String,
    read: u64,
}

impl<R: Read> BackupReader<R> {
    /// Reads the header and the schema.
    pub(in crate::cli::migrate) fn new(input: R) -> Result<Self, BackupError> {
        // For the process; the first one counts, and all are the same.
        apache_avro::util::max_allocation_bytes(BLOCK_BYTES);
        let bytes = Arc::new(AtomicU64::new(0));
        let records = Reader::new(Counted { input, bytes: Arc::clone(&bytes) })?;
        let names = record_names(records.writer_schema())?;
        let mut reader = Self { records, bytes, names, schema: String::new(), read: 0 };
        let first = reader.next_record()?.ok_or(BackupError::Other("it has no schema"))?;
        let (SCHEMA_RECORD, fields) = (first.0.as_str(), first.1) else {
            return Err(BackupError::Other("it does not begin with a schema"));
        };
        reader.schema = to_schema(fields).map_err(|error| BackupError::Record(0, error))?;
        Ok(reader)
    }

    /// The schema.
    pub(in crate::cli::migrate) fn schema(&self) -> &str {
        &self.schema
    }

    /// The token of the state that was backed up, where the file says one.
    pub(in crate::cli::migrate) fn token(&self) -> Option<String> {
        let token = self.records.user_metadata().get(TOKEN_KEY)?;
        String::from_utf8(token.clone()).ok()
    }

    /// Bytes that were read of the file.
    pub(in crate::cli::migrate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The next relationship; `None` at the end of `size` bytes, if that is known.
    pub(in crate::cli::migrate) fn next(&mut self, size: Option<u64>) -> Result<Option<Relationship>, BackupError> {
        let Some((name, fields)) = self.next_record()? else {
            // An empty block ends the records, too, whatever follows it.
            return match size {
                Some(size) if size != self.bytes() => Err(BackupError::Torn(self.read)),
                _ => Ok(None),
            };
        };
        self.read += 1;
        if name != RELATIONSHIP_RECORD {
            return Err(BackupError::Other("it has more than one schema"));
        }
        to_relationship(fields).map(Some).map_err(|error| BackupError::Record(self.read, error))
    }

    fn next_record(&mut self) -> Result<Option<NamedRecord>, BackupError> {
        const NO_RECORD: BackupError = BackupError::Other("it has something else than records");
        match self.records.next().transpose()? {
            None => Ok(None),
            Some(Value::Union(place, record)) => {
                let name = self.names.get(place as usize).ok_or(NO_RECORD)?.clone();
                let Value::Record(fields) = *record else { return Err(NO_RECORD) };
                Ok(Some((name, fields)))
            }
            Some(_) => Err(NO_RECORD),
        }
    }
}

/// The names of the records of a union of flat records, and nothing else.
fn record_names(schema: &Schema) -> Result<Vec<String>, BackupError> {
    let Schema::Union(union) = schema else { return Err(BackupError::Other("its records are of one kind")) };
    if union.variants().len() > MOST_PARTS {
        return Err(BackupError::Other("it has too many kinds of records"));
    }
    let name = |schema: &Schema| match schema {
        Schema::Record(record) if is_flat(record) => Ok(record.name.name().to_owned()),
        _ => Err(BackupError::Other("it has other records")),
    };
    union.variants().iter().map(name).collect()
}

fn is_flat(record: &RecordSchema) -> bool {
    let is_plain =
        |schema: &Schema| matches!(schema, Schema::String | Schema::Bytes | Schema::Long | Schema::TimestampMillis);
    // A record takes at least as many bytes as it has fields, so their number is bounded by that of the bytes.
    (1..=MOST_PARTS).contains(&record.fields.len()) && record.fields.iter().all(|field| is_plain(&field.schema))
}
