//! Group commit: many writers share a flush of the log.

use std::time::{Duration, Instant};

use crate::harness::{Cluster, say, touch};

const WRITERS: usize = 64;
const DURATION: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_writers_share_flushes() {
    let cluster = Cluster::form(3).await;
    let clients = cluster.clients();
    let leader = cluster.leader().await;
    let before = cluster.status(leader).await;
    let begin = Instant::now();
    let writers = (0..WRITERS).map(|writer| {
        let client = clients[writer % clients.len()].clone();
        tokio::spawn(async move {
            let mut written = 0_u64;
            while begin.elapsed() < DURATION {
                client.write([touch(&format!("document:w{writer}-{written}#viewer@user:tom"))]).await.unwrap();
                written += 1;
            }
            written
        })
    });
    let written: u64 =
        futures::future::join_all(writers).await.into_iter().map(|w| w.expect("writers do not panic")).sum();
    let seconds = begin.elapsed().as_secs_f64();
    let after = cluster.status(leader).await;
    assert_eq!(after.term, before.term, "the leader changed; its counters say nothing about this load");

    let fsyncs = after.log_fsyncs - before.log_fsyncs;
    let appended = after.log_entries_appended - before.log_entries_appended;
    assert!(appended >= written, "{appended} entries for {written} acknowledged writes");
    assert!(fsyncs > 0, "acknowledged writes without a flush");
    let each = fsyncs as f64 / written as f64;
    say(&format!(
        "fsyncs per write = {each:.3} ({WRITERS} writers, {written} writes in {seconds:.1} s = {:.0}/s, {fsyncs} fsyncs on the \
         leader)",
        written as f64 / seconds
    ));
    assert!(each < 0.5, "fsyncs per write = {each:.3}");
}
