//! Which scope of a key each call needs.

use crate::security::Scope;

/// Calls by their path. What is not named here needs [`Scope::Admin`].
const TABLE: [(&str, &[&str], Scope); 11] = [
    (
        "authzed.api.v1.PermissionsService",
        &[
            "CheckPermission",
            "CheckBulkPermissions",
            "ExpandPermissionTree",
            "LookupResources",
            "LookupSubjects",
            "ReadRelationships",
            "ExportBulkRelationships",
        ],
        Scope::Read,
    ),
    (
        "authzed.api.v1.PermissionsService",
        &["WriteRelationships", "DeleteRelationships", "ImportBulkRelationships"],
        Scope::Write,
    ),
    (
        "authzed.api.v1.SchemaService",
        &["ReadSchema", "ReflectSchema", "DiffSchema", "ComputablePermissions", "DependentRelations"],
        Scope::Read,
    ),
    ("authzed.api.v1.SchemaService", &["WriteSchema"], Scope::Schema),
    ("authzed.api.v1.WatchService", &["Watch"], Scope::Read),
    (
        "authzed.api.v1.ExperimentalService",
        &[
            "BulkExportRelationships",
            "BulkCheckPermission",
            "ExperimentalReflectSchema",
            "ExperimentalComputablePermissions",
            "ExperimentalDependentRelations",
            "ExperimentalDiffSchema",
            "ExperimentalCountRelationships",
        ],
        Scope::Read,
    ),
    ("authzed.api.v1.ExperimentalService", &["BulkImportRelationships"], Scope::Write),
    (
        "authzed.api.v1.ExperimentalService",
        &["ExperimentalRegisterRelationshipCounter", "ExperimentalUnregisterRelationshipCounter"],
        Scope::Schema,
    ),
    ("quorate.v1.ConsistencyService", &["ContentChangeCheck", "GetFloors"], Scope::Read),
    ("quorate.v1.SchemaPlanService", &["PlanSchema"], Scope::Schema),
    ("quorate.v1.ClusterService", &["Status"], Scope::Read),
];

/// What a key must be good for to make the call at `path`.
pub(super) fn needed(path: &str) -> Scope {
    let call = path.strip_prefix('/').and_then(|path| path.split_once('/'));
    let names = |(of, methods, _): &&(&str, &[&str], Scope)| {
        call.is_some_and(|(service, method)| *of == service && methods.contains(&method))
    };
    TABLE.iter().find(names).map_or(Scope::Admin, |(_, _, scope)| *scope)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost_reflect::DescriptorPool;

    use super::*;
    use crate::wire;

    /// Whoever adds a call decides whom it is for: by the table, or here.
    #[test]
    fn every_call_has_a_place() {
        let pool = DescriptorPool::decode(wire::FILE_DESCRIPTOR_SET).expect("the descriptors are usable");
        let mut unnamed = BTreeSet::new();
        let mut named = BTreeSet::new();
        for service in pool.services() {
            let package = service.package_name().to_owned();
            for method in service.methods().filter(|_| ["authzed.api.v1", "quorate.v1"].contains(&package.as_str())) {
                let path = format!("/{}/{}", service.full_name(), method.name());
                let in_table =
                    TABLE.iter().any(|(of, methods, _)| *of == service.full_name() && methods.contains(&method.name()));
                if in_table {
                    named.insert(path)
                } else {
                    unnamed.insert(path)
                };
            }
        }
        let admin = [
            "/quorate.v1.ClusterService/Demote",
            "/quorate.v1.ClusterService/Init",
            "/quorate.v1.ClusterService/Join",
            "/quorate.v1.ClusterService/Promote",
            "/quorate.v1.ClusterService/Remove",
            "/quorate.v1.ClusterService/Snapshot",
            "/quorate.v1.ClusterService/TransferLeader",
            "/quorate.v1.ConsistencyService/SetFloors",
        ];
        assert_eq!(unnamed.iter().map(String::as_str).collect::<Vec<_>>(), admin);
        assert_eq!(named.len(), TABLE.iter().map(|(_, methods, _)| methods.len()).sum::<usize>(), "{named:?}");
        assert!(unnamed.iter().all(|path| needed(path) == Scope::Admin));
        assert_eq!(needed("/authzed.api.v1.SchemaService/WriteSchema"), Scope::Schema);
        for odd in ["", "/", "no/such", "/authzed.api.v1.SchemaService/", "/authzed.api.v1.SchemaService/ReadSchema/x"]
        {
            assert_eq!(needed(odd), Scope::Admin, "{odd}");
        }
    }
}
