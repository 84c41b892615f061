//! A large file through `quorate relationship import`, held against answers that follow from how the file was made.
//!
//! The world: groups form a tree of arity 4, every member of a group is a member of its parent; user `u` is a direct member
//! of one group; folders have an owner each; documents lie in a folder, and each is shared with one group or one user. What
//! the right answer to a check is, is arithmetic on these numbers, not a graph search.

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::harness::wire::authzed::check_bulk_permissions_pair::Response;
use crate::harness::wire::authzed::{CheckBulkPermissionsRequest, ReadRelationshipsRequest};
use crate::harness::{Client, Cluster, KEY, binary, check_item, filter, fully, is_allowed, run_command, say};

const WORLD_SCHEMA: &str = "
definition user {}
definition group { relation member: user | group#member }
definition folder {
    relation owner: user
    permission view = owner
}
definition document {
    relation folder: folder
    relation viewer: user | group#member
    permission view = viewer + folder->view
}
";

/// Relationships in the file, unless `QUORATE_IMPORT_SIZE` says otherwise.
const DEFAULT_SIZE: u64 = 50_000;
/// Checks that are compared; a bulk check takes 10,000.
const CHECKS: u64 = 8000;
const IMPORT_LIMIT: Duration = Duration::from_secs(1800);

/// How many there are of each, chosen so that the file has exactly the size that was asked for.
struct World {
    users: u64,
    groups: u64,
    folders: u64,
    documents: u64,
}

impl World {
    fn of_size(size: u64) -> Self {
        let (users, groups, folders) = (size / 10, size / 50, size / 100);
        // Users and folders take a line each, groups one but for the root, documents two.
        let mut world = Self { users, groups, folders, documents: 0 };
        let rest = size - (users + groups - 1 + folders);
        world.documents = rest / 2;
        world.folders += rest % 2;
        world
    }

    fn size(&self) -> u64 {
        self.users + self.groups - 1 + self.folders + 2 * self.documents
    }

    /// Spreads `n` over `0..bound`.
    fn spread(n: u64, bound: u64) -> u64 {
        (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) % bound
    }

    fn group_of(&self, user: u64) -> u64 {
        Self::spread(user, self.groups)
    }

    fn owner_of(&self, folder: u64) -> u64 {
        Self::spread(folder + 7, self.users)
    }

    fn folder_of(&self, document: u64) -> u64 {
        Self::spread(document + 13, self.folders)
    }

    /// Every third document is shared with a user, the others with a group.
    fn shared_with_user(&self, document: u64) -> Option<u64> {
        document.is_multiple_of(3).then(|| Self::spread(document + 29, self.users))
    }

    fn shared_with_group(&self, document: u64) -> u64 {
        Self::spread(document + 31, self.groups)
    }

    fn parent(group: u64) -> Option<u64> {
        group.checked_sub(1).map(|below| below / 4)
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |parts: std::fmt::Arguments<'_>| writeln!(text, "{parts}").expect("writing to a string");
        for user in 0..self.users {
            line(format_args!("group:g{}#member@user:u{user}", self.group_of(user)));
        }
        for group in 0..self.groups {
            if let Some(parent) = Self::parent(group) {
                line(format_args!("group:g{parent}#member@group:g{group}#member"));
            }
        }
        for folder in 0..self.folders {
            line(format_args!("folder:f{folder}#owner@user:u{}", self.owner_of(folder)));
        }
        for document in 0..self.documents {
            line(format_args!("document:d{document}#folder@folder:f{}", self.folder_of(document)));
            match self.shared_with_user(document) {
                Some(user) => line(format_args!("document:d{document}#viewer@user:u{user}")),
                None => {
                    line(format_args!("document:d{document}#viewer@group:g{}#member", self.shared_with_group(document)))
                }
            }
        }
        text
    }

    fn may_view(&self, document: u64, user: u64) -> bool {
        let owns = self.owner_of(self.folder_of(document)) == user;
        let shared = match self.shared_with_user(document) {
            Some(other) => other == user,
            None => {
                let wanted = self.shared_with_group(document);
                std::iter::successors(Some(self.group_of(user)), |group| Self::parent(*group))
                    .any(|group| group == wanted)
            }
        };
        owns || shared
    }

    /// Pairs of document and user: at random, those of owners, those of direct shares, and documents of small group numbers,
    /// which many users are members of.
    fn pairs(&self) -> Vec<(u64, u64)> {
        let pair = |n: u64| {
            let document = Self::spread(n + 101, self.documents);
            let at_random = Self::spread(n + 211, self.users);
            let user = match n % 4 {
                0 => self.owner_of(self.folder_of(document)),
                1 => self.shared_with_user(document).unwrap_or(at_random),
                _ => at_random,
            };
            (document, user)
        };
        (0..CHECKS).map(pair).collect()
    }
}

#[test]
fn the_world_has_the_size_that_was_asked_for() {
    for size in [1000, 1001, 50_000] {
        let world = World::of_size(size);
        assert_eq!(world.size(), size);
        let text = world.text();
        let lines: std::collections::BTreeSet<&str> = text.lines().collect();
        assert_eq!(lines.len() as u64, size, "no line is there twice");
    }
    let world = World::of_size(50_000);
    let allowed = world.pairs().iter().filter(|(document, user)| world.may_view(*document, *user)).count() as u64;
    assert!(allowed > CHECKS / 4 && allowed < CHECKS * 3 / 4, "{allowed} of {CHECKS}: both answers must be common");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_imported_file_gives_the_expected_answers() {
    let size = std::env::var("QUORATE_IMPORT_SIZE").map_or(DEFAULT_SIZE, |text| text.parse().expect("a number"));
    let world = World::of_size(size);
    let cluster = Cluster::form(3).await;
    let follower = cluster.client(cluster.others(&[cluster.leader().await])[0]);
    follower.write_schema(WORLD_SCHEMA).await.unwrap();
    let home = TempDir::new().unwrap();
    let file = home.path().join("relationships");
    fs::write(&file, world.text()).unwrap();

    let mut command = binary();
    command.args(["relationship", "import"]).arg(&file);
    command.args(["--endpoint", &cluster.nodes[0].client_address, "--key", KEY]);
    let begin = Instant::now();
    let ran = run_command(command, IMPORT_LIMIT).await;
    let seconds = begin.elapsed().as_secs_f64();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains(&size.to_string()) || ran.err.contains(&size.to_string()), "it says how many: {ran:?}");
    say(&format!("import: {size} relationships in {seconds:.1} s = {:.0}/s", size as f64 / seconds));

    assert_eq!(count(&follower, "document").await, 2 * world.documents);
    assert_eq!(count(&follower, "group").await, world.users + world.groups - 1);
    assert_answers(&follower, &world).await;
    cluster.assert_same_state().await;
}

/// Batches commit in any order. By the file nothing is left: every relationship ends with a time that has passed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_line_of_a_relationship_counts() {
    let cluster = Cluster::form(1).await;
    let client = cluster.client(0);
    client
        .write_schema(
            "use expiration definition user {} definition vault { relation keeper: user | user with expiration }",
        )
        .await
        .unwrap();
    let vaults = |limit: &str| (0..40).map(|n| format!("vault:v{n}#keeper@user:zed{limit}\n")).collect::<String>();
    let home = TempDir::new().unwrap();
    let file = home.path().join("relationships");
    fs::write(&file, (vaults("") + &vaults("[expiration:2020-01-01T00:00:00Z]")).repeat(10)).unwrap();
    for (batch, in_flight) in [("1", "64"), ("20", "8")] {
        let mut command = binary();
        command.args(["relationship", "import", "--batch", batch, "--in-flight", in_flight]).arg(&file);
        command.args(["--endpoint", &cluster.nodes[0].client_address, "--key", KEY]);
        let ran = run_command(command, IMPORT_LIMIT).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(count(&client, "vault").await, 0, "batches of {batch}, {in_flight} at a time");
    }
}

