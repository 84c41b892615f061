//! The calls that are served, and which scope of a key each needs.

use crate::security::Scope;

/// Calls by their path. What is not named here needs [`Scope::Admin`].
const TABLE: [(&str, &[&str], Scope); 14] = [
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
    ("quorate.v1.ConsistencyService", &["SetFloors"], Scope::Admin),
    ("quorate.v1.BackupService", &["CreateBackup"], Scope::Admin),
    ("quorate.v1.ClusterService", &["Status", "Overview"], Scope::Read),
    (
        "quorate.v1.ClusterService",
        &["Init", "Join", "TransferLeader", "Promote", "Demote", "Remove", "Upgrade", "SetHomeRegion", "Snapshot"],
        Scope::Admin,
    ),
];

/// What a key must be good for to make the call at `path`.
pub(super) fn needed(path: &str) -> Scope {
    find(path).map_or(Scope::Admin, |(_, scope)| scope)
}

/// The name of the method at `path`, where it is one of the table.
pub(super) fn method(path: &str) -> Option<&'static str> {
    find(path).map(|(name, _)| name)
}

/// Whether the call at `path` is a watch, which stays open for as long as its client likes.
pub(super) fn is_watch(path: &str) -> bool {
    path == "/authzed.api.v1.WatchService/Watch"
}

/// Whether the call at `path` is a stream of messages that a client sends.
pub(super) fn is_import(path: &str) -> bool {
    matches!(find(path), Some(("ImportBulkRelationships" | "BulkImportRelationships", _)))
}

/// Whether the call at `path` is always evaluated on threads for that, at a cost. A single check mostly is not.
pub(super) fn is_evaluated(path: &str) -> bool {
    matches!(
        find(path),
        Some((
            "CheckBulkPermissions"
                | "BulkCheckPermission"
                | "ExpandPermissionTree"
                | "LookupResources"
                | "LookupSubjects",
            _
        ))
    )
}

/// Whether the call at `path` is for operators, who must get through to a node that has too much to do.
pub(super) fn is_administration(path: &str) -> bool {
    path.starts_with("/quorate.v1.ClusterService/")
}

/// Whether the call at `path` changes something; `None` for none of the table.
pub(super) fn changes(path: &str) -> Option<bool> {
    let (name, scope) = find(path)?;
    Some(scope != Scope::Read && name != "PlanSchema")
}

/// Whether a call reports on its way, so that its answer begins before it is known what became of it.
pub(super) fn streams_progress(method: &str) -> bool {
    method == "quorate.v1.ClusterService/Join"
}

/// Whether a call that fails had no effect, unless the error says otherwise. A change to the cluster may have been begun.
pub(super) fn is_plain(method: &str) -> bool {
    !method.starts_with("quorate.v1.ClusterService/")
}

fn find(path: &str) -> Option<(&'static str, Scope)> {
    let (service, called) = path.strip_prefix('/')?.split_once('/')?;
    let of_service = TABLE.iter().filter(|(of, _, _)| *of == service);
    of_service
        .flat_map(|(_, methods, scope)| methods.iter().map(|name| (*name, *scope)))
        .find(|(name, _)| *name == called)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost_reflect::DescriptorPool;

    use super::*;
    use crate::wire;

    /// Whoever adds a call decides whom it is for.
    #[test]
    fn every_call_has_a_place() {
        let pool = DescriptorPool::decode(wire::FILE_DESCRIPTOR_SET).expect("the descriptors are usable");
        let mut served = BTreeSet::new();
        for service in pool.services() {
            if ["authzed.api.v1", "quorate.v1"].contains(&service.package_name()) {
                served
                    .extend(service.methods().map(|method| (service.full_name().to_owned(), method.name().to_owned())));
            }
        }
        let all = TABLE.iter().flat_map(|(of, methods, _)| methods.iter().map(|name| (*of).to_owned() + "/" + name));
        let named: Vec<String> = all.collect();
        let served: BTreeSet<String> = served.into_iter().map(|(service, method)| service + "/" + &method).collect();
        assert_eq!(named.iter().cloned().collect::<BTreeSet<_>>(), served);
        assert_eq!(named.len(), served.len(), "one is named twice: {named:?}");
        assert_eq!(method("/quorate.v1.ClusterService/Remove"), Some("Remove"));
        // The calls that are told apart by their path are some that there are.
        let apart = |is: fn(&str) -> bool| served.iter().filter(|path| is(&format!("/{path}"))).count();
        assert_eq!([apart(is_watch), apart(is_import)], [1, 2]);
        assert!(apart(is_administration) >= 8);
        assert_eq!(needed("/quorate.v1.ClusterService/Remove"), Scope::Admin);
        assert_eq!(needed("/authzed.api.v1.SchemaService/WriteSchema"), Scope::Schema);
        assert_eq!(changes("/quorate.v1.ClusterService/Remove"), Some(true));
        for reads in ["SchemaPlanService/PlanSchema", "ClusterService/Status", "ConsistencyService/GetFloors"] {
            assert_eq!(changes(&format!("/quorate.v1.{reads}")), Some(false), "{reads}");
        }
        assert_eq!(named.iter().filter(|name| streams_progress(name)).count(), 1);
        for odd in ["", "/", "no/such", "/authzed.api.v1.SchemaService/", "/authzed.api.v1.SchemaService/ReadSchema/x"]
        {
            assert_eq!(needed(odd), Scope::Admin, "{odd}");
        }
    }

    /// By their names, so that no slip in the table makes a key to read good for more.
    #[test]
    fn a_key_to_read_changes_nothing_and_one_to_write_writes_relationships_only() {
        let all = || TABLE.iter().flat_map(|(of, methods, _)| methods.iter().map(|name| (*of, *name)));
        let path = |(of, name): (&str, &str)| format!("/{of}/{name}");
        let calls = |wanted: Scope| all().filter(move |call| needed(&path(*call)) == wanted);
        const READS: [&str; 12] = [
            "Check",
            "Lookup",
            "Read",
            "Export",
            "Expand",
            "Reflect",
            "Diff",
            "Computable",
            "Dependent",
            "Count",
            "Get",
            "Watch",
        ];
        for (of, name) in calls(Scope::Read) {
            let plain = name.trim_start_matches("Experimental").trim_start_matches("Bulk");
            let reads = READS.iter().any(|verb| plain.starts_with(verb));
            let tells = ["Status", "Overview", "ContentChangeCheck"].contains(&name);
            assert!(reads || tells, "{of}/{name}");
        }
        for (of, name) in calls(Scope::Write) {
            assert!(of.starts_with("authzed.") && name.ends_with("Relationships"), "{of}/{name}");
        }
        for (of, name) in calls(Scope::Schema) {
            assert!(name.ends_with("Schema") || name.ends_with("Counter"), "{of}/{name}");
        }
        for call in all() {
            let needs = needed(&path(call));
            assert_eq!(changes(&path(call)), Some(needs != Scope::Read && call.1 != "PlanSchema"), "{call:?}");
            // Of what fails elsewhere it is known that nothing was begun.
            assert_eq!(is_plain(&path(call)[1..]), call.0 != "quorate.v1.ClusterService", "{call:?}");
        }
    }
}
