//! TLS for clients and between nodes: who is let in, who is not, and certificates that change while everything runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::harness::{Fault, KEY, Node, PortBlock, Ran, SCHEMA, SETTLE_LIMIT, Settings, eventually, run, turn};

const LIMIT: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_secs(3600);

/// Somebody who signs certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    /// Its own certificate.
    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for this machine in `name.pem`, its key in `name.key`.
    fn issue(&self, folder: &Path, name: &str) {
        self.issue_until(folder, name, SystemTime::now() + 1000 * HOUR);
    }

    /// One that ends then.
    fn issue_until(&self, folder: &Path, name: &str, until: SystemTime) {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(names).expect("good names");
        (params.not_before, params.not_after) = ((until - 2000 * HOUR).into(), until.into());
        let certificate = params.signed_by(&key, &self.0).expect("signed");
        fs::write(folder.join(format!("{name}.pem")), certificate.pem()).expect("writable");
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).expect("writable");
    }
}

/// Nodes with TLS everywhere. Field order is the order of the end.
struct Secured {
    nodes: Vec<Node>,
    ports: PortBlock,
    home: TempDir,
}

impl Secured {
    fn new() -> Self {
        let home = TempDir::with_prefix_in("tls-", env!("CARGO_TARGET_TMPDIR")).expect("the build folder is writable");
        Self { nodes: Vec::new(), ports: PortBlock::claim(), home }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("writable");
    }

    /// A node that presents `client.*` to clients and `PEER.*` to nodes, and takes for nodes those of `peers.pem`.
    async fn add(&mut self, peer: &str) {
        let file = |flag: &str, name: String| [flag.to_owned(), self.path(&name).display().to_string()];
        let flags = [
            file("--client-tls-certificate", "client.pem".to_owned()),
            file("--client-tls-key", "client.key".to_owned()),
            file("--peer-tls-certificate", format!("{peer}.pem")),
            file("--peer-tls-key", format!("{peer}.key")),
            file("--peer-tls-ca", "peers.pem".to_owned()),
            ["--metrics-listen".to_owned(), "127.0.0.1:0".to_owned()],
        ];
        self.start(flags.concat()).await;
    }

    async fn start(&mut self, flags: Vec<String>) {
        let at = self.nodes.len();
        let settings = Settings { gateway: true, flags, ..Settings::default() };
        let (client, peer) = (self.ports.client(at), self.ports.peer(at));
        let mut node = Node::prepare(self.home.path(), &format!("node-{}", at + 1), client, peer, &settings);
        assert_eq!(node.start().await, "waiting");
        self.nodes.push(node);
    }

    /// A command against one node, over TLS, that trusts `ca`.
    async fn ask(&self, node: usize, ca: &str, args: &[&str]) -> Ran {
        let endpoint = format!("https://{}", self.nodes[node].client_address);
        let ca = self.path(ca).display().to_string();
        run(&[args, &["--endpoint", &endpoint, "--key", KEY, "--ca", &ca]].concat(), LIMIT).await
    }

    async fn assert_done(&self, node: usize, ca: &str, args: &[&str]) {
        let ran = self.ask(node, ca, args).await;
        assert_eq!(ran.code, Some(0), "{args:?}: {ran:?}");
    }

    /// A write and a check of it on every node, which need the nodes to reach each other.
    async fn assert_works(&self, ca: &str, name: &str) {
        eventually("a write", SETTLE_LIMIT, async || {
            let tuple = format!("document:{name}#viewer@user:tom");
            let ran = self.ask(0, ca, &["relationship", "touch", &tuple]).await;
            if ran.code == Some(0) { Ok(()) } else { Err(ran) }
        })
        .await;
        for node in 0..self.nodes.len() {
            let check = format!("document:{name}");
            let args = ["permission", "check", &check, "view", "user:tom", "--consistency", "full"];
            self.assert_done(node, ca, &args).await;
        }
    }

