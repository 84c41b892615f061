//! Every bound of the public interface, in one place. The values are SpiceDB's defaults where it has one.

/// Longest object type, prefixes included, in bytes.
pub const TYPE_NAME_BYTES: usize = 128;
/// Longest relation or permission name, in bytes.
pub const RELATION_NAME_BYTES: usize = 64;
/// Longest name of a relationship counter, in bytes.
pub const COUNTER_NAME_BYTES: usize = 64;
/// Relationship counters of one store. They are kept as one record, which each registration writes anew.
pub const COUNTERS_PER_STORE: usize = 1000;
/// Object types of one store that have a floor. They are kept as one record, which each change writes anew.
pub const FLOORS_PER_STORE: usize = 1000;
/// Longest time that a floor may allow, in milliseconds: a day.
pub const FLOOR_STALENESS_MS: u64 = 86_400_000;
/// Longest name of a caveat, in bytes.
pub const CAVEAT_NAME_BYTES: usize = 128;
/// Longest object id, in bytes.
pub const OBJECT_ID_BYTES: usize = 1024;
/// Updates in one write.
pub const UPDATES_PER_WRITE: usize = 1000;
/// Preconditions in one write or delete.
pub const PRECONDITIONS_PER_WRITE: usize = 1000;
/// Items in one bulk check.
pub const CHECKS_PER_BULK: usize = 10_000;
/// Largest context that a check may bring for its caveats, in bytes of its message.
pub const REQUEST_CONTEXT_BYTES: usize = 4096;
/// Largest `optional_limit` of a read or delete.
pub const READ_LIMIT: usize = 1000;
/// Most tuples, and about most bytes, of one log entry of an import. An import up to this size is all or nothing. A watch tells
/// an entry in one message, of which clients take 4 MiB unless they are told otherwise.
pub const IMPORT_ENTRY_TUPLES: usize = 20_000;
/// See [`IMPORT_ENTRY_TUPLES`].
pub const IMPORT_ENTRY_BYTES: usize = 3 << 20;
/// Imports that one node works on at the same time; each holds one entry in memory.
pub const CONCURRENT_IMPORTS: usize = 16;
/// Largest `optional_limit` of an export, and tuples in one of its pages where it gives none.
pub const EXPORT_PAGE: usize = 10_000;
/// Largest `optional_limit` of a lookup of resources.
pub const LOOKUP_LIMIT: usize = 1000;
/// Tuples that one delete without a limit may remove; more need a limit and several requests, so that one log entry never
/// holds up the others for long.
pub const DELETES_PER_ENTRY: usize = 100_000;
/// Ways that the arrows of one schema lead, summed over its arrows: the kinds of subject on the left side of each. Bounds what
/// a small text can make the evaluator prepare.
pub const ARROW_TARGETS: usize = 100_000;
/// Members, allowed subjects and operands that the partials of one schema may bring into its definitions, each counted as often
/// as it is brought.
pub const SPLICED_PARTS: usize = 1_000_000;
/// Relations and permissions that may be walked through to find what the annotations of one schema leave out.
pub const TYPE_CHECK_STEPS: usize = 5_000_000;
/// Members, subject types and parameters that the answer to a comparison of schemas may show, each as often as it is shown.
pub const DIFF_PARTS: usize = 200_000;
/// Tuples that are looked at to find out beforehand what stands in the way of a schema.
pub const PLAN_ROWS: usize = 1_000_000;
/// Files that one schema may be imported from.
pub const IMPORTED_FILES: usize = 1_000;
/// Largest schema text, in bytes.
pub const SCHEMA_BYTES: usize = 4 << 20;
/// Deepest nesting of operators or parentheses in a permission. Whoever walks a rewrite by recursion rests on it.
pub const REWRITE_DEPTH: usize = 128;
/// Object types, or filters, in one watch.
pub const WATCH_FILTERS: usize = 1000;
/// Largest caveat of a relationship, its context included, in bytes on the wire.
pub const RELATIONSHIP_CONTEXT_BYTES: usize = 25_000;
/// Longest cursor that a client may send, in bytes.
pub const CURSOR_BYTES: usize = 102_400;
/// Longest zookie that a client may send, in bytes. The ones made here are far shorter.
pub const ZOOKIE_BYTES: usize = 1024;
/// Largest message of the public API, in bytes.
pub const MESSAGE_BYTES: usize = 16 << 20;
/// Longest name of a region or of a zone, in bytes.
pub const PLACE_NAME_BYTES: usize = 63;
/// Longest idempotency key, in bytes.
pub const IDEMPOTENCY_KEY_BYTES: usize = 128;
/// The key of a write is remembered for at least so long, by the cluster's time.
pub const IDEMPOTENCY_WINDOW_MS: u64 = 60 * 60 * 1000;
/// And for at least so many entries of the log, so that a clock that jumps ahead forgets nothing that is recent.
pub const IDEMPOTENCY_WINDOW_ENTRIES: u64 = 100_000;
/// Keys that one entry of the log may forget. More than the one that it may bring, so that they do not pile up.
pub const IDEMPOTENCY_KEYS_FORGOTTEN_PER_ENTRY: usize = 4;
/// Nodes of an expanded tree that stand below each other. Each is two messages in each other, and clients decode a hundred.
pub const EXPAND_LEVELS: usize = 44;
/// Relations and permissions of an explanation that stand below each other; the same holds for them.
pub const EXPLAIN_LEVELS: usize = 40;
/// Bytes of relationships in the explanation of one check, and of all checks of a bulk check together.
pub const EXPLAIN_BYTES: usize = 256 << 10;
/// See [`EXPLAIN_BYTES`].
pub const EXPLAIN_BULK_BYTES: usize = 4 << 20;
/// Bytes of schema text in the answer to one bulk check, which repeats the schema for each check that it explains.
pub const EXPLAIN_SCHEMA_BYTES: usize = 8 << 20;
/// Memory that the JSON gateway takes for the bodies of all requests that it reads at one time, and the messages made of them.
pub const GATEWAY_BODIES_BYTES: usize = 256 << 20;
/// The same for the messages of all gRPC requests that are open at one time, beyond the first [`GRPC_FREE_BYTES`] of each.
pub const GRPC_BODIES_BYTES: usize = 256 << 20;
/// See [`GRPC_BODIES_BYTES`].
pub const GRPC_FREE_BYTES: usize = 16 << 10;
/// Largest transaction metadata, in bytes of JSON.
pub const TRANSACTION_METADATA_BYTES: usize = 65_000;

const _: () = assert!(SCHEMA_BYTES < MESSAGE_BYTES);
const _: () = assert!(MESSAGE_BYTES < GATEWAY_BODIES_BYTES);
const _: () = assert!(READ_LIMIT <= DELETES_PER_ENTRY);
const _: () = assert!(IDEMPOTENCY_KEYS_FORGOTTEN_PER_ENTRY > 1);
