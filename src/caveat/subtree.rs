//! `a.isSubtreeOf(b)`: whether every entry of one map is in another, maps inside them compared the same way.

use std::collections::BTreeMap;

use super::value::{Key, Value, equal};

/// Whether every entry of `part` is in `whole`. Unlike with `==`, a number of one type is never a number of another; and lists
/// and bytes cannot be compared, as in SpiceDB. The depth of values is bounded by that of contexts and expressions.
pub(super) fn is_subtree(part: &BTreeMap<Key, Value>, whole: &BTreeMap<Key, Value>) -> Result<bool, String> {
    for (key, value) in part {
        let found = match (value, whole.get(key)) {
            (Value::Map(part), Some(Value::Map(whole))) => is_subtree(part, whole)?,
            (Value::List(_), Some(Value::List(_))) | (Value::Bytes(_), Some(Value::Bytes(_))) => {
                return Err(format!("isSubtreeOf cannot compare values of the type {}", value.type_name()));
            }
            (_, Some(other)) => value.type_name() == other.type_name() && equal(value, other),
            (_, None) => false,
        };
        if !found {
            return Ok(false);
        }
    }
    Ok(true)
}
