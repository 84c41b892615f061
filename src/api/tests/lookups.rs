//! Lookups and trees, as clients see them.

use super::*;

#[tokio::test]
#[allow(deprecated, reason = "clients of earlier versions read these fields")]
async fn lookups_and_trees_over_the_wire() {
    let (_, server) = Server::member().await;
    server.schema().write_schema(wire::WriteSchemaRequest { schema: SCHEMA.to_owned() }).await.expect("valid");
    let mut client = server.permissions(Some(KEY));
    for (resource, user) in [("document:1", "user:a"), ("document:2", "user:a"), ("document:2", "user:*")] {
        client.write_relationships(write(Operation::Create, resource, "viewer", user)).await.expect("valid");
    }
    let full = || consistency(Requirement::FullyConsistent(true));
    let resources = wire::LookupResourcesRequest {
        consistency: full(),
        resource_object_type: "document".to_owned(),
        permission: "view".to_owned(),
        subject: Some(subject("user:a")),
        optional_limit: 1,
        ..Default::default()
    };
    let mut cursor = None;
    for expected in ["1", "2"] {
        let request = wire::LookupResourcesRequest { optional_cursor: cursor, ..resources.clone() };
        let mut stream = client.lookup_resources(request).await.expect("valid").into_inner();
        let found = stream.message().await.expect("answers").expect("one");
        assert_eq!(found.resource_object_id, expected);
        assert_eq!(found.permissionship(), wire::LookupPermissionship::HasPermission);
        assert!(stream.message().await.expect("ends").is_none());
        cursor = found.after_result_cursor;
    }
    let wildcard = wire::LookupResourcesRequest { subject: Some(subject("user:*")), ..resources };
    let status = client.lookup_resources(wildcard).await.expect_err("a wildcard");
    assert_eq!(reason(&status).2, "ERROR_REASON_WILDCARD_NOT_ALLOWED");

    let subjects = wire::LookupSubjectsRequest {
        consistency: full(),
        resource: Some(object("document:2")),
        permission: "view".to_owned(),
        subject_object_type: "user".to_owned(),
        ..Default::default()
    };
    let mut stream = client.lookup_subjects(subjects.clone()).await.expect("valid").into_inner();
    let mut found = Vec::new();
    while let Some(response) = stream.message().await.expect("answers") {
        let subject = response.subject.expect("given");
        assert_eq!(response.subject_object_id, subject.subject_object_id);
        assert_eq!(response.permissionship, subject.permissionship);
        found.push(subject.subject_object_id);
    }
    found.sort();
    assert_eq!(found, ["*", "a"]);
    let limited = wire::LookupSubjectsRequest { optional_concrete_limit: 1, ..subjects };
    assert_eq!(client.lookup_subjects(limited).await.expect_err("no limits").code(), Code::Unimplemented);

    let request = wire::ExpandPermissionTreeRequest {
        consistency: full(),
        resource: Some(object("document:2")),
        permission: "view".to_owned(),
    };
    let tree = client.expand_permission_tree(request).await.expect("valid").into_inner().tree_root.expect("given");
    use wire::permission_relationship_tree::TreeType;
    let Some(TreeType::Intermediate(union)) = tree.tree_type else { panic!("a permission is an operator") };
    assert_eq!(union.operation(), wire::algebraic_subject_set::Operation::Union);
    let leaves: Vec<(String, usize)> = union
        .children
        .into_iter()
        .map(|child| match child.tree_type {
            Some(TreeType::Leaf(leaf)) => (child.expanded_relation, leaf.subjects.len()),
            other => panic!("a relation is a leaf: {other:?}"),
        })
        .collect();
    assert_eq!(leaves, [("viewer".to_owned(), 2), ("owner".to_owned(), 0)]);
    server.stop().await;
}
