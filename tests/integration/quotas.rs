//! What the bearer of a key may use of a node: whoever uses more is told so, at once, and nobody else notices.

use std::path::Path;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;
use ureq::Agent;

use crate::harness::wire::authzed::{ImportBulkRelationshipsRequest, WatchRequest};
use crate::harness::{
    Client, Cluster, Fault, Settings, eventually, fully, metric, reason_of, relationship, run, touch, within,
};

const LIMIT: Duration = Duration::from_secs(20);
const CHECK: &str = "document:plan#view@user:tom";
const TUPLE: &str = "document:plan#viewer@user:tom";

async fn create(file: &Path, name: &str, more: &[&str]) -> String {
    let file = file.display().to_string();
    let args = [&["key", "create", name, "--scope", "read,write", "--append-to", &file], more].concat();
    let ran = run(&args, LIMIT).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.out.trim().to_owned()
}

fn settings(flags: &[&str]) -> Settings {
    let flags = [&["--metrics-listen", "127.0.0.1:0"], flags].concat();
    Settings { gateway: true, flags: flags.into_iter().map(str::to_owned).collect(), ..Settings::default() }
}

fn refused(status: &Status, reason: &str) {
    assert_eq!((status.code(), reason_of(status).as_deref()), (Code::ResourceExhausted, Some(reason)), "{status:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_with_a_rate_is_told_when_to_come_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.toml");
    let bounded = create(&file, "bounded", &["--rate", "2", "--burst", "5"]).await;
    let free = create(&file, "free", &[]).await;
    let cluster = Cluster::form_with(1, settings(&["--key-file", &file.display().to_string()])).await;
    let node = &cluster.nodes[0];
    cluster.client(0).write([touch(TUPLE)]).await.unwrap();
    let with = |key: &str| Client::with_key(&node.client_address, Some(key));
    let (slow, fast) = (with(&bounded), with(&free));

    let mut told = Vec::new();
    for _ in 0..20 {
        match slow.check(CHECK, fully()).await {
            Ok(answer) => assert!(answer.allowed),
            Err(status) => told.push(status),
        }
        assert!(fast.check(CHECK, fully()).await.expect("another key").allowed);
    }
    assert!((5..=15).contains(&told.len()), "{} of 20 were refused", told.len());
    for status in &told {
        refused(status, "RATE_LIMITED");
        let wait = status.get_details_retry_info().and_then(|info| info.retry_delay).expect("a hint");
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
        assert!(status.message().contains("bounded"), "{status:?}");
    }
    // What it says is true.
    let wait = told.last().and_then(|status| status.get_details_retry_info()?.retry_delay).expect("a hint");
    eventually("the key is served again", LIMIT, async || {
        tokio::time::sleep(wait).await;
        slow.check(CHECK, fully()).await
    })
    .await;

    // The gateway counts with it, and says it in the way of HTTP; health needs no key and counts for nobody.
    let agent = Agent::config_builder().http_status_as_error(false).build().new_agent();
    let post = |key: &str| {
        let request = agent.post(format!("http://{}/v1/schema/read", node.gateway_address()));
        let response = request.header("Authorization", format!("Bearer {key}")).send("{}").expect("it answers");
        let retry = response.headers().get("retry-after").map(|value| value.to_str().expect("text").to_owned());
        (response.status().as_u16(), retry)
    };
    let answers: Vec<_> = (0..4).map(|_| post(&bounded)).collect();
    assert!(answers.contains(&(429, Some("1".to_owned()))), "{answers:?}");
    assert_eq!(post(&free), (200, None));
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", node.client_address)).unwrap();
    let mut health = HealthClient::new(channel.connect().await.unwrap());
    for _ in 0..50 {
        health.check(HealthCheckRequest::default()).await.expect("health is not counted");
    }
    assert!(metric(node, "quorate_requests_refused_total{limit=\"key_rate\"}").await >= told.len() as f64);

    // A look at the file refills nothing; another rate in it holds from then on.
    let log = |words: &str| node.log().matches(words).count();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("rate = 2\n", "rate = 10000\n").replace("burst = 5\n", "")).unwrap();
    node.inflict(Fault::Hangup);
    eventually("the new rate", LIMIT, async || if log("new keys") > 0 { Ok(()) } else { Err(node.log()) }).await;
    for _ in 0..20 {
        slow.check(CHECK, fully()).await.expect("a higher rate");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_and_watches_at_the_same_time_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.toml");
    let bounded = create(&file, "bounded", &["--concurrent", "1"]).await;
    let flags = ["--key-file", &file.display().to_string(), "--watches", "3", "--concurrent-requests", "2"];
    let cluster = Cluster::form_with(1, settings(&flags)).await;
    let node = &cluster.nodes[0];
    let (one, others) = (Client::with_key(&node.client_address, Some(&bounded)), cluster.client(0));

    // An import that is open takes the only place of its key.
    let import = async |client: &Client| {
        let (sender, messages) = mpsc::channel(1);
        let mut permissions = client.permissions.clone();
        let call = async move { permissions.import_bulk_relationships(ReceiverStream::new(messages)).await };
        let call = tokio::spawn(call);
        let relationships = vec![relationship(&format!("document:{}#viewer@user:tom", rand::random::<u64>()))];
        sender.send(ImportBulkRelationshipsRequest { relationships }).await.expect("it is taken");
        (sender, call)
    };
    let open = async |client: &Client| {
        eventually("the import is open", LIMIT, async || {
            let import = import(client).await;
            match client.check(CHECK, fully()).await {
                Err(status) if !import.1.is_finished() => Ok((import, status)),
                // The check came first, or kept the import out.
                other => Err(other),
            }
        })
        .await
    };
    let (first, status) = open(&one).await;
    refused(&status, "RESOURCE_EXHAUSTED");
    assert!(status.message().contains("bounded"), "{status:?}");
    others.check(CHECK, fully()).await.expect("another key");
    // With one more, the node has as many as it may; operators get through.
    let (second, status) = open(&others).await;
    refused(&status, "RESOURCE_EXHAUSTED");
    assert!(status.message().contains("this node"), "{status:?}");
    others.status().await.expect("operators get through");
    for (sender, call) in [first, second] {
        drop(sender);
        within("the import", LIMIT, call).await.unwrap().expect("it is good");
    }
    eventually("the places are free", LIMIT, async || one.check(CHECK, fully()).await).await;

    // Watches have places of their own.
    let watch = async || others.watches.clone().watch(WatchRequest::default()).await;
    let mut watches = Vec::new();
    for _ in 0..3 {
        watches.push(watch().await.expect("there is room").into_inner());
    }
    refused(&watch().await.expect_err("one too many"), "RESOURCE_EXHAUSTED");
    assert_eq!(metric(node, "quorate_watches").await, 3.0);
    others.check(CHECK, fully()).await.expect("a watch takes no place of a request");
    watches.pop();
    eventually("a watch has ended", LIMIT, async || watch().await.map(drop)).await;
}
