//! `quorate bench` against a real cluster: that it loads its data, that every workload is answered rightly, and that a wrong
//! answer is noticed, whoever caused it.

use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Cluster, KEY, Ran, binary, delete, filter, fully, run_command, touch};

const SCHEMA: &str = include_str!("../../src/cli/bench/schema.zed");
const LIMIT: Duration = Duration::from_secs(120);

/// Runs a workload on all nodes, with a thousand relationships.
async fn bench(cluster: &Cluster, words: &str) -> Ran {
    let endpoints: Vec<&str> = cluster.nodes.iter().map(|node| node.client_address.as_str()).collect();
    let mut command = binary();
    command.args(["bench", "--endpoint", &endpoints.join(","), "--key", KEY, "--tuples", "1000", "--json"]);
    command.args(["--seconds", "1", "--warm-up", "100ms", "--timeout", "30s"]);
    command.args(words.split(' '));
    run_command(command, LIMIT).await
}

/// The levels of a run that must have gone well.
fn levels(ran: &Ran, words: &str) -> Vec<Value> {
    assert_eq!(ran.code, Some(0), "{words}: {ran:?}");
    let levels = ran.json()["levels"].as_array().expect("a list").clone();
    for level in &levels {
        assert!(level["operations"].as_u64() > Some(0), "{words}: {level}");
        assert_eq!(level["wrong_answers"], 0, "{words}: {level}");
    }
    levels
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_workload_is_answered_rightly_and_a_wrong_answer_is_noticed() {
    let cluster = Cluster::form(3).await;
    let client = cluster.client(0);

    // Whoever has a schema has data, and no use for that of a benchmark.
    let refused = bench(&cluster, "--workload flat").await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("schema of its own"), "{refused:?}");
    client.write_schema(SCHEMA).await.expect("nothing is in the way of it");
    let missing = bench(&cluster, "--workload flat --no-load").await;
    assert_eq!(missing.code, Some(2), "{missing:?}");

    let first = bench(&cluster, &format!("--workload flat --pid {}", cluster.nodes[0].pid())).await;
    let level = &levels(&first, "flat")[0];
    assert!(first.json()["loaded"]["relationships"].as_u64() > Some(900), "{first:?}");
    assert!(level["server_cpu_us_per_operation"].as_f64() > Some(0.0), "{level}");
    assert!(level["latency_us"]["p50"].as_u64() <= level["latency_us"]["max"].as_u64(), "{level}");
    for words in [
        "--workload empty",
        "--workload negative --consistency full",
        "--workload nested-groups --depth 24 --clients 4,8",
        "--workload arrow-chain --consistency exact",
        "--workload fan-out",
        "--workload set-algebra --consistency fresh",
        "--workload lookup-resources",
        "--workload lookup-subjects",
        "--workload bulk-check --items 100",
        "--workload mix --writes 20",
        "--workload write --items 3",
        "--workload import --items 100",
        "--workload read-your-writes --writes 30",
    ] {
        let ran = bench(&cluster, words).await;
        levels(&ran, words);
        assert_eq!(ran.json()["loaded"], Value::Null, "{words}: it was loaded already");
    }

    wrong_answers_are_noticed(&cluster).await;
    an_open_loop_keeps_its_rate_and_is_drawn(&cluster).await;
}

async fn wrong_answers_are_noticed(cluster: &Cluster) {
    let client = cluster.client(1);
    let (found, _) = client.read(filter("doc"), fully()).await.expect("healthy");
    for (workload, object) in
        [("flat", "doc:f"), ("set-algebra", "doc:s0#org"), ("lookup-subjects", "doc:ls10-0#viewer")]
    {
        let victim = found.iter().find(|tuple| tuple.starts_with(object)).expect("the data is there");
        client.write([delete(victim)]).await.expect("healthy");
        let words = format!("--workload {workload} --consistency full");
        let ran = bench(cluster, &words).await;
        assert_eq!(ran.code, Some(1), "{victim}: {ran:?}");
        assert!(ran.err.contains("wrong answers"), "{victim}: {ran:?}");
        client.write([touch(victim)]).await.expect("healthy");
        levels(&bench(cluster, &words).await, &words);
    }
}

async fn an_open_loop_keeps_its_rate_and_is_drawn(cluster: &Cluster) {
    let folder = TempDir::new().expect("a temporary folder");
    let page = folder.path().join("flat.html");
    let words = format!("--workload flat --rate 50,100 --plot {}", page.display());
    let levels = levels(&bench(cluster, &words).await, &words);
    for (level, rate) in levels.iter().zip([50.0, 100.0]) {
        // A little early or late at the edges of the second; a busy machine may be slow, never ahead.
        let found = level["operations_per_second"].as_f64().expect("a number");
        assert!(found > rate / 2.0 && found < rate * 1.5, "{level}");
    }
    let drawn = std::fs::read_to_string(&page).expect("the page was written");
    assert!(drawn.contains("<svg") && drawn.contains("p99.9"), "{drawn}");
}