    /// Tells all nodes that files have changed, and waits until each has taken note of it.
    async fn renew(&self, listener: &str) {
        let noted = |node: &Node| node.log().matches(&format!("listener=\"{listener}\"")).count();
        let before: Vec<usize> = self.nodes.iter().map(noted).collect();
        for node in &self.nodes {
            node.inflict(Fault::Hangup);
        }
        for (node, before) in self.nodes.iter().zip(before) {
            eventually("the node notes that files changed", LIMIT, async || {
                if noted(node) > before { Ok(()) } else { Err(node.log()) }
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_can_prove_it_is_let_in_and_certificates_can_be_replaced() {
    let _turn = turn().await;
    let (old, new) = (Authority::new(), Authority::new());
    let mut cluster = Secured::new();
    cluster.write("old.pem", &old.pem());
    cluster.write("new.pem", &new.pem());
    cluster.write("peers.pem", &old.pem());
    old.issue(cluster.home.path(), "client");
    old.issue(cluster.home.path(), "node");
    new.issue(cluster.home.path(), "stranger");
    for _ in 0..3 {
        cluster.add("node").await;
    }
    cluster.assert_done(0, "old.pem", &["cluster", "init"]).await;
    let member = cluster.nodes[0].peer_address.clone();
    for node in 1..3 {
        cluster.assert_done(node, "old.pem", &["cluster", "join", "--peer", &member]).await;
    }
    cluster.write("schema.zed", SCHEMA);
    let schema = cluster.path("schema.zed").display().to_string();
    cluster.assert_done(1, "old.pem", &["schema", "write", &schema]).await;
    cluster.assert_works("old.pem", "first").await;
    let status = cluster.ask(2, "old.pem", &["cluster", "status"]).await;
    assert!(status.code == Some(0) && !status.out.contains("unreachable"), "{status:?}");

    // A command that reads from one side and writes to another trusts for each whom it is told to.
    let (from, ca) =
        (format!("https://{}", cluster.nodes[1].client_address), cluster.path("old.pem").display().to_string());
    let verify = ["migrate", "verify", "--from", &from, "--from-key", KEY, "--from-ca"];
    cluster.assert_done(0, "old.pem", &[&verify[..], &[&ca]].concat()).await;
    let ran =
        cluster.ask(0, "old.pem", &[&verify[..], &[&cluster.path("new.pem").display().to_string()]].concat()).await;
    assert!(ran.code == Some(1) && ran.err.contains("the source at") && ran.err.contains("certificate"), "{ran:?}");

    // A client that trusts somebody else, and one that knows nothing of TLS.
    let ran = cluster.ask(0, "new.pem", &["schema", "read"]).await;
    assert!(ran.code == Some(1) && ran.err.contains("certificate"), "{ran:?}");
    let plain = cluster.nodes[0].client_address.clone();
    let ran = run(&["schema", "read", "--endpoint", &plain, "--key", KEY], LIMIT).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");

    // A node whose certificate nobody vouches for.
    cluster.add("stranger").await;
    let ran = cluster.ask(3, "old.pem", &["cluster", "join", "--peer", &member, "--timeout", "5s"]).await;
    assert!(ran.code != Some(0), "{ran:?}");
    cluster.nodes.pop().expect("it was added").kill();
    let status = cluster.ask(0, "old.pem", &["cluster", "status", "--json"]).await;
    assert_eq!(status.json()["members"].as_array().map(Vec::len), Some(3), "{status:?}");

    // Other certificates, from another authority, while everything runs: nobody who trusts both is ever without an answer.
    cluster.write("peers.pem", &(old.pem() + &new.pem()));
    cluster.renew("peer").await;
    cluster.assert_works("old.pem", "both").await;
    new.issue(cluster.home.path(), "node");
    cluster.renew("peer").await;
    cluster.assert_works("old.pem", "renewed").await;
    cluster.write("peers.pem", &new.pem());
    cluster.renew("peer").await;
    cluster.assert_works("old.pem", "new").await;
    new.issue(cluster.home.path(), "client");
    cluster.renew("client").await;
    cluster.assert_works("new.pem", "client").await;
    let ran = cluster.ask(0, "old.pem", &["schema", "read"]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");

    // Files that are wrong change nothing, and the log says so.
    cluster.write("client.pem", "nothing that makes sense");
    cluster.renew("client").await;
    cluster.assert_works("new.pem", "damaged").await;
    assert!(cluster.nodes[0].log().contains("stays in force"));
    assert!(get(&cluster.nodes[0].gateway_address(), &new, "/healthz").await.starts_with("HTTP/1.1 200"));
}

/// The answer of the gateway, over TLS.
async fn get(address: &str, authority: &Authority, path: &str) -> String {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).expect("PEM")).expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("there are versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connection = TcpStream::connect(address).await.expect("the gateway listens");
    let name = ServerName::try_from("localhost").expect("a name");
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, connection).await.expect("a handshake");
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("it is taken");
    let mut answer = Vec::new();
    // A peer that closes without a farewell is common in HTTP/1.1.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// When a certificate of the node ends, by its metrics.
fn ends(node: &Node, listener: &str, kind: &str) -> Option<SystemTime> {
    let mut answer = ureq::get(format!("http://{}/metrics", node.metrics_address())).call().expect("it is served");
    let text = answer.body_mut().read_to_string().expect("text");
    let name = format!("quorate_certificate_not_after_timestamp_seconds{{listener=\"{listener}\",kind=\"{kind}\"}} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&name))?;
    Some(UNIX_EPOCH + Duration::from_secs_f64(value.parse().expect("a number")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_has_expired_is_refused_and_told() {
    let _turn = turn().await;
    let authority = Authority::new();
    let mut cluster = Secured::new();
    let now = SystemTime::now();
    cluster.write("ca.pem", &authority.pem());
    cluster.write("peers.pem", &authority.pem());
    authority.issue(cluster.home.path(), "client");
    authority.issue(cluster.home.path(), "node");
    authority.issue_until(cluster.home.path(), "late", now - HOUR);
    cluster.add("node").await;
    cluster.assert_done(0, "ca.pem", &["cluster", "init"]).await;
    let member = cluster.nodes[0].peer_address.clone();
    let join = ["cluster", "join", "--peer", &member];

    // Between nodes: it is not let in, and knows why; with another one it is. Whether the other side's word for it arrives before
    // the end of the connection is a matter of luck.
    cluster.add("late").await;
    let ran = cluster.ask(1, "ca.pem", &join).await;
    assert!(ran.code == Some(1) && ran.err.contains("no member admitted this node"), "{ran:?}");
    let told = async |node: usize, words: &str| {
        eventually(words, LIMIT, async || {
            let log = cluster.nodes[node].log();
            if log.contains(words) { Ok(()) } else { Err(log) }
        })
        .await;
    };
    told(1, "has expired: nobody accepts it any more listener=\"peer\"").await;
    assert!(ends(&cluster.nodes[1], "peer", "own") < Some(now) && ends(&cluster.nodes[1], "client", "own") > Some(now));
    assert!(ends(&cluster.nodes[1], "peer", "authority") > Some(now));
    assert_eq!(ends(&cluster.nodes[1], "client", "authority"), None, "clients need none");
    authority.issue(cluster.home.path(), "late");
    cluster.nodes[1].inflict(Fault::Hangup);
    told(1, "new certificate listener=\"peer\"").await;
    cluster.assert_done(1, "ca.pem", &join).await;
    assert!(ends(&cluster.nodes[1], "peer", "own") > Some(now));

    // To clients: a command says so, and the node says so.
    authority.issue_until(cluster.home.path(), "client", now - HOUR);
    cluster.renew("client").await;
    told(0, "has expired: nobody accepts it any more listener=\"client\"").await;
    let ran = cluster.ask(0, "ca.pem", &["cluster", "status"]).await;
    assert!(ran.code == Some(1) && ran.err.contains("certificate") && ran.err.contains("expired"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_without_the_certificate_that_is_asked_for_hears_so() {
    let _turn = turn().await;
    let (ours, theirs) = (Authority::new(), Authority::new());
    let mut cluster = Secured::new();
    cluster.write("ours.pem", &ours.pem());
    ours.issue(cluster.home.path(), "node");
    ours.issue(cluster.home.path(), "client");
    theirs.issue(cluster.home.path(), "stranger");
    let path = |name: &str| cluster.path(name).display().to_string();
    let (certificate, key, ca) = (path("node.pem"), path("node.key"), path("ours.pem"));
    let shown = |name: &str| {
        let (certificate, key) = (path(&format!("{name}.pem")), path(&format!("{name}.key")));
        ["--certificate".to_owned(), certificate, "--certificate-key".to_owned(), key]
    };
    let (client, stranger) = (shown("client"), shown("stranger"));
    let flags = ["--client-tls-certificate", &certificate, "--client-tls-key", &key, "--client-tls-ca", &ca];
    cluster.start(flags.map(str::to_owned).to_vec()).await;

    let write = ["relationship", "touch", "document:plan#viewer@user:tom"];
    for args in [&["cluster", "init"][..], &["cluster", "status"], &write] {
        for shown in [&[][..], &stranger.each_ref().map(String::as_str)] {
            let ran = cluster.ask(0, "ours.pem", &[args, shown].concat()).await;
            let told = ran.err.contains("--certificate-key");
            // Not 4: a write that was refused so has surely not been made.
            assert!(ran.code == Some(1) && told, "{args:?} {shown:?}: {ran:?}");
        }
    }
    let client = client.each_ref().map(String::as_str);
    cluster.assert_done(0, "ours.pem", &[&["cluster", "init"][..], &client].concat()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_could_read_along_needs_a_word() {
    let base = ["serve", "--key", "k", "--data-dir", "/nonexistent", "--print-config"];
    let exposed = ["--peer-listen", "10.0.0.1:50151"];
    let ran = run(&[&base[..], &exposed].concat(), LIMIT).await;
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.err.contains("peer.tls_certificate") && ran.err.contains("peer.plaintext"), "{ran:?}");
    let ran = run(&[&base[..], &exposed, &["--peer-plaintext"]].concat(), LIMIT).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let missing = ["--client-tls-certificate", "/nonexistent/c.pem", "--client-tls-key", "/nonexistent/c.key"];
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().display().to_string();
    let start =
        ["serve", "--key", "k", "--data-dir", &data, "--client-listen", "127.0.0.1:0", "--peer-listen", "127.0.0.1:0"];
    let ran = run(&[&start[..], &missing].concat(), LIMIT).await;
    assert!(ran.code == Some(1) && ran.err.contains("/nonexistent/c.pem"), "{ran:?}");
}
