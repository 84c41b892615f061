//! Writes a backup, as zed does.

use std::io::Write;

use apache_avro::{Codec, Writer};

use super::format::{SCHEMA, TOKEN_KEY, relationship_record, schema_record};
use crate::wire::authzed::v1::Relationship;

/// Bytes of a block before it is compressed.
const BLOCK_BYTES: usize = 64 << 10;

/// A backup that is written.
pub(in crate::cli::migrate) struct BackupWriter<W: Write> {
    records: Writer<'static, W>,
}

impl<W: Write> BackupWriter<W> {
    /// Writes the header, with the token of the state, and the schema.
    pub(in crate::cli::migrate) fn new(to: W, schema: &str, token: &str) -> Result<Self, apache_avro::Error> {
        let mut records =
            Writer::builder().schema(&SCHEMA).writer(to).codec(Codec::Snappy).block_size(BLOCK_BYTES).build()?;
        records.add_user_metadata(TOKEN_KEY.to_owned(), token)?;
        records.append_value(schema_record(schema))?;
        Ok(Self { records })
    }

    /// Writes a relationship.
    pub(in crate::cli::migrate) fn append(&mut self, relationship: Relationship) -> Result<(), apache_avro::Error> {
        self.records.append_value(relationship_record(relationship)).map(|_| ())
    }

    /// Writes what is left, and gives back what was written to.
    pub(in crate::cli::migrate) fn finish(self) -> Result<W, apache_avro::Error> {
        self.records.into_inner()
    }
}
