//! The vocabulary of the product: names, references, tuples, filters, revisions, decisions, limits and the closed error
//! code. Pure values: nothing here does IO or knows a wire format.

mod counter;
mod decision;
mod error;
mod filter;
mod filter_index;
mod floor;
pub mod limits;
mod locality;
mod name;
mod reference;
mod revision;
mod tuple;
mod update;

pub use counter::Counter;
pub use decision::Decision;
pub use error::{Error, ErrorCode};
pub use filter::{SubjectFilter, SubjectRelationFilter, TraitFilter, TupleFilter};
pub use filter_index::FilterIndex;
pub use floor::{Floor, Floors};
pub use locality::Locality;
pub use name::{CaveatName, CounterName, IdempotencyKey, NameError, ObjectId, PlaceName, RelationName, TypeName};
pub use reference::{ObjectRef, SubjectRef};
pub use revision::{Revision, StoreId};
pub use tuple::{CaveatUse, Qualifiers, TimestampMs, Tuple, TupleKey};
pub use update::{Precondition, PreconditionKind, TupleUpdate, UpdateKind};