/// How many relationships there are of a type, without keeping them.
async fn count(client: &Client, resource_type: &str) -> u64 {
    let request = ReadRelationshipsRequest {
        consistency: fully(),
        relationship_filter: Some(filter(resource_type)),
        optional_limit: 0,
        optional_cursor: None,
    };
    let mut rows = client.permissions.clone().read_relationships(request).await.unwrap().into_inner();
    let mut count = 0;
    while rows.message().await.unwrap().is_some() {
        count += 1;
    }
    count
}

async fn assert_answers(client: &Client, world: &World) {
    let pairs = world.pairs();
    let item = |(document, user): &(u64, u64)| check_item(&format!("document:d{document}#view@user:u{user}"));
    let mut wrong = Vec::new();
    for chunk in pairs.chunks(1000) {
        let items = chunk.iter().map(item).collect();
        let request = CheckBulkPermissionsRequest { consistency: fully(), items, with_tracing: false };
        let answers = client.permissions.clone().check_bulk_permissions(request).await.unwrap().into_inner().pairs;
        assert_eq!(answers.len(), chunk.len());
        for (answer, (document, user)) in answers.into_iter().zip(chunk) {
            let expected = world.may_view(*document, *user);
            match answer.response {
                Some(Response::Item(item)) if is_allowed(item.permissionship()) == expected => {}
                other => wrong.push(format!("document {document}, user {user}: {expected} expected, got {other:?}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {CHECKS} answers are wrong: {:?}", wrong.len(), &wrong[..wrong.len().min(5)]);
}
