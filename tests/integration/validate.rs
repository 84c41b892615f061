//! `quorate validate` on files that were written for SpiceDB, and on one that does not hold.

use std::time::Duration;

use crate::harness::{run, say};

/// For all files of a folder, on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_another_project_hold() {
    let Some(folder) = std::env::var_os("QUORATE_CONFORMANCE_DIR") else {
        return say("SKIPPED files_of_another_project_hold: QUORATE_CONFORMANCE_DIR is not set");
    };
    let entries = std::fs::read_dir(&folder).expect("the folder is readable");
    let paths = entries.map(|entry| entry.expect("the folder is readable").path().display().to_string());
    let mut files: Vec<String> = paths.filter(|path| path.ends_with(".yaml") || path.ends_with(".yml")).collect();
    files.sort();
    let arguments: Vec<&str> = ["validate"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let ran = run(&arguments, LIMIT).await;
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert_eq!(ran.out.lines().filter(|line| line.contains(": ok (")).count(), files.len(), "{}", ran.out);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_hold_is_told_and_fails() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("it is writable");
        path.display().to_string()
    };
    let schema = "definition user {}\ndefinition document { relation viewer: user }\n";
    file("schema.zed", schema);
    let rest = "schemaFile: schema.zed\nrelationships: document:1#viewer@user:emil\nassertions:\n  assertTrue:\n";
    let good = file("good.yaml", &format!("{rest}    - document:1#viewer@user:emil\n"));
    let bad = file("bad.yaml", &format!("{rest}    - document:1#viewer@user:eva\n"));
    let ran = run(&["validate", &good, &bad], LIMIT).await;
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    let expected = format!(
        "{good}: ok (1 assertions, 0 expected relations)\n\
         {bad}:5: document:1#viewer@user:eva: expected allowed, found denied\n"
    );
    assert_eq!(ran.out, expected);
    let ran = run(&["validate", "/no/such/file.yaml"], LIMIT).await;
    assert_eq!(ran.code, Some(1), "{ran:#?}");
}
