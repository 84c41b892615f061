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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_files_are_refused_in_a_line() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let folder = home.path().join("files");
    std::fs::create_dir(&folder).expect("it is writable");
    std::fs::write(home.path().join("secret"), "secret").expect("it is writable");
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("it is writable");
        path.display().to_string()
    };
    let deep = file("deep.yaml", &"- ".repeat(10_000));
    let device = file("device.yaml", "schemaFile: /dev/zero");
    let above = file("above.yaml", "schemaFile: ../secret");
    let pipe = folder.join("pipe.yaml").display().to_string();
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo is everywhere");
    assert!(made.success());
    for (path, expected) in [
        (deep.as_str(), "nested more than"),
        (device.as_str(), "not below the folder"),
        (above.as_str(), "not below the folder"),
        (pipe.as_str(), "not a regular file"),
        ("/dev/zero", "not a regular file"),
    ] {
        let ran = run(&["validate", path], Duration::from_secs(20)).await;
        assert_eq!(ran.code, Some(1), "{ran:#?}");
        assert!(ran.out.contains(expected) && !ran.out.contains("secret`"), "{ran:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_file_may_import_others() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("it is in a folder")).expect("it is writable");
        std::fs::write(&path, text).expect("it is writable");
        path.display().to_string()
    };
    let root = "use import\nimport \"sub/user.zed\"\ndefinition document { relation viewer: user }\n";
    file("schemas/root.zed", root);
    file("schemas/sub/user.zed", "definition user {}\n");
    let rest =
        "relationships: document:1#viewer@user:emil\nassertions:\n  assertTrue:\n    - document:1#viewer@user:emil\n";
    let good = file("good.yaml", &format!("schemaFile: schemas/root.zed\n{rest}"));
    let ran = run(&["validate", &good], LIMIT).await;
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    file("schemas/sub/user.zed", "\ndefinition user { relation friend: absent }\n");
    let ran = run(&["validate", &good], LIMIT).await;
    assert!(ran.code == Some(1) && ran.out.contains("schemas/sub/user.zed:2: schema, column"), "{ran:#?}");
}
