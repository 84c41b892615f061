//! The key under which a command writes: with it the write takes effect once, however often it is sent.

use tonic::metadata::{Ascii, MetadataValue};

use super::call_error::CallError;
use super::failure::{Exit, Failure};
use crate::model::IdempotencyKey;

/// The flag of commands that write.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct KeyArgs {
    /// Key under which the write takes effect once, however often the command is repeated [default: a new one]
    #[arg(long, value_name = "KEY", value_parser = IdempotencyKey::new)]
    idempotency_key: Option<IdempotencyKey>,
}

impl KeyArgs {
    /// The key that was given, or a new one.
    pub(super) fn key(&self) -> WriteKey {
        self.idempotency_key.clone().map_or_else(WriteKey::random, WriteKey)
    }
}

/// The key of one write.
#[derive(Debug, Clone)]
pub(super) struct WriteKey(IdempotencyKey);

impl WriteKey {
    /// One that nobody has used.
    pub(super) fn random() -> Self {
        let number: u128 = rand::random();
        Self(IdempotencyKey::new(&format!("{number:032x}")).expect("hexadecimal digits are printable"))
    }

    /// The one that stands for `parts`, in this order: whoever makes it from the same parts again makes the same key.
    pub(super) fn of(parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        Self(IdempotencyKey::new(&hasher.finalize().to_hex()).expect("hexadecimal digits are printable"))
    }

    /// As metadata of a request.
    pub(super) fn to_metadata(&self) -> MetadataValue<Ascii> {
        self.0.as_str().parse().expect("what is printable can be metadata")
    }

    /// Why the write failed, and how to go on if nobody knows what became of it.
    pub(super) fn explain(&self, error: CallError) -> Failure {
        let failure = Failure::from(error);
        if failure.exit() == Exit::Unknown {
            let key = &self.0;
            failure.hint(format!("repeat the command with --idempotency-key '{key}': its write takes effect once"))
        } else {
            failure
        }
    }
}
