//! The workloads by name, their parameters, and what each asks: operations with the right answers, prepared beforehand.

use std::sync::Arc;

use clap::ValueEnum;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::messages::Health;
use super::operation::{Call, Expected, Operation};
use super::world::{DEEPEST, LIST_SIZES, List, Pick, Picker, Question, Shape, World};
use crate::cli::failure::Failure;
use crate::wire::authzed::v1::{
    CheckBulkPermissionsRequest, Consistency, LookupResourcesRequest, LookupSubjectsRequest, ObjectReference,
    SubjectReference,
};

/// Requests prepared for a workload that asks at random.
const PREPARED: u64 = 1 << 16;
/// Items in the prepared bulk checks of a workload, all together.
const PREPARED_ITEMS: u64 = 1 << 18;
/// Keys of the lane that repeats itself.
const HOT_KEYS: u64 = 10_000;
/// Requests prepared for the lane that never repeats itself; it begins again after so many.
const COLD_KEYS: u64 = 1 << 20;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Workload {
    /// No question at all, only whether the server is healthy: what a call costs, whatever is asked
    Empty,
    /// Checks of direct viewers
    Flat,
    /// Checks that are denied: half of them direct, half through groups (--depth)
    Negative,
    /// Checks through groups in groups (--depth)
    NestedGroups,
    /// Checks through folders in folders (--depth)
    ArrowChain,
    /// Checks of what very much hangs on (--shape)
    FanOut,
    /// Checks of an intersection and an exclusion
    SetAlgebra,
    /// 10,000 direct checks over and over
    CacheHot,
    /// Direct checks, each of them once
    CacheCold,
    /// 60 % direct checks, 30 % through groups (--depth), 10 % denied; a fifth of the documents is asked about four times of
    /// five; 1 % writes (--writes)
    Mix,
    /// Lookups of resources (--hits)
    LookupResources,
    /// Lookups of subjects (--hits)
    LookupSubjects,
    /// Bulk checks (--items), half of them denied
    BulkCheck,
    /// Writes of new relationships (--items)
    Write,
    /// Bulk imports of new relationships (--items)
    Import,
    /// Each client writes (--writes), and checks what it wrote with the zookie of the write
    ReadYourWrites,
}

/// What a workload can be told.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct WorkloadArgs {
    /// Groups or folders between document and user
    #[arg(long, value_name = "LINKS", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=DEEPEST))]
    pub(super) depth: u64,
    /// Shape of the fan-out [default: all of them in turn]
    #[arg(long, value_enum, value_name = "SHAPE")]
    pub(super) shape: Option<Shape>,
    /// Results of a lookup: 10, 1000 or 10000
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    pub(super) hits: u64,
    /// Checks, or relationships, in a request [default: 50 for bulk-check, 1 for write, 1000 for import]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(super) items: Option<u64>,
    /// Writes, in percent [default: 1]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(super) writes: Option<u8>,
    /// Ask about some documents far more often than about others (Zipf, 0.99); for flat and negative
    #[arg(long)]
    pub(super) zipf: bool,
}

impl WorkloadArgs {
    /// Checks or relationships in one request of `workload`.
    pub(super) fn items(&self, workload: Workload) -> u64 {
        self.items.unwrap_or(match workload {
            Workload::BulkCheck => 50,
            Workload::Import => 1000,
            _ => 1,
        })
    }

    /// The part of the operations that write.
    pub(super) fn write_share(&self) -> f64 {
        f64::from(self.writes.unwrap_or(1)) / 100.0
    }
}

impl Workload {
    /// Its name on the command line.
    pub(super) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// What it does, with those of the parameters that it heeds.
    pub(super) fn describe(self, args: &WorkloadArgs) -> String {
        let name = self.name();
        match self {
            Self::NestedGroups | Self::ArrowChain | Self::Negative => format!("{name}, depth {}", args.depth),
            Self::FanOut => match args.shape.and_then(|shape| shape.to_possible_value()) {
                Some(shape) => format!("{name}, {}", shape.get_name()),
                None => name,
            },
            Self::LookupResources | Self::LookupSubjects => format!("{name}, {} hits", args.hits),
            Self::BulkCheck | Self::Write | Self::Import => format!("{name}, {} items", args.items(self)),
            Self::Mix => format!("{name}, depth {}, {:.0} % writes", args.depth, args.write_share() * 100.0),
            Self::ReadYourWrites => format!("{name}, {:.0} % writes", args.write_share() * 100.0),
            Self::Flat if args.zipf => format!("{name}, zipf"),
            Self::Empty | Self::Flat | Self::SetAlgebra | Self::CacheHot | Self::CacheCold => name,
        }
    }

