//! What the lookups print: a line for each result as it arrives, and JSON where asked for.

use serde_json::{Value, json};

use crate::wire::authzed::v1::{LookupPermissionship, PartialCaveatInfo};

/// How someone has a permission: for sure, or if values are given that are missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holds(Option<Vec<String>>);

impl Holds {
    /// As the wire has it. What this version does not know counts as conditional: never more than the server said.
    pub(super) fn new(permissionship: LookupPermissionship, info: Option<PartialCaveatInfo>) -> Self {
        match permissionship {
            LookupPermissionship::HasPermission => Self(None),
            LookupPermissionship::ConditionalPermission | LookupPermissionship::Unspecified => {
                Self(Some(info.unwrap_or_default().missing_required_context))
            }
        }
    }

    /// Behind an id; empty where nothing is missing.
    pub(super) fn suffix(&self) -> String {
        match &self.0 {
            None => String::new(),
            Some(missing) => format!("  if {} allow it", missing.join(", ")),
        }
    }

    /// The same as fields of `object`.
    pub(super) fn put(&self, object: &mut Value) {
        object["permissionship"] = json!(if self.0.is_none() { "has_permission" } else { "conditional" });
        if let Some(missing) = &self.0 {
            object["missing_context"] = json!(missing);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_yes_is_shown_without_a_condition() {
        let info = || Some(PartialCaveatInfo { missing_required_context: vec!["ip".to_owned(), "day".to_owned()] });
        assert_eq!(Holds::new(LookupPermissionship::HasPermission, None).suffix(), "");
        let conditional = Holds::new(LookupPermissionship::ConditionalPermission, info());
        assert_eq!(conditional.suffix(), "  if ip, day allow it");
        assert_eq!(Holds::new(LookupPermissionship::Unspecified, info()), conditional);
        let mut object = json!({});
        conditional.put(&mut object);
        assert_eq!(object, json!({ "permissionship": "conditional", "missing_context": ["ip", "day"] }));
    }
}
