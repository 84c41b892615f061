//! Which path of the gateway is which call: SpiceDB's own paths, and ours under `/quorate`, each a POST with the request as
//! its body.

use http::uri::PathAndQuery;
use prost_reflect::MethodDescriptor;

use super::json;

/// The package of the calls of SpiceDB.
const AUTHZED: &str = "authzed.api.v1";
/// The package of our own.
const QUORATE: &str = "quorate.v1";

/// Path, service, method.
type Route = (&'static str, &'static str, &'static str);

/// Calls of [`QUORATE`]. What changes a cluster is not among them.
const OWN_ROUTES: [Route; 5] = [
    ("/quorate/v1/cluster/status", "ClusterService", "Status"),
    ("/quorate/v1/cluster/overview", "ClusterService", "Overview"),
    ("/quorate/v1/contentchangecheck", "ConsistencyService", "ContentChangeCheck"),
    ("/quorate/v1/floors/get", "ConsistencyService", "GetFloors"),
    ("/quorate/v1/floors/set", "ConsistencyService", "SetFloors"),
];

/// Calls of [`AUTHZED`].
const ROUTES: [Route; 27] = [
    ("/v1/permissions/check", "PermissionsService", "CheckPermission"),
    ("/v1/permissions/checkbulk", "PermissionsService", "CheckBulkPermissions"),
    ("/v1/permissions/expand", "PermissionsService", "ExpandPermissionTree"),
    ("/v1/permissions/resources", "PermissionsService", "LookupResources"),
    ("/v1/permissions/subjects", "PermissionsService", "LookupSubjects"),
    ("/v1/relationships/read", "PermissionsService", "ReadRelationships"),
    ("/v1/relationships/write", "PermissionsService", "WriteRelationships"),
    ("/v1/relationships/delete", "PermissionsService", "DeleteRelationships"),
    ("/v1/relationships/importbulk", "PermissionsService", "ImportBulkRelationships"),
    ("/v1/relationships/exportbulk", "PermissionsService", "ExportBulkRelationships"),
    ("/v1/schema/read", "SchemaService", "ReadSchema"),
    ("/v1/schema/write", "SchemaService", "WriteSchema"),
    ("/v1/schema/reflectschema", "SchemaService", "ReflectSchema"),
    ("/v1/schema/diffschema", "SchemaService", "DiffSchema"),
    ("/v1/schema/permissions/computable", "SchemaService", "ComputablePermissions"),
    ("/v1/schema/permissions/dependent", "SchemaService", "DependentRelations"),
    ("/v1/watch", "WatchService", "Watch"),
    ("/v1/experimental/relationships/bulkimport", "ExperimentalService", "BulkImportRelationships"),
    ("/v1/experimental/relationships/bulkexport", "ExperimentalService", "BulkExportRelationships"),
    ("/v1/experimental/permissions/bulkcheckpermission", "ExperimentalService", "BulkCheckPermission"),
    ("/v1/experimental/reflectschema", "ExperimentalService", "ExperimentalReflectSchema"),
    ("/v1/experimental/diffschema", "ExperimentalService", "ExperimentalDiffSchema"),
    ("/v1/experimental/permissions/computable", "ExperimentalService", "ExperimentalComputablePermissions"),
    ("/v1/experimental/permissions/dependent", "ExperimentalService", "ExperimentalDependentRelations"),
    ("/v1/experimental/registerrelationshipcounter", "ExperimentalService", "ExperimentalRegisterRelationshipCounter"),
    ("/v1/experimental/countrelationships", "ExperimentalService", "ExperimentalCountRelationships"),
    (
        "/v1/experimental/unregisterrelationshipcounter",
        "ExperimentalService",
        "ExperimentalUnregisterRelationshipCounter",
    ),
];

/// One call that the gateway passes on.
#[derive(Debug, Clone)]
pub(super) struct Method {
    /// Where the gateway serves it.
    pub(super) path: &'static str,
    /// Its name on the gRPC side.
    pub(super) grpc_path: PathAndQuery,
    pub(super) descriptor: MethodDescriptor,
}

/// All of them, in the order of the tables.
pub(super) fn methods() -> Vec<Method> {
    let method = |(package, (path, service, name)): (&str, Route)| {
        let full_name = format!("{package}.{service}");
        let found =
            json::pool().get_service_by_name(&full_name).and_then(|all| all.methods().find(|m| m.name() == name));
        Method {
            path,
            grpc_path: format!("/{full_name}/{name}").parse().expect("names of calls are made of letters and dots"),
            descriptor: found.expect("the table names calls that the protocol has; a test holds it to that"),
        }
    };
    let own = OWN_ROUTES.into_iter().map(|route| (QUORATE, route));
    ROUTES.into_iter().map(|route| (AUTHZED, route)).chain(own).map(method).collect()
}

/// The call at a path of the gateway, by its name on the gRPC side.
#[cfg(test)]
pub(in crate::api) fn grpc_path(path: &str) -> Option<String> {
    methods().into_iter().find(|method| method.path == path).map(|method| method.grpc_path.to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_call_of_the_protocols_has_one_path() {
        let paths: BTreeSet<&str> = ROUTES.iter().chain(&OWN_ROUTES).map(|(path, _, _)| *path).collect();
        assert_eq!(paths.len(), ROUTES.len() + OWN_ROUTES.len(), "no path twice");
        let served: BTreeSet<String> = methods().into_iter().map(|m| m.descriptor.full_name().to_owned()).collect();
        let services = json::pool().services().filter(|service| {
            service.parent_file().package_name() == AUTHZED || service.full_name() == "quorate.v1.ConsistencyService"
        });
        let looks = ["quorate.v1.ClusterService.Status", "quorate.v1.ClusterService.Overview"].map(str::to_owned);
        let all: BTreeSet<String> = services
            .flat_map(|s| s.methods().map(|m| m.full_name().to_owned()).collect::<Vec<_>>())
            .chain(looks)
            .collect();
        assert_eq!(served, all);
    }
}
