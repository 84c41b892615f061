//! What goes wrong, and when. Each run has its own choice of faults and its own hurry: a run of one kind of fault finds what a
//! run of all kinds hides.

use std::collections::BTreeSet;

use quorate::raft::Role;
use rand::RngExt;

use crate::net::{Net, Vote};
use crate::node::Node;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Crash,
    Pause,
    CutOne,
    CutHalf,
    CutOneWay,
    CutPair,
    SlowNet,
    SlowDisk,
    Lossy,
    Clock,
    Snapshot,
    /// The leader is gone for a while, and whoever gives a vote may lose its power right after that.
    Election,
}

const KINDS: [Kind; 12] = [
    Kind::Crash,
    Kind::Pause,
    Kind::CutOne,
    Kind::CutHalf,
    Kind::CutOneWay,
    Kind::CutPair,
    Kind::SlowNet,
    Kind::SlowDisk,
    Kind::Lossy,
    Kind::Clock,
    Kind::Snapshot,
    Kind::Election,
];

/// What ends a fault.
enum End {
    Boot(usize),
    Resume(usize),
    Mend(BTreeSet<(usize, usize)>),
    FastNet(usize),
    FastDisk(usize),
    Lossless,
}

pub struct Faults {
    net: Net,
    kinds: Vec<Kind>,
    /// Longest time between two faults.
    hurry: u64,
    next: u64,
    ends: Vec<(u64, End)>,
    /// Until when voters lose their power.
    voters_fail_until: u64,
}

impl Faults {
    pub fn new(net: Net) -> Self {
        let (kinds, hurry) = net.random(|rng| {
            let share = rng.random_range(0.2..1.0);
            let kinds: Vec<Kind> = KINDS.into_iter().filter(|_| rng.random_bool(share)).collect();
            (kinds, rng.random_range(150..2000))
        });
        net.tell(|| format!("faults: {kinds:?}, every {hurry} ms at the latest"));
        let next = net.now();
        Self { net, kinds, hurry, next, ends: Vec::new(), voters_fail_until: 0 }
    }

    /// Begins and ends what is due.
    pub fn step(&mut self, nodes: &mut [Node]) {
        let now = self.net.now();
        let (due, later): (Vec<_>, Vec<_>) = self.ends.drain(..).partition(|(at, _)| *at <= now);
        self.ends = later;
        for (_, end) in due {
            self.end(nodes, end);
        }
        for vote in self.net.take_votes() {
            if now < self.voters_fail_until && self.net.random(|rng| rng.random_bool(0.7)) {
                self.lose_vote(nodes, vote, now);
            }
        }
        if now >= self.next && !self.kinds.is_empty() {
            let (kind, pause) = self
                .net
                .random(|rng| (self.kinds[rng.random_range(0..self.kinds.len())], rng.random_range(20..=self.hurry)));
            self.next = now + pause;
            self.begin(nodes, kind, now);
        }
    }

    /// Ends all faults.
    pub fn heal(&mut self, nodes: &mut [Node]) {
        for (_, end) in std::mem::take(&mut self.ends) {
            self.end(nodes, end);
        }
        self.net.conditions(|conditions| *conditions = crate::net::Conditions::default());
        self.kinds.clear();
        self.voters_fail_until = 0;
    }

    /// The leader, half of the time.
    fn victim(&self, nodes: &[Node]) -> usize {
        let leader = Self::leader(nodes);
        let (any, wants_leader) = self.net.random(|rng| (rng.random_range(1..=nodes.len()), rng.random_bool(0.5)));
        leader.filter(|_| wants_leader).unwrap_or(any)
    }

    fn leader(nodes: &[Node]) -> Option<usize> {
        let leads = |node: &&Node| node.replica().is_some_and(|replica| replica.status().role == Role::Leader);
        nodes.iter().find(leads).map(|node| node.id)
    }

