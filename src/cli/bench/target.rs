//! What is measured: a cluster that speaks `authzed.api.v1`, or etcd; loaded, asked, and at the end held to what it
//! acknowledged.

use std::sync::Arc;
use std::time::Duration;

use tonic::transport::Endpoint;

use super::lane::{Lane, Stamp};
use super::load::{self, Loaded};
use super::operation::Operation;
use super::script::By;
use super::workload::{self, Workload, WorkloadArgs};
use super::world::{Question, World};
use super::{Lag, etcd};
use crate::cli::connection::{Connection, ConnectionArgs};
use crate::cli::failure::Failure;
use crate::wire::authzed::v1::consistency::Requirement;
use crate::wire::authzed::v1::{Consistency, ZedToken};

/// One load of data, or one wait for a node, may take so long.
const LOAD_TIMEOUT: Duration = Duration::from_secs(120);

/// What is measured.
pub(super) enum Target {
    Cluster { any: Connection, each: Vec<Connection> },
    Etcd { lane: Box<Lane> },
}

/// What a target is asked, ready to be sent.
pub(super) struct Prepared {
    pub(super) operations: Arc<[Operation]>,
    pub(super) by: By,
    /// How a client that reads its own writes begins.
    pub(super) zookie: Requirement,
    pub(super) loaded: Option<Loaded>,
}

/// What is to be prepared.
pub(super) struct Wanted<'a> {
    pub(super) world: &'a World,
    pub(super) workload: Workload,
    pub(super) args: &'a WorkloadArgs,
    pub(super) lag: Lag,
    pub(super) zookie: Option<&'a str>,
    pub(super) seed: u64,
    pub(super) loads: bool,
}

impl Target {
    pub(super) fn new(
        connection: &ConnectionArgs,
        is_etcd: bool,
        ways: &[Endpoint],
        stamp: &Stamp,
    ) -> Result<Self, Failure> {
        if is_etcd {
            return Ok(Self::Etcd { lane: Box::new(Lane::new(&ways[0], stamp.clone())) });
        }
        Ok(Self::Cluster { any: connection.open(LOAD_TIMEOUT)?, each: connection.open_each(LOAD_TIMEOUT)? })
    }

    /// Loads what is to be loaded, and prepares what is asked.
    pub(super) async fn prepare(&self, wanted: &Wanted<'_>) -> Result<Prepared, Failure> {
        match self {
            Self::Cluster { any, each } => prepare_cluster(any, each, wanted).await,
            Self::Etcd { lane } => prepare_etcd(lane, wanted).await,
        }
    }

    /// Which of these questions, about what was written, have a wrong answer.
    pub(super) async fn wrong_answers(&self, written: &[Question]) -> Result<Vec<Question>, Failure> {
        match self {
            Self::Cluster { any, .. } => load::wrong_answers(any, written).await,
            Self::Etcd { lane } => etcd::wrong_answers(lane, written).await,
        }
    }
}

async fn prepare_cluster(any: &Connection, each: &[Connection], wanted: &Wanted<'_>) -> Result<Prepared, Failure> {
    let world = wanted.world;
    if wanted.workload == Workload::Empty {
        let operations = Arc::from([workload::empty()]);
        return Ok(Prepared { operations, by: By::Write, zookie: Requirement::FullyConsistent(true), loaded: None });
    }
    let loaded = if wanted.loads { load::load(any, world).await? } else { None };
    let Some(token) = load::mark(any, world).await? else {
        let what = format!("there is no world of {} relationships and this seed in the cluster", world.size());
        return Err(
            Failure::usage(what).hint("leave --no-load out, or give the --tuples and --seed that it was loaded with")
        );
    };
    for node in each {
        load::settle(node, world).await?;
    }
    let token = wanted.zookie.map_or(token, |token| ZedToken { token: token.to_owned() });
    let requirement = match wanted.lag {
        Lag::Minimize => Requirement::MinimizeLatency(true),
        Lag::Fresh => Requirement::AtLeastAsFresh(token.clone()),
        Lag::Full => Requirement::FullyConsistent(true),
        Lag::Exact => Requirement::AtExactSnapshot(token.clone()),
    };
    let zookie = match wanted.lag {
        Lag::Full => Requirement::FullyConsistent(true),
        Lag::Minimize | Lag::Fresh | Lag::Exact => Requirement::AtLeastAsFresh(token),
    };
    let consistency = Consistency { requirement: Some(requirement) };
    let operations = wanted.workload.prepare(world, wanted.args, &consistency, wanted.seed)?;
    let by = if wanted.workload == Workload::Import { By::Import } else { By::Write };
    Ok(Prepared { operations, by, zookie, loaded })
}

async fn prepare_etcd(lane: &Lane, wanted: &Wanted<'_>) -> Result<Prepared, Failure> {
    let serializable = match wanted.lag {
        Lag::Minimize => true,
        Lag::Full => false,
        Lag::Fresh | Lag::Exact => return Err(Failure::usage("--etcd goes with --consistency full or minimize")),
    };
    let operations = match wanted.workload {
        Workload::Empty => Arc::from([workload::empty()]),
        Workload::Write => Arc::from([]),
        Workload::Flat => {
            if wanted.loads {
                etcd::load(lane, wanted.world).await?;
            }
            etcd::reads(wanted.world, serializable, wanted.seed)
        }
        _ => return Err(Failure::usage("--etcd goes with --workload write, flat and empty")),
    };
    Ok(Prepared { operations, by: By::EtcdPut, zookie: Requirement::FullyConsistent(true), loaded: None })
}
