//! What a person is told when the source does not do what it is asked. Its errors come from another product, so the hints that
//! name ours would lead astray.

use tonic::Code;

use crate::cli::call_error::CallError;
use crate::cli::failure::Failure;

/// `error` of a call to the source at `endpoint`.
pub(in crate::cli::migrate) fn problem(endpoint: &str, error: CallError) -> Failure {
    let (unsent, code) = (error.is_unsent(), error.code());
    let failure = Failure::from(error).at(format_args!("the source at {endpoint}"));
    match (unsent, code) {
        (true, _) => failure.hint(
            "is it running, and is this its gRPC address? with TLS write --from https://HOST:PORT, and --from-ca for an \
             authority of your own",
        ),
        (_, Code::Unauthenticated | Code::PermissionDenied) => {
            failure.hint("give the source's preshared key with --from-key or QUORATE_FROM_KEY")
        }
        (_, Code::OutOfRange) => failure.hint(
            "the source keeps its history for a while only (`--datastore-gc-window`), and what this migration stands on is \
             older: begin again, with --replace and another --state, and let no more time pass than that",
        ),
        (_, Code::Unimplemented) => {
            failure.hint("the source does not serve this call: is it a SpiceDB, and its gRPC address rather than its HTTP one?")
        }
        (_, Code::FailedPrecondition | Code::InvalidArgument) => failure.hint(
            "if this is about watching: the database below a SpiceDB must be set up for it (Postgres: \
             track_commit_timestamp=on; CockroachDB: kv.rangefeed.enabled)",
        ),
        _ => failure.hint("try again: the same command goes on where it stopped"),
    }
}
