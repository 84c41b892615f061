//! Clean records for tests: what a cluster that keeps every promise could have answered, with as much freedom as the contract
//! leaves it.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::check::{Record, Settings, Thresholds};
use crate::history::{
    Answer, Beside, ChainSample, Failure, Floor, Footprint, LogEntry, Mode, Operation, Outcome, Relationship, Request,
    Subject, Token, Tree, Update, WatchSession, Workload, Write,
};
use crate::oracle::{Rules, State, VERSIONS, is_allowed, resources, users};

const MS: u64 = 1_000_000;
const CEILING_MS: u64 = 40;
const PROCESSES: u64 = 4;
const FLOORS: [(&str, Floor); 2] = [("vault", Floor::Full), ("ledger", Floor::Stale(10))];

/// When an operation began, took effect and was answered.
#[derive(Clone, Copy)]
struct Slot {
    index: u64,
    process: u64,
    start: u64,
    at: u64,
    end: u64,
}

/// Where a process stands in a chain of steps.
#[derive(Clone, Default)]
struct Chain {
    step: usize,
    number: u64,
    token: Option<Token>,
}

struct Simulation {
    random: StdRng,
    /// States by index, each with its schema and since when it is the latest.
    states: Vec<(u64, u64, State, usize)>,
    operations: Vec<Operation>,
    log: Vec<LogEntry>,
    chains: BTreeMap<u64, Chain>,
    names: u64,
}

/// A record without a fault. The same for the same seed.
pub(crate) fn clean(seed: u64, operations_each: usize) -> Record {
    let mut random = StdRng::seed_from_u64(seed);
    let mut slots = Vec::new();
    for process in 1..=PROCESSES {
        let mut now = 2 * CEILING_MS * MS; // No read is so old that it sees less than what was set up.
        for _ in 0..operations_each {
            let start = now + random.random_range(1..8 * MS);
            let at = start + random.random_range(1..3 * MS);
            let end = at + random.random_range(1..3 * MS);
            slots.push(Slot { index: 0, process, start, at, end });
            now = end;
        }
    }
    slots.sort_by_key(|slot| slot.start);
    for (position, slot) in slots.iter_mut().enumerate() {
        slot.index = position as u64 + 100;
    }
    slots.sort_by_key(|slot| slot.at);
    let mut simulation = Simulation {
        random,
        states: vec![(0, 0, State::default(), 0)],
        operations: Vec::new(),
        log: Vec::new(),
        chains: BTreeMap::new(),
        names: 0,
    };
    simulation.set_up();
    slots.into_iter().for_each(|slot| simulation.operate(slot));
    simulation.record(seed)
}

impl Simulation {
    fn set_up(&mut self) {
        let slot = |n: u64| Slot { index: n, process: 0, start: n * 100, at: n * 100 + 10, end: n * 100 + 20 };
        self.schema(slot(1), 0, false);
        let floors = FLOORS.map(|(kind, floor)| (kind.to_owned(), floor)).into();
        let (_, _, state, version) = self.latest().clone();
        let index = self.commit(slot(3).at, state, version);
        self.push(slot(3), Workload::Setup, Request::Floors { floors }, Outcome::Ok(Answer::written(index)));
        let facts = "register:r0#value@value:v0 register:r1#value@value:v0 seat:a#holds@item:x seat:b#holds@item:y \
                     memo:m#reader@user:ann memo:m#writer@user:bob team:t#member@user:eve team:u#member@user:fay \
                     desk:a#team@team:t desk:b#team@team:u";
        let updates = facts.split(' ').map(|text| Update::Touch(Relationship::of(text))).collect();
        self.write(slot(4), Workload::Setup, vec![], updates, None);
    }

    fn latest(&self) -> &(u64, u64, State, usize) {
        self.states.last().expect("there is a first one")
    }

    fn operate(&mut self, slot: Slot) {
        match self.random.random_range(0..16) {
            0 | 1 => self.register(slot),
            2 => self.swap(slot),
            3 => self.listing(slot),
            10 | 15 => self.order(slot),
            11 | 12 => self.lookup(slot),
            13 | 14 => self.floor(slot),
            4 | 5 => self.enemy(slot, slot.process.is_multiple_of(2)),
            6 => self.exact(slot),
            7 => self.retry(slot),
            8 => {
                let version = self.latest().3 + 1;
                let unknown = self.random.random_bool(0.1) && !self.has_unknown_schema();
                self.schema(slot, version % VERSIONS, unknown);
            }
            _ => {
                let (mode, questions) = (self.any_mode(slot), vec!["memo:m#see@user:ann", "memo:m#see@user:bob"]);
                self.check(slot, Workload::Schema, mode, &questions);
            }
        }
    }

