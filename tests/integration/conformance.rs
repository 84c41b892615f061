//! Cases of other projects, as data: each is written through the leader, and every assertion is asked in every way that the
//! protocol has, of the leader and of a follower, with caches cold and warm.
//!
//! The folder is named by `QUORATE_CONFORMANCE_DIR`; without it the test says that it was skipped.

mod ask;
mod case;
mod tree;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use ask::{Asker, WAYS, Way};
use case::Case;

use crate::harness::wire::authzed::{DeleteRelationshipsRequest, ZedToken};
use crate::harness::{Client, Cluster, filter, relationship, say, touch};

/// How many checks of a case are asked beyond those that it asserts.
const MOST_COMBINATIONS: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cases_of_other_projects_hold_in_every_way_to_ask() {
    let Some(folder) = std::env::var_os("QUORATE_CONFORMANCE_DIR") else {
        return say("SKIPPED cases_of_other_projects_hold_in_every_way_to_ask: QUORATE_CONFORMANCE_DIR is not set");
    };
    let cases = read_folder(Path::new(&folder));
    let cluster = Cluster::form(3).await;
    let leader = cluster.leader().await;
    let follower = cluster.others(&[leader])[0];
    let site = Site { leader: cluster.client(leader), follower: cluster.client(follower) };
    let (mut ran, mut failures) = (Vec::new(), Vec::new());
    let mut types = BTreeSet::new();
    for (name, case) in cases {
        let wrong = site.run(&case, &mut types).await.unwrap_or_else(|why| vec![why]);
        if wrong.is_empty() {
            ran.push(format!("{name} ({})", case.assertions.len()));
        }
        failures.extend(wrong.into_iter().map(|why| format!("{name}: {why}")));
    }
    say(&format!("conformance: {} files hold, with their assertions: {}", ran.len(), ran.join(", ")));
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
    leader: Client,
    follower: Client,
}

impl Site {
    /// Replaces all data and the schema, and asserts; what does not hold, in words. `types` are those that the case before
    /// left relationships of.
    async fn run(&self, case: &Case, types: &mut BTreeSet<String>) -> Result<Vec<String>, String> {
        for resource_type in std::mem::take(types) {
            let request =
                DeleteRelationshipsRequest { relationship_filter: Some(filter(&resource_type)), ..Default::default() };
            let deleted = self.leader.permissions.clone().delete_relationships(request).await;
            deleted.map_err(|error| format!("clearing {resource_type}: {error:?}"))?;
        }
        let written = self.leader.write_schema(&case.schema).await;
        let empty = written.map_err(|error| format!("the schema is refused: {error:?}"))?;
        for text in &case.relationships {
            types.extend(relationship(text).resource.map(|resource| resource.object_type));
        }
        // Each node answers at an index of its own that nothing was asked at before, and begins with another way to ask:
        // so every way meets cold caches somewhere, and in the second round warm ones.
        let mut ways = WAYS;
        let mut wrong = Vec::new();
        for client in [&self.leader, &self.follower] {
            let at = self.write(case, &empty).await?;
            let asker = Asker { client: client.clone(), at, has_caveats: case.has_caveats() };
            wrong.extend(assert_all(&asker, case, &ways).await);
            wrong.extend(agree(&asker, case).await?);
            ways.reverse();
        }
        Ok(wrong)
    }

    async fn write(&self, case: &Case, empty: &ZedToken) -> Result<ZedToken, String> {
        if case.relationships.is_empty() {
            return Ok(empty.clone());
        }
        let written = self.leader.write(case.relationships.iter().map(|text| touch(text))).await;
        written.map_err(|error| format!("the relationships are refused: {error:?}"))
    }
}

/// What the ways to ask do not agree on, of more checks than were asserted; the single check has the word.
async fn agree(asker: &Asker, case: &Case) -> Result<Vec<String>, String> {
    let assertions = asker.judged(case.combinations(MOST_COMBINATIONS)).await?;
    let mut wrong = Vec::new();
    for way in WAYS {
        let found = asker.wrong(way, &assertions).await;
        wrong.extend(found.into_iter().map(|why| format!("the ways disagree: {why}")));
    }
    Ok(wrong)
}

async fn assert_all(asker: &Asker, case: &Case, ways: &[Way]) -> Vec<String> {
    let mut wrong = Vec::new();
    for caches in ["cold", "warm"] {
        for way in ways {
            let found = asker.wrong(*way, &case.assertions).await;
            wrong.extend(found.into_iter().map(|why| format!("{caches}: {why}")));
        }
    }
    wrong
}
