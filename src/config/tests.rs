//! What the configuration promises: precedence, refusals that name the key, and a printed form that reads back.

use std::io::Write;

use clap::{Args, FromArgMatches};

use super::*;

/// What `serve` does: flags and variables over the file over defaults.
fn load(flags: &[&str], file: &str) -> Result<NodeConfig, ConfigError> {
    let command = NodeOverrides::augment_args(clap::Command::new("serve")).no_binary_name(true);
    let matches = command.try_get_matches_from(flags).expect("the flags exist");
    let flags = NodeOverrides::from_arg_matches(&matches).expect("the flags parse");
    let mut written = tempfile::NamedTempFile::new().unwrap();
    written.write_all(file.as_bytes()).unwrap();
    flags.over(NodeOverrides::from_file(written.path())?).resolve()
}

const KEY: &str = "[client]\nkeys = [\"k1\"]\n";

fn problem(flags: &[&str], file: &str) -> String {
    load(flags, file).expect_err("must be refused").to_string()
}

#[test]
fn defaults_are_the_documented_ones() {
    let config = load(&["--key", "k"], "").unwrap();
    assert_eq!(config.client.listen.to_string(), "127.0.0.1:50051");
    assert_eq!(config.client.advertise, "127.0.0.1:50051");
    assert_eq!(config.peer.advertise, "127.0.0.1:50151");
    assert_eq!((config.raft.heartbeat_ms, config.raft.snapshot_after_entries), (100, 50_000));
    assert_eq!((config.history.retain_ms, config.history.retain_entries), (86_400_000, 100_000));
    assert_eq!(config.log.format, LogFormat::Text);
    assert_eq!(config.gateway.listen, OptionalListen::Off);
    assert_eq!(config.console.listen, OptionalListen::Off);
}

#[test]
fn flags_win_over_the_file_and_the_file_over_defaults() {
    let file = "data_dir = \"/file\"\n[client]\nlisten = \"127.0.0.1:7001\"\nkeys = [\"f1\", \"f2\"]\n\
                [raft]\nheartbeat_ms = 50\nkeep_entries = 7\n";
    let config = load(&["--heartbeat-ms", "60", "--key", "a", "--key", "b"], file).unwrap();
    assert_eq!(config.data_dir.to_str(), Some("/file"));
    assert_eq!(config.raft.heartbeat_ms, 60, "the flag wins");
    assert_eq!(config.raft.keep_entries, 7, "the file wins over the default");
    assert_eq!(config.raft.election_timeout_min_ms, 1000, "the default remains");
    assert_eq!(config.client.keys, ["a", "b"], "a list is replaced, not extended");
    assert_eq!(config.client.advertise, "127.0.0.1:7001", "follows what the node listens on");
}

/// Runs itself in a process of its own, since a test must not change the environment of its neighbours.
#[test]
fn flags_win_over_variables_and_variables_over_the_file() {
    const NAME: &str = "config::tests::flags_win_over_variables_and_variables_over_the_file";
    if std::env::var_os("QUORATE_HEARTBEAT_MS").is_none() {
        let this = std::env::current_exe().unwrap();
        let mut child = std::process::Command::new(this);
        child.args(["--exact", NAME, "--nocapture"]).env("QUORATE_HEARTBEAT_MS", "70").env("QUORATE_KEYS", "e1,e2");
        let output = child.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
        return;
    }
    let file = "[client]\nkeys = [\"f1\"]\n[raft]\nheartbeat_ms = 50\n";
    let config = load(&[], file).unwrap();
    assert_eq!(config.raft.heartbeat_ms, 70, "the variable wins over the file");
    assert_eq!(config.client.keys, ["e1", "e2"]);
    assert_eq!(load(&["--heartbeat-ms", "60"], file).unwrap().raft.heartbeat_ms, 60, "the flag wins over the variable");
}