    fn has_unknown_schema(&self) -> bool {
        let unknown = |o: &Operation| matches!((&o.request, &o.outcome), (Request::Schema { .. }, Outcome::Info(_)));
        self.operations.iter().any(unknown)
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("op-{}", self.names)
    }

    fn push(&mut self, slot: Slot, workload: Workload, request: Request, outcome: Outcome) {
        let Slot { index, process, start, end, .. } = slot;
        let node = (index % 3) as usize + 1;
        self.operations.push(Operation { index, process, workload, node, start, end, request, outcome });
    }

    /// An entry of the log that makes `state` and `version`; its index.
    fn commit(&mut self, at: u64, state: State, version: usize) -> u64 {
        // Entries that are no changes take indexes too.
        let index = self.latest().0 + self.random.random_range(1..3);
        self.states.push((index, at, state, version));
        index
    }

    fn schema(&mut self, slot: Slot, version: usize, unknown: bool) {
        let op = self.name();
        let state = self.latest().2.clone();
        let index = self.commit(slot.at, state, version);
        self.log.push(LogEntry { index, op: None, updates: vec![], schema: true });
        let outcome = if unknown { info() } else { Outcome::Ok(Answer::written(index)) };
        self.push(slot, Workload::Schema, Request::Schema { op, version }, outcome);
    }

    /// Writes, sometimes with an unknown outcome. Where it was acknowledged.
    fn write(
        &mut self,
        slot: Slot,
        workload: Workload,
        only_if: Vec<Relationship>,
        updates: Vec<Update>,
        key: Option<String>,
    ) -> Option<u64> {
        let write = Write { op: self.name(), only_if, updates, idempotency_key: key };
        let (_, _, mut state, version) = self.latest().clone();
        let request = Request::Write(write.clone());
        if !state.accepts(&write) {
            let failure = Failure { reason: Failure::PRECONDITION.to_owned(), message: String::new() };
            self.push(slot, workload, request, Outcome::Fail(failure));
            return None;
        }
        let unknown = workload != Workload::Setup && self.random.random_bool(0.1);
        if unknown && self.random.random_bool(0.5) {
            self.push(slot, workload, request, info());
            return None;
        }
        let effect = state.effect_of(&write.updates);
        state.apply(&write.updates);
        let index = self.commit(slot.at, state, version);
        if !effect.is_empty() {
            self.log.push(LogEntry { index, op: Some(write.op), updates: effect, schema: false });
        }
        let outcome = if unknown { info() } else { Outcome::Ok(Answer::written(index)) };
        self.push(slot, workload, request, outcome);
        (!unknown).then_some(index)
    }

    fn register(&mut self, slot: Slot) {
        let register = format!("r{}", self.random.random_range(0..2));
        if self.random.random_bool(0.4) {
            return self.list(slot, Workload::Register, Mode::Full, "register", Some(register));
        }
        let value = |n: u64| Relationship::of(&format!("register:{register}#value@value:v{n}"));
        let old = if self.random.random_bool(0.7) {
            self.latest().2.list("register", Some(&register)).pop_first().expect("registers are never empty")
        } else {
            value(self.random.random_range(0..3))
        };
        let new = value(self.random.random_range(0..1000));
        let updates = vec![Update::Delete(old.clone()), Update::Touch(new.clone())];
        if old != new {
            self.write(slot, Workload::Register, vec![old], updates, None);
        }
    }

    fn swap(&mut self, slot: Slot) {
        let kind = ["seat", "team", "desk"][self.random.random_range(0..3)];
        let held: Vec<Relationship> = self.latest().2.list(kind, None).into_iter().collect();
        let (mut one, mut other) = (held[0].clone(), held[1].clone());
        std::mem::swap(&mut one.subject, &mut other.subject);
        let updates = held.iter().cloned().map(Update::Delete).chain([Update::Touch(one), Update::Touch(other)]);
        let updates = updates.collect();
        self.write(slot, Workload::Swap, held, updates, None);
    }

    fn listing(&mut self, slot: Slot) {
        let mode = self.any_mode(slot);
        let kind = ["seat", "team", "desk"][self.random.random_range(0..3)];
        self.list(slot, Workload::Swap, mode, kind, None);
    }

