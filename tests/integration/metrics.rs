//! What the operator's machines ask a node: its metrics, and whether it is ready, which a node that is cut off is not.

use std::time::Duration;

use ureq::Agent;

use crate::harness::{Cluster, Fault, Settings, eventually, fully, minimize, touch};

const PATIENCE: Duration = Duration::from_secs(20);

struct Operator(Agent);

impl Operator {
    fn new() -> Self {
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE));
        Self(config.build().new_agent())
    }

    fn get(&self, cluster: &Cluster, node: usize, path: &str) -> (u16, String) {
        let url = format!("http://{}{path}", cluster.nodes[node].metrics_address());
        let mut response = self.0.get(url).call().expect("it is served");
        (response.status().as_u16(), response.body_mut().read_to_string().expect("text"))
    }

    /// The value of the metric whose line begins with `name`, which has its labels.
    fn value(&self, cluster: &Cluster, node: usize, name: &str) -> Option<f64> {
        let (status, text) = self.get(cluster, node, "/metrics");
        assert_eq!(status, 200, "{text}");
        let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')))?;
        Some(line.rsplit(' ').next()?.parse().expect("a number"))
    }
}

fn settings() -> Settings {
    let flags = ["--metrics-listen", "127.0.0.1:0"].map(str::to_owned).to_vec();
    Settings { flags, max_staleness_ms: Some(1_000), request_timeout_ms: Some(1_000), ..Settings::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_follow_what_happens() {
    let cluster = Cluster::form_with(3, settings()).await;
    let (operator, leader) = (Operator::new(), cluster.leader().await);
    let follower = cluster.others(&[leader])[0];
    let client = cluster.client(follower);
    client.write([touch("document:plan#viewer@user:tom")]).await.unwrap();
    for _ in 0..3 {
        assert!(client.check("document:plan#view@user:tom", fully()).await.unwrap().allowed);
    }
    client.check("document:plan#absent@user:tom", minimize()).await.expect_err("there is no such permission");

    let at = |name: &str| operator.value(&cluster, follower, name);
    assert_eq!(at("quorate_calls_total{method=\"CheckPermission\",code=\"OK\"}"), Some(3.0));
    let refused = "quorate_calls_total{method=\"CheckPermission\",code=\"FAILED_PRECONDITION\"}";
    assert_eq!(at(refused), Some(1.0));
    assert_eq!(at("quorate_calls_total{method=\"WriteRelationships\",code=\"OK\"}"), Some(1.0));
    let full = "quorate_call_duration_seconds_count{method=\"CheckPermission\",consistency=\"full\"}";
    assert_eq!(at(full), Some(3.0));
    assert_eq!(at("quorate_role{role=\"follower\"}"), Some(1.0));
    assert_eq!(at("quorate_role{role=\"leader\"}"), Some(0.0));
    assert_eq!(at("quorate_ready"), Some(1.0));
    assert!(at("quorate_log_position{position=\"applied\"}") >= Some(1.0));
    assert!(at("quorate_log_sync_seconds_count") >= Some(1.0));
    assert!(at("quorate_state_age_seconds") < Some(1.0));
    assert!(operator.value(&cluster, leader, "quorate_member_lag_entries{member=\"2\"}").is_some());
    assert_eq!(at("quorate_member_lag_entries{member=\"2\"}"), None, "only the leader knows");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_off_is_not_ready() {
    let cluster = Cluster::form_with(3, settings()).await;
    let (operator, leader) = (Operator::new(), cluster.leader().await);
    for alone in [leader, cluster.others(&[leader])[0]] {
        let ready = async |expected: u16| {
            eventually("what the node says of itself", PATIENCE, async || {
                let (status, _) = operator.get(&cluster, alone, "/readyz");
                if status == expected { Ok(()) } else { Err(status) }
            })
            .await;
        };
        ready(200).await;
        for other in cluster.others(&[alone]) {
            cluster.nodes[other].inflict(Fault::Pause);
        }
        ready(503).await;
        assert_eq!(operator.get(&cluster, alone, "/healthz").0, 200, "it lives");
        assert_eq!(operator.value(&cluster, alone, "quorate_ready"), Some(0.0));
        for other in cluster.others(&[alone]) {
            cluster.nodes[other].inflict(Fault::Resume);
        }
        ready(200).await;
    }
}