#[test]
fn every_key_has_a_flag_and_a_variable_of_the_same_name() {
    let command = NodeOverrides::augment_args(clap::Command::new("serve"));
    let mut seen = 0;
    for argument in command.get_arguments() {
        let flag = argument.get_long().expect("every key is a flag");
        let variable = argument.get_env().and_then(|v| v.to_str()).expect("every key is a variable");
        let expected = match flag {
            "key" => "QUORATE_KEYS".to_owned(), // several, with commas
            flag => format!("QUORATE_{}", flag.to_uppercase().replace('-', "_")),
        };
        assert_eq!(variable, expected);
        seen += 1;
    }
    assert_eq!(seen, 53);
}

#[test]
fn unknown_keys_are_refused_by_name_and_line() {
    for (file, name, line) in [
        ("speed = 1\n", "`speed`", "line 1"),
        ("[raft]\n\nheartbeat = 5\n", "`heartbeat`", "line 3"),
        ("[clients]\nkeys = []\n", "`clients`", "line 1"),
    ] {
        let message = problem(&[], file);
        assert!(message.contains(&format!("unknown key {name}")) && message.contains(line), "{message}");
        assert!(!message.contains('\n'), "{message}");
    }
}

#[test]
fn values_of_another_type_are_refused_with_the_line() {
    for file in [
        "[raft]\nheartbeat_ms = \"fast\"\n",
        "[peer]\nlisten = \"nowhere\"\n",
        "[gateway]\nlisten = \"on\"\n",
        "[log]\nformat = \"xml\"\n",
    ] {
        let message = problem(&[], file);
        assert!(message.contains("line 2"), "{message}");
    }
}