    fn order(&mut self, slot: Slot) {
        if self.random.random_bool(0.5) {
            let mode = self.any_mode(slot);
            return self.list(slot, Workload::Order, mode, "chain", Some("c".to_owned()));
        }
        let link = Relationship::of(&format!("chain:c#link@item:p{}-{}", slot.process, slot.index));
        self.write(slot, Workload::Order, vec![], vec![Update::Touch(link)], None);
    }

    fn lookup(&mut self, slot: Slot) {
        let mode = self.any_mode(slot);
        let (index, state, version) = self.state(slot, mode, &[]);
        let (rules, beside, names) = (Rules::version(version), Beside::default(), |text: &str| text.to_owned());
        let found = |ids: std::collections::BTreeSet<String>| {
            let index = (!ids.is_empty()).then_some(index);
            Answer::Found { index, beside: Beside::default(), ids: ids.into_iter().collect() }
        };
        let (desk, see) = (names("desk"), names("see"));
        let (request, answer) = match self.random.random_range(0..5) {
            0 => {
                let user = names("eve");
                let answer = found(resources(&state, &rules, ("desk", "use"), &user));
                (Request::Resources { mode, kind: desk, permission: names("use"), user, page: Some(1) }, answer)
            }
            1 => {
                let answer = found(resources(&state, &rules, ("memo", "see"), "ann"));
                (
                    Request::Resources { mode, kind: names("memo"), permission: see, user: names("ann"), page: None },
                    answer,
                )
            }
            2 => {
                let answer = found(users(&state, &rules, ("desk", "b"), "use"));
                (Request::Subjects { mode, kind: desk, id: names("b"), permission: names("use") }, answer)
            }
            3 => {
                let leaf = |team: &Subject| Tree::Leaf {
                    kind: team.kind.clone(),
                    id: team.id.clone(),
                    relation: names("member"),
                    subjects: state.subjects("team", &team.id, "member").cloned().collect(),
                };
                let tree = Tree::Union(state.subjects("desk", "a", "team").map(leaf).collect());
                let answer = Answer::Expanded { index, beside, tree };
                (Request::Expand { mode, kind: desk, id: names("a"), permission: names("use") }, answer)
            }
            _ => {
                let questions = ["desk:a#use@user:fay", "desk:b#use@user:fay"].map(Relationship::of).to_vec();
                let allowed = questions.iter().map(|question| is_allowed(&state, &rules, question)).collect();
                (Request::Check { mode, questions }, Answer::Decided { index, beside, allowed })
            }
        };
        self.push(slot, Workload::Lookup, request, Outcome::Ok(answer));
    }

    /// Somebody is let in once and shut out, and asked about before, between and after.
    fn floor(&mut self, slot: Slot) {
        let (kind, _) = FLOORS[self.random.random_range(0..FLOORS.len())];
        let granted = Relationship::of(&format!("{kind}:v{}#viewer@user:g{}", slot.process, slot.process));
        let question = format!("{kind}:v{}#view@user:g{}", slot.process, slot.process);
        let is_in = self.latest().2.has(&granted);
        let touch = Update::Touch(granted.clone());
        let was_in = |o: &Operation| o.request.write().is_some_and(|write| write.updates.contains(&touch));
        if is_in && self.random.random_bool(0.5) {
            self.write(slot, Workload::Floor, vec![], vec![Update::Delete(granted)], None);
        } else if !self.operations.iter().any(was_in) && self.random.random_bool(0.5) {
            self.write(slot, Workload::Floor, vec![], vec![Update::Touch(granted)], None);
        } else {
            let mode = self.any_mode(slot);
            if let Mode::Exact(_) = mode {
                let failure = Failure { reason: Failure::BELOW_FLOOR.to_owned(), message: String::new() };
                let request = Request::Check { mode, questions: vec![Relationship::of(&question)] };
                return self.push(slot, Workload::Floor, request, Outcome::Fail(failure));
            }
            self.check(slot, Workload::Floor, mode, &[&question]);
        }
    }

