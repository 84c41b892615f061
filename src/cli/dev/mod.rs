//! `quorate dev`: a whole cluster on this machine, with nodes that are processes of their own, to try things out.
//!
//! Nothing in here is special to it: the nodes are started by `quorate serve`, the cluster is formed and used through the
//! public protocols. Whatever the folder holds from an earlier start is continued.

mod example;
mod folder;
mod formation;
mod ports;
mod process;
mod tour;

use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use folder::{Folder, Fronts};
use process::{Exited, NodeProcess};

use super::failure::{Exit, Failure};
use super::output::{note, print_line};

const EXAMPLES: &str = "\
Examples:
  quorate dev
  quorate dev --nodes 5 --dir /tmp/five --base-port 7000
  quorate dev --no-example --gateway
  quorate dev --console

Node N serves clients at base port + N - 1, the other nodes 100 above that, JSON over HTTP 50 above and the web console 70
above. Ctrl-C stops all nodes; started again,
the data is still there. Remove the folder to start over.";

/// As many as share out to at most one hundred ports between clients and peers, and as a laptop stands.
const MOST_NODES: i64 = 9;

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct DevArgs {
    /// Nodes to run [default: 3, or as many as the folder holds]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=MOST_NODES))]
    nodes: Option<u16>,
    /// Folder for the data and the logs of all nodes
    #[arg(long, value_name = "DIR", default_value = "./quorate-data")]
    dir: PathBuf,
    /// Port of the first node's public API [default: 50051, or what the folder was made with]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1024..=65_400))]
    base_port: Option<u16>,
    /// Serve the API as JSON over HTTP, too
    #[arg(long)]
    gateway: bool,
    /// Serve the web console, too
    #[arg(long)]
    console: bool,
    /// Load no example schema and relationships
    #[arg(long)]
    no_example: bool,
    /// Bearer key that clients must present
    #[arg(long, value_name = "KEY", default_value = "quorate-dev")]
    key: String,
}

pub(super) async fn run(args: DevArgs) -> Result<Exit, Failure> {
    let mut stop = StopSignals::watch()?;
    let fronts = Fronts { gateway: args.gateway, console: args.console };
    let folder = Folder::open(&args.dir, args.nodes, args.base_port)?.with_fronts(fronts);
    ports::check_free(folder.places())?;
    folder.record()?;

    let mut nodes = Nodes::start(&folder, &args.key)?;
    let outcome = tokio::select! {
        ready = make_ready(&folder, &args, &mut nodes) => ready.map(|()| Phase::Ready),
        () = stop.recv() => Ok(Phase::Interrupted),
    };
    let outcome = match outcome {
        Ok(Phase::Ready) => nodes.watch(&mut stop).await,
        Ok(Phase::Interrupted) => Ok(()),
        Err(failure) => Err(failure),
    };
    nodes.stop().await?;
    outcome.map(|()| Exit::Done)
}

/// How starting up ended.
enum Phase {
    Ready,
    Interrupted,
}

async fn make_ready(folder: &Folder, args: &DevArgs, nodes: &mut Nodes) -> Result<(), Failure> {
    let layout = folder.layout();
    print_line(format_args!("Starting {} nodes, with their data in {}", layout.nodes, folder.path().display()))?;
    nodes.wait_until_they_listen().await?;
    let places: Vec<_> = folder.places().collect();
    let work = async {
        formation::form(&places, &args.key, folder.path()).await?;
        tour::walk(&places, &args.key, args.no_example).await
    };
    let example = tokio::select! {
        done = work => done?,
        exited = nodes.exits.recv() => return Err(nodes.explain_early_exit(exited)),
    };
    tour::print_next_steps(&places, &args.key, example)?;
    print_line("cluster ready")
}

/// Ctrl-C, or a polite request to end.
struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    fn watch() -> Result<Self, Failure> {
        let watch = |kind| signal(kind).map_err(|error| Failure::new(format!("cannot watch for signals: {error}")));
        Ok(Self { interrupt: watch(SignalKind::interrupt())?, terminate: watch(SignalKind::terminate())? })
    }

    async fn recv(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The node processes. Dropping this kills them; [`Nodes::stop`] is the kind way.
struct Nodes {
    running: Vec<NodeProcess>,
    exits: mpsc::Receiver<Exited>,
}

impl Nodes {
    fn start(folder: &Folder, key: &str) -> Result<Self, Failure> {
        let (sender, exits) = mpsc::channel(folder.layout().nodes.into());
        let mut running = Vec::new();
        for place in folder.places() {
            running.push(NodeProcess::start(place, key, sender.clone())?);
        }
        Ok(Self { running, exits })
    }

    async fn wait_until_they_listen(&mut self) -> Result<(), Failure> {
        for at in 0..self.running.len() {
            let exited = tokio::select! {
                listening = self.running[at].wait_until_it_listens() => match listening {
                    Ok(()) => continue,
                    Err(failure) => return Err(failure),
                },
                exited = self.exits.recv() => exited,
            };
            return Err(self.explain_early_exit(exited));
        }
        Ok(())
    }

    /// A node that ended before the cluster was ready: there is nothing to keep running for.
    fn explain_early_exit(&self, exited: Option<Exited>) -> Failure {
        match exited {
            Some(exited) => {
                Failure::new(self.describe(&exited)).hint("the other nodes are stopped; correct this and start again")
            }
            None => Failure::new("all nodes ended"),
        }
    }

    fn describe(&self, exited: &Exited) -> String {
        let place = self.running.iter().map(NodeProcess::place).find(|place| place.number == exited.number);
        let (log, tail) = match place {
            Some(place) => (place.log.display().to_string(), process::tail(&place.log)),
            None => (String::new(), String::new()),
        };
        note(format_args!("--- the last lines of {log}:\n{tail}---"));
        format!("node {} ended by itself ({}); its log is {log}", exited.number, describe_exit(exited.status.as_ref()))
    }

    /// Until someone asks to stop. A node that ends is reported; the others go on, as a cluster does.
    async fn watch(&mut self, stop: &mut StopSignals) -> Result<(), Failure> {
        let mut left = self.running.len();
        while left > 0 {
            let exited = tokio::select! {
                () = stop.recv() => return Ok(()),
                exited = self.exits.recv() => exited,
            };
            let Some(exited) = exited else { break };
            left -= 1;
            note(self.describe(&exited));
            if left > 0 {
                note("the other nodes go on; Ctrl-C and `quorate dev` bring it back, with its data");
            }
        }
        Err(Failure::new("all nodes ended by themselves"))
    }

    async fn stop(self) -> Result<(), Failure> {
        print_line("Stopping all nodes")?;
        let stops = self.running.into_iter().map(NodeProcess::stop);
        let clean = futures::future::join_all(stops).await.into_iter().all(|clean| clean);
        print_line(if clean {
            "All nodes have stopped; the data is kept"
        } else {
            "All nodes have stopped, not all by themselves; the data is kept"
        })
    }
}

fn describe_exit(status: Option<&ExitStatus>) -> String {
    status.map_or_else(|| "how is not known".to_owned(), ToString::to_string)
}

/// Between two looks at something that is about to change.
const POLL: Duration = Duration::from_millis(100);
