//! `a.isSubtreeOf(b)`: whether every entry of one map is in another, maps inside them compared the same way.

use std::collections::BTreeMap;

use super::value::{Key, Value, equal};

/// Whether every entry of `part` is in `whole`. The depth of values is bounded by that of contexts and expressions.
pub(super) fn is_subtree(part: &BTreeMap<Key, Value>, whole: &BTreeMap<Key, Value>) -> bool {
    part.iter().all(|(key, value)| match (value, whole.get(key)) {
        (Value::Map(part), Some(Value::Map(whole))) => is_subtree(part, whole),
        (_, Some(other)) => is_same_number_type(value, other) && equal(value, other),
        (_, None) => false,
    })
}

/// Here, unlike with `==`, a number of one type is never a number of another.
fn is_same_number_type(left: &Value, right: &Value) -> bool {
    left.type_name() == right.type_name()
}