    fn enemy(&mut self, slot: Slot, second: bool) {
        let chain = self.chains.entry(slot.process).or_default().clone();
        let (process, n) = (slot.process, chain.number);
        let (document, folder) = (format!("document:p{process}-{n}"), format!("folder:p{process}-{n}"));
        let user = format!("user:p{process}-{n}");
        let workload = if second { Workload::EnemyB } else { Workload::EnemyA };
        let granted = Relationship::of(&format!("{}#viewer@{user}", if second { &document } else { &folder }));
        let question = format!("{document}#view@{user}");
        let done = match chain.step {
            0 => self.write(slot, workload, vec![], vec![Update::Touch(granted)], None).is_some(),
            1 => self.write(slot, workload, vec![], vec![Update::Delete(granted)], None).is_some(),
            2 if second => {
                let index = self.content_check(slot, workload, &question);
                self.chains.entry(process).or_default().token = Some(Token { index, from: slot.index });
                true
            }
            2 => {
                let parent = Relationship::of(&format!("{document}#parent@{folder}"));
                self.write(slot, workload, vec![], vec![Update::Touch(parent)], None).is_some()
            }
            _ => {
                let mode = chain.token.map_or(Mode::Minimal, Mode::Fresh);
                self.check(slot, workload, mode, &[&question]);
                true
            }
        };
        let chain = self.chains.entry(process).or_default();
        // A chain with an unknown step proves nothing; begin another.
        *chain = match (done, chain.step) {
            (true, 0..=4) => Chain { step: chain.step + 1, ..chain.clone() },
            (_, _) => Chain { number: n + 1, ..Chain::default() },
        };
    }

    fn exact(&mut self, slot: Slot) {
        if let Some(token) = self.token(slot) {
            self.check(slot, Workload::Exact, Mode::Exact(token), &["memo:m#see@user:bob", "seat:a#holds@item:x"]);
        }
    }

    fn retry(&mut self, slot: Slot) {
        let marker = Relationship::of(&format!("marker:k{}#holder@user:u", slot.index));
        let key = Some(format!("key-{}", slot.index));
        let acknowledged = self.write(slot, Workload::Retry, vec![], vec![Update::Touch(marker)], key);
        // The same once more, by another process, right after.
        let first = self.operations.last().expect("just written").clone();
        if let (Some(index), Outcome::Ok(_)) = (acknowledged, &first.outcome) {
            let later = |by: u64| Slot {
                index: slot.index + by * 10_000,
                process: by * 90 + slot.process,
                start: slot.end + by * 2,
                end: slot.end + by * 2 + 1,
                ..slot
            };
            let again = Outcome::Ok(Answer::Written { index, replayed: true });
            self.push(later(1), Workload::Retry, first.request.clone(), again);
            // And something else under the same key.
            let Some(write) = first.request.write() else { return };
            let other = Request::Write(Write { op: self.name(), updates: vec![], ..write.clone() });
            let failure = Failure { reason: Failure::KEY_REUSED.to_owned(), message: String::new() };
            self.push(later(2), Workload::Retry, other, Outcome::Fail(failure));
        }
    }

    /// A zookie that was known when the slot began.
    fn token(&mut self, slot: Slot) -> Option<Token> {
        let known: Vec<Token> = self
            .operations
            .iter()
            // Not from before the end of the setup: the checkers rely on what was set up.
            .filter(|operation| operation.end < slot.start && operation.index > 4)
            .filter_map(|operation| Some(Token { index: operation.answered_at()?, from: operation.index }))
            .collect();
        (!known.is_empty()).then(|| known[self.random.random_range(0..known.len())])
    }

    fn any_mode(&mut self, slot: Slot) -> Mode {
        match (self.random.random_range(0..6), self.token(slot)) {
            (0, Some(token)) => Mode::Fresh(token),
            (1, Some(token)) => Mode::Exact(token),
            (2, _) => Mode::Full,
            (3, _) => Mode::Stale(self.random.random_range(0..30)),
            (4, _) => Mode::Lag(self.random.random_range(0..4)),
            (_, _) => Mode::Minimal,
        }
    }

    /// A state that the promise allows, and the floors of these types, at random.
    fn state(&mut self, slot: Slot, mode: Mode, kinds: &[&str]) -> (u64, State, usize) {
        let since = |age_ms: u64| {
            let time = slot.start.saturating_sub(age_ms * MS);
            self.states.iter().rposition(|(_, since, _, _)| *since <= time).unwrap_or_default()
        };
        let last = self.states.len() - 1;
        let reached = |least: u64| self.states.iter().position(|(index, ..)| *index >= least).unwrap_or(last);
        let asked = match mode {
            Mode::Full => last,
            Mode::Exact(token) => reached(token.index),
            Mode::Fresh(token) => reached(token.index).max(since(CEILING_MS)),
            Mode::Stale(ms) => since(ms),
            Mode::Lag(entries) => reached(self.states[since(0)].0.saturating_sub(entries)).max(since(CEILING_MS)),
            Mode::Minimal => since(CEILING_MS),
        };
        let floors = FLOORS.iter().filter(|(kind, _)| kinds.contains(kind)).map(|(_, floor)| match floor {
            Floor::Full => last,
            Floor::Stale(ms) => since(*ms),
        });
        let first = floors.fold(asked, usize::max);
        let chosen = if matches!(mode, Mode::Exact(_)) { first } else { self.random.random_range(first..=last) };
        let (index, _, state, version) = &self.states[chosen];
        (*index, state.clone(), *version)
    }

