//! Cases of other projects, as data: each is written through the leader and asserted on the followers.
//!
//! The folder is named by `QUORATE_CONFORMANCE_DIR`; without it the test says that it was skipped. Files that need caveats,
//! expiration or a `use` directive are listed as skipped, with the reason.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use saphyr::{LoadableYamlNode, Yaml};

use crate::harness::wire::authzed::check_bulk_permissions_pair::Response;
use crate::harness::wire::authzed::{CheckBulkPermissionsRequest, DeleteRelationshipsRequest, ZedToken};
use crate::harness::{Client, Cluster, at_least, check_item, filter, is_allowed, relationship, say, touch};

/// One file.
#[derive(Debug, Default)]
struct Case {
    schema: String,
    relationships: Vec<String>,
    /// A check and what it must say.
    assertions: Vec<(String, bool)>,
}

impl Case {
    fn parse(text: &str) -> Result<Self, String> {
        let documents = Yaml::load_from_str(text).map_err(|error| error.to_string())?;
        let root = documents.first().ok_or("an empty file")?;
        let text_of = |key: &str| root.as_mapping_get(key).and_then(Yaml::as_str).unwrap_or_default().to_owned();
        let assertions_of = |key: &str| -> Vec<String> {
            let list = root.as_mapping_get("assertions").and_then(|all| all.as_mapping_get(key)).and_then(Yaml::as_vec);
            list.into_iter().flatten().filter_map(Yaml::as_str).map(str::to_owned).collect()
        };
        let mut case = Self { schema: text_of("schema"), ..Self::default() };
        let is_relationship = |line: &&str| !line.is_empty() && !line.starts_with("//");
        case.relationships =
            text_of("relationships").lines().map(str::trim).filter(is_relationship).map(str::to_owned).collect();
        for (key, expected) in [("assertTrue", true), ("assertFalse", false)] {
            // A context in the assertion speaks to caveats only, and there are none here.
            let check = |text: String| text.split(" with ").next().unwrap_or_default().trim().to_owned();
            case.assertions.extend(assertions_of(key).into_iter().map(|text| (check(text), expected)));
        }
        if case.schema.trim().is_empty() { Err("no schema".to_owned()) } else { Ok(case) }
    }

    /// What this case needs and this version does not have.
    fn needs(&self) -> Option<&'static str> {
        let without_comments = self.schema.lines().map(|line| line.split("//").next().unwrap_or_default());
        let words: Vec<&str> = without_comments.flat_map(str::split_whitespace).collect();
        if words.contains(&"caveat") {
            Some("caveats")
        } else if words.contains(&"expiration") || self.relationships.iter().any(|text| text.contains("[expiration")) {
            Some("expiration")
        } else if words.contains(&"use") {
            Some("a use directive")
        } else {
            None
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cases_of_other_projects_hold_on_a_follower() {
    let Some(folder) = std::env::var_os("QUORATE_CONFORMANCE_DIR") else {
        return say("SKIPPED cases_of_other_projects_hold_on_a_follower: QUORATE_CONFORMANCE_DIR is not set");
    };
    let cases = read_folder(Path::new(&folder));
    let cluster = Cluster::form(3).await;
    let leader = cluster.leader().await;
    let followers = cluster.others(&[leader]);
    let site = Site {
        writer: cluster.client(leader),
        bulk: cluster.client(followers[0]),
        single: cluster.client(followers[1]),
    };
    let (mut ran, mut skipped, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    let mut types = BTreeSet::new();
    for (name, case) in cases {
        if let Some(need) = case.needs() {
            skipped.push(format!("{name} (needs {need})"));
            continue;
        }
        match site.run(&case, &mut types).await {
            Ok(()) => ran.push(format!("{name} ({})", case.assertions.len())),
            Err(why) => failures.push(format!("{name}: {why}")),
        }
    }
    say(&format!("conformance: {} files hold, with their assertions: {}", ran.len(), ran.join(", ")));
    say(&format!("conformance: {} files skipped: {}", skipped.len(), skipped.join(", ")));
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    assert!(!ran.is_empty(), "no case ran");
}

fn read_folder(folder: &Path) -> Vec<(String, Case)> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.expect("the folder is readable").path());
    let is_yaml = |path: &std::path::PathBuf| path.extension().is_some_and(|e| e == "yaml" || e == "yml");
    let mut cases: Vec<(String, Case)> = paths
        .filter(is_yaml)
        .map(|path| {
            let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
            let case = Case::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, case)
        })
        .collect();
    cases.sort_by(|(a, _), (b, _)| a.cmp(b));
    cases
}

