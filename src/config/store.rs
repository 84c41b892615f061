//! `[store]`: the memory that RocksDB may use.

use super::section::section;
use super::{ConfigError, invalid};

/// One TiB: more is a mistyped unit.
const MOST_MIB: u64 = 1 << 20;

section! {
    /// Memory of the embedded database.
    #[derive(Debug)]
    StoreSection, StoreOverrides, "store" {
        /// Memory for blocks read from disk, in MiB [default: 64]
        #[arg(value_name = "MIB")]
        block_cache_mib: u64 = 64, "block-cache-mib", "QUORATE_BLOCK_CACHE_MIB";
        /// Memory for writes that are not yet in a table file, in MiB [default: 64]
        #[arg(value_name = "MIB")]
        write_buffer_mib: u64 = 64, "write-buffer-mib", "QUORATE_WRITE_BUFFER_MIB";
    }
}

impl StoreSection {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        for (key, value) in
            [("store.block_cache_mib", self.block_cache_mib), ("store.write_buffer_mib", self.write_buffer_mib)]
        {
            if !(1..=MOST_MIB).contains(&value) {
                return Err(invalid(key, format!("is {value}; use 1 to {MOST_MIB}")));
            }
        }
        Ok(())
    }
}