#[test]
fn no_value_is_quoted() {
    for (file, line, key) in [
        ("[client]\nkeys = \"s3cret\"\n", 2, "keys"),
        ("client = { keys = \"s3cret, expected \" }\n", 1, "keys"),
        ("client.keys = \"s3cret\"\n", 1, "client.keys"),
        ("[client]\nkeys = [\n  5535353,\n]\n", 3, ""),
        ("[client]\nkeys = [\"a\", s3cret]\n", 2, ""),
        ("[client]\nkeys = \"s3cret\n", 2, ""),
        ("[client]\nkeys = \"\"\"\ns3cret\"\"\"\n", 2, "keys"),
        ("[client]\nplaintext = \"s3cret\"\n", 2, "plaintext"),
        ("[client.keys]\na = \"s3cret\"\n", 1, ""),
        ("client = \"s3cret\"\n", 1, "client"),
        ("[log]\nformat = \"s3cret\"\n", 2, "format"),
        ("[gateway]\nlisten = \"s3cret\"\n", 2, "listen"),
        ("[client]\nkeys = [\"s3cret\"]\nkeys = [\"s3cret\"]\n", 3, ""),
    ] {
        let message = problem(&[], file);
        assert!(!message.contains("s3cret") && !message.contains("5535353"), "{message}");
        assert!(message.contains(&format!("line {line}")) && message.contains(key), "{file:?}: {message}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let Err(error) = NodeOverrides::from_file(std::path::Path::new("/no/such/file.toml")) else {
        panic!("there is no such file");
    };
    assert!(error.to_string().contains("/no/such/file.toml"), "{error}");
}

#[test]
fn each_rule_names_its_key() {
    for (flags, key) in [
        (&["--client-advertise", "somewhere"][..], "client.advertise"),
        (&["--client-advertise", "::1:50051"], "client.advertise"),
        (&["--client-listen", "0.0.0.0:50051"], "client.advertise"),
        (&["--peer-advertise", "node-1:0"], "peer.advertise"),
        (&["--peer-listen", "[::]:50151"], "peer.advertise"),
        (&["--client-listen", "0.0.0.0:50051", "--client-advertise", "a:1"], "client.listen"),
        (&["--peer-listen", "10.1.2.3:50151"], "peer.listen"),
        (&["--gateway-listen", "0.0.0.0:8443"], "gateway.listen"),
        (&["--console-listen", "0.0.0.0:8444"], "console.listen"),
        (&["--client-tls-certificate", "c.pem"], "client.tls_key"),
        (&["--client-tls-key", "c.key"], "client.tls_certificate"),
        (&["--client-tls-ca", "ca.pem"], "client.tls_certificate"),
        (&["--peer-tls-certificate", "c.pem", "--peer-tls-key", "c.key"], "peer.tls_ca"),
        (&["--key", ""], "client.keys"),
        (&["--key", "two words"], "client.keys"),
        (&["--peer-listen", "127.0.0.1:50051"], "peer.listen"),
        (&["--gateway-listen", "127.0.0.1:50151"], "gateway.listen"),
        (&["--console-listen", "127.0.0.1:50151"], "console.listen"),
        (&["--heartbeat-ms", "0"], "raft.heartbeat_ms"),
        (&["--heartbeat-ms", "400"], "raft.election_timeout_min_ms"),
        (&["--election-timeout-max-ms", "500"], "raft.election_timeout_max_ms"),
        (&["--snapshot-after-entries", "0"], "raft.snapshot_after_entries"),
        (&["--block-cache-mib", "0"], "store.block_cache_mib"),
        (&["--write-buffer-mib", "9999999"], "store.write_buffer_mib"),
        (&["--history-retain-ms", "999"], "history.retain_ms"),
        (&["--history-retain-entries", "0"], "history.retain_entries"),
        (&["--request-timeout-ms", "0"], "limits.request_timeout_ms"),
        (&["--concurrent-evaluations", "0"], "limits.concurrent_evaluations"),
        (&["--waiting-writes", "0"], "limits.waiting_writes"),
        (&["--node-region", "eu north"], "node.region"),
        (&["--node-zone", "a/b"], "node.zone"),
        (&["--connections", "0"], "limits.connections"),
        (&["--watches", "0"], "limits.watches"),
        (&["--rate", "1000001"], "limits.rate"),
        (&["--evaluation-wait-ms", "1"], "limits.evaluation_wait_ms"),
        (&["--log", "quorate=loud"], "log.filter"),
    ] {
        let message = problem(flags, KEY);
        assert!(message.starts_with(&format!("configuration: {key} ")), "{flags:?}: {message}");
    }
    assert!(problem(&[], "").starts_with("configuration: client.keys is empty"));
    assert!(problem(&[], "data_dir = \"\"").starts_with("configuration: data_dir is empty"));
}

#[test]
fn boundaries_are_inside() {
    let flags = ["--heartbeat-ms", "100", "--election-timeout-min-ms", "300", "--election-timeout-max-ms", "301"];
    load(&flags, KEY).unwrap();
    let any = "127.0.0.1:0";
    load(&["--client-listen", any, "--peer-listen", any, "--gateway-listen", any], KEY).unwrap();
    let exposed = ["--client-listen", "0.0.0.0:1", "--client-advertise", "[::1]:1", "--gateway-listen", "0.0.0.0:2"];
    load(&[&exposed[..], &["--client-plaintext"]].concat(), KEY).unwrap();
    load(&[&exposed[..], &["--client-tls-certificate", "c.pem", "--client-tls-key", "c.key"]].concat(), KEY).unwrap();
    load(&["--peer-listen", "10.1.2.3:1", "--peer-plaintext", "true"], KEY).unwrap();
}

#[test]
fn the_printed_configuration_reads_back_without_its_keys() {
    let file = "data_dir = \"/d\"\n[client]\nkeys = [\"very-secret\"]\n[peer]\nadvertise = \"n1:7\"\n[log]\nformat = \"json\"\n\
                [gateway]\nlisten = \"127.0.0.1:8443\"\n";
    let config = load(&["--keep-entries", "3"], file).unwrap();
    let printed = config.to_toml();
    assert!(!printed.contains("very-secret") && !format!("{config:?}").contains("very-secret"), "{printed}");
    assert_eq!(load(&["--key", "very-secret"], &printed).unwrap(), config);
}