    fn check(&mut self, slot: Slot, workload: Workload, mode: Mode, questions: &[&str]) -> u64 {
        let questions: Vec<Relationship> = questions.iter().map(|text| Relationship::of(text)).collect();
        let kinds: Vec<&str> = questions.iter().map(|question| question.kind.as_str()).collect();
        let (index, state, version) = self.state(slot, mode, &kinds);
        let rules = Rules::version(version);
        let allowed = questions.iter().map(|question| is_allowed(&state, &rules, question)).collect();
        let is_floor = |(kind, floor): &&(&str, Floor)| {
            let weaker = !matches!((mode, floor), (Mode::Stale(ms), Floor::Stale(least)) if ms <= *least);
            kinds.contains(kind) && mode != Mode::Full && weaker
        };
        let raised = FLOORS.iter().find(is_floor).map(|(kind, _)| (*kind).to_owned());
        let outcome = Outcome::Ok(Answer::Decided { index, beside: Beside { applied: None, raised }, allowed });
        self.push(slot, workload, Request::Check { mode, questions }, outcome);
        index
    }

    fn content_check(&mut self, slot: Slot, workload: Workload, question: &str) -> u64 {
        let (index, state, version) = self.state(slot, Mode::Full, &[]);
        let question = Relationship::of(question);
        let allowed = vec![is_allowed(&state, &Rules::version(version), &question)];
        let answer = Answer::Decided { index, beside: Beside::default(), allowed };
        self.push(slot, workload, Request::ContentCheck { question }, Outcome::Ok(answer));
        index
    }

    fn list(&mut self, slot: Slot, workload: Workload, mode: Mode, kind: &str, id: Option<String>) {
        let (index, state, _) = self.state(slot, mode, &[]);
        let relationships: Vec<Relationship> = state.list(kind, id.as_deref()).into_iter().collect();
        let index = (!relationships.is_empty()).then_some(index);
        let outcome = Outcome::Ok(Answer::Listed { index, beside: Beside::default(), relationships });
        self.push(slot, workload, Request::list(mode, kind, id.as_deref()), outcome);
    }

    fn record(mut self, seed: u64) -> Record {
        let last = self.latest().0;
        let middle = self.random.random_range(1..last);
        let session = |watcher: &str, after: u64, through: u64| WatchSession {
            watcher: watcher.to_owned(),
            after,
            through,
            resumed: 0,
            entries: self.log.iter().filter(|e| e.index > after && e.index <= through).cloned().map(Arc::new).collect(),
            whole: false,
            failures: vec![],
        };
        let watches = vec![session("whole", 0, last), session("first part", 0, middle), session("rest", middle, last)];
        let sample = |node: usize, applied: u64| ChainSample {
            time: applied,
            node,
            applied,
            hash: format!("h{applied}"),
            term: 1,
            leads: node == 1,
            snapshot: 0,
            purged: 0,
        };
        let chain = vec![sample(1, middle), sample(2, middle), sample(1, last), sample(2, last), sample(3, last)];
        self.operations.sort_by_key(|operation| operation.index);
        let footprints = Footprint::of_a_quarter_of_an_hour();
        let (settings, operations, log) = (settings(seed), self.operations, self.log);
        Record { settings, operations, log, watches, chain, faults: vec![], footprints }
    }
}

fn settings(seed: u64) -> Settings {
    Settings {
        test: "specimen".to_owned(),
        seed,
        command: String::new(),
        voters: 2,
        learners: 1,
        seconds: 1,
        ceiling_ms: CEILING_MS,
        versions: vec![],
        mutant: None,
        not_tested: vec![],
        incomplete: None,
        endings: vec![],
        thresholds: Thresholds::default(),
    }
}

fn info() -> Outcome {
    Outcome::Info(Failure { reason: "gave-up".to_owned(), message: String::new() })
}