    fn begin(&mut self, nodes: &mut [Node], kind: Kind, now: u64) {
        let victim = self.victim(nodes);
        let lasts = self
            .net
            .random(|rng| if rng.random_bool(0.3) { rng.random_range(5..60) } else { rng.random_range(60..3000) });
        let count = nodes.len();
        let node = &mut nodes[victim - 1];
        self.net.tell(|| format!("fault: {kind:?} of node {victim} for {lasts} ms"));
        self.net.count("faults", 1);
        match kind {
            Kind::Crash if node.is_up() => {
                let power = self.net.random(|rng| rng.random_bool(0.5));
                node.crash(power);
                self.ends.push((now + lasts, End::Boot(victim)));
            }
            Kind::Pause if node.is_up() && !node.is_paused() => {
                node.pause(true);
                self.ends.push((now + lasts, End::Resume(victim)));
            }
            Kind::Crash | Kind::Pause => {}
            Kind::CutOne | Kind::CutHalf | Kind::CutOneWay | Kind::CutPair => {
                let ways = self.ways(kind, victim, count);
                self.net.conditions(|conditions| conditions.cut.extend(ways.iter().copied()));
                self.ends.push((now + lasts, End::Mend(ways)));
            }
            Kind::SlowNet => {
                self.net.conditions(|conditions| _ = conditions.slow.insert(victim));
                self.ends.push((now + lasts, End::FastNet(victim)));
            }
            Kind::SlowDisk => {
                self.net.conditions(|conditions| _ = conditions.stalled.insert(victim));
                self.ends.push((now + lasts, End::FastDisk(victim)));
            }
            Kind::Lossy => {
                let lost = self.net.random(|rng| rng.random_range(20..300));
                self.net.conditions(|conditions| conditions.lost = lost);
                self.ends.push((now + lasts, End::Lossless));
            }
            Kind::Clock => {
                let widest = if self.net.random(|rng| rng.random_bool(0.8)) { 3_000 } else { 1_000_000 };
                let off = self.net.random(|rng| rng.random_range(-widest..widest));
                node.move_clock(off);
            }
            Kind::Snapshot => node.save(),
            Kind::Election => {
                let leader = Self::leader(nodes).unwrap_or(victim);
                self.voters_fail_until = now + 3_000;
                if nodes[leader - 1].is_up() {
                    nodes[leader - 1].crash(true);
                    let back = self.net.random(|rng| rng.random_range(20..1500));
                    self.ends.push((now + back, End::Boot(leader)));
                }
            }
        }
    }

    /// The voter loses its power right after its answer, and is back while others may still ask it. The candidate gets the
    /// answer and cannot tell anybody what it has become: if the vote is lost, another one may win the same term with it.
    fn lose_vote(&mut self, nodes: &mut [Node], Vote { voter, candidate }: Vote, now: u64) {
        if !nodes[voter - 1].is_up() {
            return;
        }
        self.net.tell(|| format!("fault: node {voter} loses its power after it answered candidate {candidate}"));
        self.net.count("voters that lost power", 1);
        nodes[voter - 1].crash(true);
        let (down, silent) = self.net.random(|rng| (rng.random_range(2..40), rng.random_range(1500..3000)));
        self.ends.push((now + down, End::Boot(voter)));
        let others = (1..=nodes.len()).filter(|other| *other != candidate);
        let ways: BTreeSet<(usize, usize)> = others.map(|other| (candidate, other)).collect();
        self.net.conditions(|conditions| conditions.cut.extend(ways.iter().copied()));
        self.ends.push((now + silent, End::Mend(ways)));
    }

    /// The ways between nodes that a partition cuts. Clients reach their nodes all the same, mostly.
    fn ways(&self, kind: Kind, victim: usize, count: usize) -> BTreeSet<(usize, usize)> {
        let others = (1..=count).filter(|other| *other != victim);
        match kind {
            Kind::CutOneWay => {
                let out = self.net.random(|rng| rng.random_bool(0.5));
                others.map(|other| if out { (victim, other) } else { (other, victim) }).collect()
            }
            Kind::CutPair => {
                let others: Vec<usize> = others.collect();
                let other = self.net.random(|rng| others[rng.random_range(0..others.len())]);
                BTreeSet::from([(victim, other), (other, victim)])
            }
            Kind::CutHalf => {
                let side: BTreeSet<usize> =
                    others.filter(|_| self.net.random(|rng| rng.random_bool(0.5))).chain([victim]).collect();
                let pairs = (1..=count).flat_map(|a| (1..=count).map(move |b| (a, b)));
                pairs.filter(|(a, b)| side.contains(a) != side.contains(b)).collect()
            }
            _ => {
                let clients = self.net.random(|rng| rng.random_bool(0.2)).then_some(crate::net::CLIENTS);
                others.chain(clients).flat_map(|other| [(victim, other), (other, victim)]).collect()
            }
        }
    }

    fn end(&self, nodes: &mut [Node], end: End) {
        match end {
            End::Boot(node) => nodes[node - 1].boot(),
            End::Resume(node) => nodes[node - 1].pause(false),
            End::Mend(ways) => self.net.conditions(|conditions| conditions.cut.retain(|way| !ways.contains(way))),
            End::FastNet(node) => self.net.conditions(|conditions| _ = conditions.slow.remove(&node)),
            End::FastDisk(node) => self.net.conditions(|conditions| _ = conditions.stalled.remove(&node)),
            End::Lossless => self.net.conditions(|conditions| conditions.lost = 0),
        }
    }
}
