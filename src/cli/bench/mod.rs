//! `quorate bench`: a load of a known kind on a cluster, or on anything else that speaks `authzed.api.v1`; how long answers
//! take, what they cost, and whether they are right.
//!
//! Reads downward: `world` (what is known) → `workload`, `script` (what is asked) → `lane` (how it is sent) → `pace`, `drive`
//! (when) → `tally`, `process` (what is counted) → `report`, `plot`.

mod drive;
mod etcd;
mod lane;
mod levels;
mod load;
mod messages;
mod operation;
mod pace;
mod plot;
mod process;
mod report;
mod run;
mod script;
mod tally;
mod target;
mod workload;
mod world;

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

pub(super) use run::run;

use super::connection::{ConnectionArgs, parse_duration};
use workload::{Workload, WorkloadArgs};

const EXAMPLES: &str = "\
Examples:
  quorate bench --workload flat --tuples 100000 --endpoint 10.0.0.1:50051,10.0.0.2:50051
  quorate bench --workload nested-groups --depth 16 --consistency full --clients 1,8,64
  quorate bench --workload mix --rate 100,1000,10000 --plot mix.html
  quorate bench --workload flat --pid 4711 --json > flat.json    what a check costs that process
  quorate bench --workload write --etcd --endpoint 127.0.0.1:2379

It loads a schema and relationships of its own, so it wants a cluster to itself; where they are already, they are used. The
same --tuples and --seed make the same data everywhere. Every answer is compared with the right one: the first that is wrong
ends the run, with exit code 1.
With --clients, each client asks again when it has its answer. With --rate, operations begin on time whatever becomes of the
others, and latencies count from that time.";

/// A load on a cluster, and what came of it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct BenchArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    /// What is asked
    #[arg(long, value_enum, value_name = "NAME")]
    workload: Workload,
    #[command(flatten)]
    what: WorkloadArgs,
    /// How fresh answers must be; fresh and exact as of the data, or of --zookie
    #[arg(long, value_enum, value_name = "MODE", default_value = "minimize")]
    consistency: Lag,
    /// Zookie for fresh and exact [default: one of the data]
    #[arg(long, value_name = "ZOOKIE")]
    zookie: Option<String>,
    /// Relationships of the data
    #[arg(long, value_name = "COUNT", default_value_t = 100_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(world::SMALLEST..=100_000_000))]
    tuples: u64,
    /// What the data, and the order of the questions, are made from
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Load nothing: the data is there
    #[arg(long)]
    no_load: bool,
    /// Clients that each ask when they have their answer; of several numbers, one after the other [default: 64, or with
    /// --rate 512 at most]
    #[arg(long, value_name = "COUNT", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=10_000))]
    clients: Vec<u16>,
    /// Operations a second, begun on time; of several numbers, one after the other
    #[arg(long, alias = "rates", value_name = "RATE", value_delimiter = ',')]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: Vec<u32>,
    /// From 100 operations a second on, twice as many each time, until it is too much
    #[arg(long, conflicts_with = "rate")]
    sweep: bool,
    /// Connections, in turn to each endpoint
    #[arg(long, value_name = "COUNT", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: u16,
    /// Threads of the generator [default: one for every two processors]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Time before anything counts
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "2s")]
    warm_up: Duration,
    /// Seconds that count, for each number of clients or rate
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// A server's process on this machine, whose processor time and memory are measured; can be repeated
    #[arg(long, value_name = "PID")]
    pid: Vec<u32>,
    /// Write a page that shows latency against load
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// The endpoint is etcd's: write puts keys, flat gets them
    #[arg(long)]
    etcd: bool,
}

/// How far answers may lag behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Lag {
    /// What the node has
    Minimize,
    /// At the zookie or later
    Fresh,
    /// Everything acknowledged before
    Full,
    /// At exactly the zookie
    Exact,
}
