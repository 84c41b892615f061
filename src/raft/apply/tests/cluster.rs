//! The feature level, and what comes with one: raised once and for good, by those that it was judged for, and nothing before
//! it.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

pub(super) fn raise(to: u32, members: &[u64]) -> CommandBody {
    CommandBody::RaiseLevel(RaiseLevel { to: FeatureLevel::new(to), members: members.iter().copied().collect() })
}

pub(super) fn home(region: Option<&str>) -> CommandBody {
    CommandBody::SetHomeRegion { region: region.map(|region| PlaceName::new(region).unwrap()) }
}

fn at(region: &str) -> Locality {
    Locality { region: PlaceName::new(region).ok(), zone: None }
}

fn place(node_id: u64, region: &str) -> CommandBody {
    CommandBody::PlaceNode { node_id, locality: at(region) }
}

fn members(index: u64, ids: &[u64]) -> Entry {
    let voters: BTreeSet<u64> = ids.iter().copied().collect();
    let nodes: BTreeMap<u64, NodeAddress> = ids.iter().map(|id| (*id, NodeAddress::default())).collect();
    let membership = openraft::Membership::new(vec![voters], nodes).expect("every voter is a node");
    Entry { payload: EntryPayload::Membership(membership), ..entry(index, home(None)) }
}

const BELOW: Outcome = Outcome::Refused(Refusal::WrongLevel { current: FeatureLevel::FIRST });
const ABOVE: Outcome = Outcome::Refused(Refusal::WrongLevel { current: FeatureLevel::LOCALITIES });
const OTHERS: Outcome = Outcome::Refused(Refusal::MembersChanged);

#[test]
fn what_a_level_brings_is_refused_below_it_and_a_level_is_never_lowered() {
    let log = [
        members(1, &[1, 2]),
        entry(2, home(Some("north"))),
        entry(3, place(1, "north")),
        entry(4, raise(2, &[1])),
        entry(5, raise(2, &[1, 2, 3])),
        entry(6, raise(1, &[1, 2])),
        entry(7, raise(2, &[1, 2])),
        entry(8, place(1, "north")),
        entry(9, place(3, "north")),
        entry(10, place(2, "south")),
        entry(11, home(Some("north"))),
        members(12, &[1, 4]),
        entry(13, CommandBody::PlaceNode { node_id: 4, locality: Locality::default() }),
    ];
    let done = || Outcome::Done;
    let expected = [done(), BELOW, BELOW, OTHERS, done(), ABOVE, ABOVE, done(), OTHERS, done(), done(), done(), done()];
    let (_dir, durable) = rocks();
    let memory = Arc::new(MemoryStore::new());
    assert_eq!(outcomes_of(apply(&memory, &log, 1)), expected);
    assert_eq!(outcomes_of(apply(&durable, &log, log.len())), expected);
    assert_eq!(dump(&*memory), dump(&*durable));
    let settings = ClusterSettings::read(&*durable).unwrap();
    assert_eq!(settings.level, FeatureLevel::LOCALITIES);
    assert_eq!(settings.localities, BTreeMap::from([(1, at("north"))]), "who is gone is nowhere");
    assert!(settings.is_home(1) && !settings.is_home(4));
    assert_eq!(Applier::open(durable).unwrap().settings().as_ref(), &settings, "the store has what is in memory");
}

#[test]
fn at_the_first_level_nothing_is_written_that_was_not_before() {
    let store = Arc::new(MemoryStore::new());
    let log = [members(1, &[1, 2]), entry(2, schema(None, vec![])), entry(3, raise(2, &[1])), members(4, &[1])];
    apply(&store, &log, 2);
    assert_eq!(store.meta(MetaKey::Settings).unwrap(), None);
    let version = |store: &Arc<MemoryStore>| store.meta(MetaKey::Applied).unwrap().expect("it is there")[0];
    assert_eq!(version(&store), 2, "the version that programs of before read");
    apply(&store, &[entry(5, raise(2, &[1]))], 1);
    assert_eq!(version(&store), 3, "the version that they refuse");
}

#[test]
fn a_program_that_supports_less_stops_before_the_first_entry_that_it_may_misread() {
    let store = Arc::new(MemoryStore::new());
    let mut applier = Applier::open(Arc::clone(&store)).unwrap().supporting(SupportedLevels::UNANNOUNCED);
    let refused = [members(1, &[1, 2]), entry(2, raise(2, &[1]))];
    applier.apply(&refused).expect("what apply refuses raises nothing");
    let before = dump(&*store);
    let raised = [entry(3, schema(None, vec![])), entry(4, raise(2, &[1, 2])), entry(5, home(Some("north")))];
    let error = applier.apply(&raised).expect_err("it cannot follow");
    assert!(matches!(error, ApplyError::Level { level: FeatureLevel::LOCALITIES, .. }), "{error}");
    assert_eq!(dump(&*store), before, "nothing of it is there");
}