    /// The operations that are asked in turn; none where a workload only writes.
    pub(super) fn prepare(
        self,
        world: &World,
        args: &WorkloadArgs,
        consistency: &Consistency,
        seed: u64,
    ) -> Result<Arc<[Operation]>, Failure> {
        let random = &mut StdRng::seed_from_u64(seed);
        let asks = Asks { world, args, consistency };
        let pick = if args.zipf { Pick::Zipf } else { Pick::Uniform };
        let picker = |pick| Picker::new(pick, world.flat.documents());
        Ok(match self {
            Self::Empty => Arc::from([empty()]),
            Self::Flat => asks.checks(PREPARED, |at| world.flat.hit(at, random), &picker(pick)),
            Self::Negative => asks.checks(PREPARED, |at| asks.miss(at, random), &picker(pick)),
            Self::Mix => asks.checks(PREPARED, |at| asks.mixed(at, random), &picker(Pick::Pareto)),
            Self::NestedGroups => asks.each(PREPARED, || world.nested.hit(args.depth, random)),
            Self::ArrowChain => asks.each(PREPARED, || world.arrows.hit(args.depth, random)),
            Self::FanOut => {
                let shapes = args.shape.map_or(Shape::ALL.to_vec(), |shape| vec![shape]);
                let mut turn = shapes.iter().cycle().copied();
                asks.each(PREPARED, || world.fan_out.hit(turn.next().unwrap_or(Shape::Direct), random))
            }
            Self::SetAlgebra => asks.each(PREPARED, || world.algebra.question(random)),
            Self::CacheHot => asks.distinct(HOT_KEYS),
            Self::CacheCold => asks.distinct(COLD_KEYS),
            Self::BulkCheck => asks.bulk(args.items(self), random),
            Self::LookupResources => asks.lookups(|list| asks.lookup_resources(list))?,
            Self::LookupSubjects => asks.lookups(|list| asks.lookup_subjects(list))?,
            Self::Write | Self::Import | Self::ReadYourWrites => Arc::from([]),
        })
    }
}

/// Asks nothing.
pub(super) fn empty() -> Operation {
    Operation::new(Call::Health, &Health {}, Expected::Serving, 1)
}

/// What questions are made of.
#[derive(Clone, Copy)]
struct Asks<'a> {
    world: &'a World,
    args: &'a WorkloadArgs,
    consistency: &'a Consistency,
}

impl Asks<'_> {
    fn check(&self, question: &Question) -> Operation {
        let request = question.to_check(self.consistency.clone());
        Operation::new(Call::Check, &request, Expected::Decision(question.allowed), 1)
    }

    fn each(&self, count: u64, mut ask: impl FnMut() -> Question) -> Arc<[Operation]> {
        (0..count).map(|_| self.check(&ask())).collect()
    }

    /// Checks of documents of the flat part, as often as `picker` says.
    fn checks(&self, count: u64, mut ask: impl FnMut(u64) -> Question, picker: &Picker) -> Arc<[Operation]> {
        let mut picks = StdRng::seed_from_u64(count);
        (0..count).map(|_| self.check(&ask(picker.pick(&mut picks)))).collect()
    }

    /// Direct checks, all different, at most as many as there are.
    fn distinct(&self, most: u64) -> Arc<[Operation]> {
        let flat = &self.world.flat;
        (0..most.min(flat.pairs())).map(|at| self.check(&flat.nth_pair(at))).collect()
    }

    fn miss(&self, document: u64, random: &mut StdRng) -> Question {
        if random.random() {
            self.world.flat.miss(document, random)
        } else {
            self.world.nested.miss(self.args.depth, random)
        }
    }

    fn mixed(&self, document: u64, random: &mut StdRng) -> Question {
        match random.random_range(0..10) {
            0..6 => self.world.flat.hit(document, random),
            6..9 => self.world.nested.hit(self.args.depth, random),
            _ => self.world.flat.miss(document, random),
        }
    }

    fn bulk(&self, items: u64, random: &mut StdRng) -> Arc<[Operation]> {
        let flat = &self.world.flat;
        let count = (PREPARED_ITEMS / items).max(16);
        let prepared = (0..count).map(|_| {
            let questions: Vec<Question> = (0..items)
                .map(|_| {
                    let document = random.random_range(0..flat.documents());
                    if random.random() { flat.hit(document, random) } else { flat.miss(document, random) }
                })
                .collect();
            let request = CheckBulkPermissionsRequest {
                consistency: Some(self.consistency.clone()),
                items: questions.iter().map(Question::to_item).collect(),
                with_tracing: false,
            };
            let expected = Expected::Decisions(questions.iter().map(|question| question.allowed).collect());
            Operation::new(Call::BulkCheck, &request, expected, items)
        });
        prepared.collect()
    }

    fn lookups(&self, ask: impl Fn(List) -> Operation) -> Result<Arc<[Operation]>, Failure> {
        let lists = self.world.lists.of_length(self.args.hits);
        if !lists.is_empty() {
            return Ok(lists.into_iter().map(ask).collect());
        }
        Err(Failure::usage(match LIST_SIZES.iter().find(|(hits, _)| *hits == self.args.hits) {
            Some((hits, least)) => format!("there are {hits} hits from --tuples {least} on"),
            None => "--hits can be 10, 1000 or 10000".to_owned(),
        }))
    }

    fn lookup_resources(&self, list: List) -> Operation {
        let user = ObjectReference { object_type: "user".to_owned(), object_id: list.user() };
        let request = LookupResourcesRequest {
            consistency: Some(self.consistency.clone()),
            resource_object_type: "doc".to_owned(),
            permission: "view".to_owned(),
            subject: Some(SubjectReference { object: Some(user), optional_relation: String::new() }),
            ..Default::default()
        };
        let expected = Expected::Ids { prefix: list.documents().into(), count: list.hits };
        Operation::new(Call::LookupResources, &request, expected, list.hits)
    }

    fn lookup_subjects(&self, list: List) -> Operation {
        let request = LookupSubjectsRequest {
            consistency: Some(self.consistency.clone()),
            resource: Some(ObjectReference { object_type: "doc".to_owned(), object_id: list.document() }),
            permission: "view".to_owned(),
            subject_object_type: "user".to_owned(),
            ..Default::default()
        };
        let expected = Expected::Ids { prefix: list.users().into(), count: list.hits };
        Operation::new(Call::LookupSubjects, &request, expected, list.hits)
    }
}