/// Where the cases run, one after the other.
struct Site {
    writer: Client,
    bulk: Client,
    single: Client,
}

impl Site {
    /// Replaces all data and the schema, and asserts. `types` are those that the case before left tuples of.
    async fn run(&self, case: &Case, types: &mut BTreeSet<String>) -> Result<(), String> {
        for resource_type in std::mem::take(types) {
            let request =
                DeleteRelationshipsRequest { relationship_filter: Some(filter(&resource_type)), ..Default::default() };
            let deleted = self.writer.permissions.clone().delete_relationships(request).await;
            deleted.map_err(|error| format!("clearing {resource_type}: {error:?}"))?;
        }
        let mut zookie = self
            .writer
            .write_schema(&case.schema)
            .await
            .map_err(|error| format!("the schema is refused: {error:?}"))?;
        for text in &case.relationships {
            types.extend(relationship(text).resource.map(|resource| resource.object_type));
        }
        if !case.relationships.is_empty() {
            let write = self.writer.write(case.relationships.iter().map(|text| touch(text))).await;
            zookie = write.map_err(|error| format!("the relationships are refused: {error:?}"))?;
        }
        self.assert_in_bulk(case, &zookie).await?;
        self.assert_one_by_one(case, &zookie).await
    }

    async fn assert_in_bulk(&self, case: &Case, zookie: &ZedToken) -> Result<(), String> {
        if case.assertions.is_empty() {
            return Ok(());
        }
        let items = case.assertions.iter().map(|(check, _)| check_item(check)).collect();
        let request = CheckBulkPermissionsRequest { consistency: at_least(zookie), items, with_tracing: false };
        let response = self.bulk.permissions.clone().check_bulk_permissions(request).await;
        let pairs = response.map_err(|error| format!("{error:?}"))?.into_inner().pairs;
        if pairs.len() != case.assertions.len() {
            return Err(format!("{} answers for {} checks", pairs.len(), case.assertions.len()));
        }
        for (pair, (check, expected)) in pairs.into_iter().zip(&case.assertions) {
            match pair.response {
                Some(Response::Item(item)) if is_allowed(item.permissionship()) == *expected => {}
                other => return Err(format!("in bulk, {check} should be {expected}: {other:?}")),
            }
        }
        Ok(())
    }

    async fn assert_one_by_one(&self, case: &Case, zookie: &ZedToken) -> Result<(), String> {
        for (check, expected) in &case.assertions {
            match self.single.check(check, at_least(zookie)).await {
                Ok(answer) if answer.allowed == *expected => {}
                other => return Err(format!("{check} should be {expected}: {other:?}")),
            }
        }
        Ok(())
    }
}

#[test]
fn cases_are_read_and_judged() {
    let text = "---\nschema: |+\n  definition user {}\n\n  definition doc {\n    relation viewer: user\n  }\n\nrelationships: >-\n  doc:a#viewer@user:x\n\n  doc:b#viewer@user:y#...\nassertions:\n  assertTrue:\n    - \"doc:a#viewer@user:x\"\n    - 'doc:b#viewer@user:y with {\"a\": 1}'\n  assertFalse: []\n";
    let case = Case::parse(text).unwrap();
    assert_eq!(case.relationships, ["doc:a#viewer@user:x", "doc:b#viewer@user:y#..."]);
    assert_eq!(case.assertions[1], ("doc:b#viewer@user:y".to_owned(), true));
    assert_eq!(case.needs(), None);
    let needs = |schema: &str| Case { schema: schema.to_owned(), ..Case::default() }.needs();
    assert_eq!(needs("caveat tall(height int) { height > 2 }"), Some("caveats"));
    assert_eq!(needs("use expiration\ndefinition user {}"), Some("expiration"));
    assert_eq!(needs("// no caveat here\ndefinition user {}"), None);
    assert!(Case::parse("relationships: \"\"").is_err());
}
