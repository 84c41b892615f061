//! Requests that come again: one effect, one answer, however the log was cut, until they are forgotten.

use super::*;

const CREATE: UpdateKind = UpdateKind::Create;
const TOUCH: UpdateKind = UpdateKind::Touch;

fn entry_at(index: u64, seconds: u64, body: CommandBody) -> Entry {
    let mut entry = entry(index, body);
    if let EntryPayload::Normal(command) = &mut entry.payload {
        command.proposed_at = TimestampMs(1000 * seconds);
    }
    entry
}

fn log(bodies: Vec<CommandBody>) -> Vec<Entry> {
    bodies.into_iter().zip(1..).map(|(body, index)| entry(index, body)).collect()
}

/// What `bodies` come to on two stores, cut in different ways; and what is left.
fn run(bodies: Vec<CommandBody>) -> (Vec<Applied>, Dump) {
    let log = log(bodies);
    let memory = Arc::new(MemoryStore::new());
    let applied = apply(&memory, &log, 1);
    for cut in [2, 3, log.len()] {
        let (_dir, durable) = rocks();
        assert_eq!(apply(&durable, &log, cut), applied, "in calls of {cut}");
        assert_eq!(dump(&*durable), dump(&*memory), "in calls of {cut}");
    }
    let left = dump(&*memory);
    (applied, left)
}

fn first(at: u64, outcome: Outcome) -> Applied {
    Applied::first(Revision::new(at), outcome)
}

fn again(at: u64, outcome: Outcome) -> Applied {
    Applied { revision: Revision::new(at), outcome, repeated: true }
}

#[test]
fn a_repetition_gets_the_first_answer_and_changes_nothing() {
    let create = || keyed(write(1, vec![], vec![(CREATE, key(1, 1))]), 1);
    let touch = || keyed(write(1, vec![], vec![(TOUCH, key(2, 1))]), 2);
    let remove = || keyed(delete(3, 1, true), 3);
    let (applied, left) = run(vec![
        schema(None, vec![]),
        create(),
        create(), // In one batch with the first, where the log is cut so.
        touch(),
        write(1, vec![], vec![(UpdateKind::Delete, key(2, 1))]),
        touch(), // Would bring back what somebody removed since.
        write(1, vec![], vec![(TOUCH, key(3, 1)), (TOUCH, key(3, 2)), (TOUCH, key(3, 3))]),
        remove(),
        remove(), // Would remove another one.
        create(),
    ]);
    let deleted = || Outcome::Deleted { count: 1, partial: true };
    let done = || Outcome::Done;
    let expected = [
        first(1, done()),
        first(2, done()),
        again(2, done()),
        first(4, done()),
        first(5, done()),
        again(4, done()),
        first(7, done()),
        first(8, deleted()),
        again(8, deleted()),
        again(2, done()),
    ];
    assert_eq!(applied, expected);
    let keys: Vec<_> = left.tuples.iter().map(|row| row.tuple.key.clone()).collect();
    assert_eq!(keys, [key(1, 1), key(3, 2), key(3, 3)]);
    let changed: Vec<_> = left.changes.iter().map(|(at, _)| at.index()).collect();
    assert_eq!(changed, [1, 2, 4, 5, 7, 8], "a watcher hears of each effect once");
}

#[test]
fn a_schema_and_a_counter_are_changed_once() {
    let change = || keyed(schema(None, vec![]), 1);
    let register = || keyed(count("some", Some(1)), 2);
    let (applied, _) = run(vec![
        change(),
        register(),
        schema(Some(1), vec![]),
        count("some", None),
        change(),   // Judged against a schema that was replaced since.
        register(), // Would register it again.
    ]);
    assert_eq!(applied[4..], [again(1, Outcome::Done), again(2, Outcome::Done)]);
}

#[test]
fn another_request_under_the_key_is_refused_and_what_was_refused_leaves_the_key_free() {
    let create = |subject| write(1, vec![], vec![(CREATE, key(1, subject))]);
    let (applied, left) = run(vec![
        schema(None, vec![]),
        keyed(create(1), 1),
        keyed(create(2), 1),
        keyed(delete(1, 5, false), 1),
        keyed(create(1), 2), // It exists.
        keyed(create(3), 2),
        keyed(create(1), 1),
    ]);
    let reused = |at| first(at, Outcome::Refused(Refusal::KeyReused));
    let expected = [
        first(2, Outcome::Done),
        reused(3),
        reused(4),
        first(5, Outcome::Refused(Refusal::AlreadyExists { key: key(1, 1) })),
        first(6, Outcome::Done),
        again(2, Outcome::Done),
    ];
    assert_eq!(applied[1..], expected);
    assert_eq!(left.tuples.len(), 2);
}

#[test]
fn a_repetition_ignores_what_only_the_proposer_said() {
    let named = |schema_revision| {
        let mut body = keyed(write(1, vec![], vec![(CREATE, key(1, 1))]), 1);
        if let CommandBody::WriteTuples(write) = &mut body {
            write.schema_revision = Revision::new(schema_revision);
        }
        body
    };
    let (applied, _) = run(vec![schema(None, vec![]), named(1), schema(Some(1), vec![]), named(3), named(1)]);
    assert_eq!(applied[3..], [again(2, Outcome::Done), again(2, Outcome::Done)]);
}

/// Whether a request of entry 2, at second 10, is still known in an entry at `index` and `seconds`, with others before it.
fn known(before: &[(u64, u64)], index: u64, seconds: u64) -> bool {
    let touch = || keyed(write(1, vec![], vec![(TOUCH, key(1, 1))]), 1);
    let mut log = vec![entry_at(1, 10, schema(None, vec![])), entry_at(2, 10, touch())];
    let other = |(index, seconds): &(u64, u64)| entry_at(*index, *seconds, schema(Some(9), vec![]));
    log.extend(before.iter().map(other));
    log.push(entry_at(index, seconds, touch()));
    let store = Arc::new(MemoryStore::new());
    let applied = apply(&store, &log, 2);
    let (_dir, durable) = rocks();
    assert_eq!(apply(&durable, &log, log.len()), applied);
    assert_eq!(dump(&*durable), dump(&*store));
    applied.last().unwrap().repeated
}

#[test]
fn a_request_is_forgotten_when_both_time_and_log_have_gone_on() {
    const ENTRIES: u64 = limits::IDEMPOTENCY_WINDOW_ENTRIES;
    const SECONDS: u64 = limits::IDEMPOTENCY_WINDOW_MS / 1000;
    let (far, late) = (2 + ENTRIES, 10 + SECONDS);
    let cases: &[(&[(u64, u64)], bool)] = &[
        (&[], true),
        (&[(far, 10)], true),            // Many entries within the hour.
        (&[(3, 10 * SECONDS)], true),    // A clock that jumped.
        (&[(far - 1, late)], true),      // One entry short,
        (&[(far, late - 1)], true),      // one second short,
        (&[(far, late)], false),         // and neither.
        (&[(3, late), (far, 0)], false), // The cluster's time does not go back.
    ];
    for (before, expected) in cases {
        assert_eq!(known(before, far + 10, 10), *expected, "{before:?}");
    }
}

#[test]
fn the_oldest_are_forgotten_first_and_a_few_at_a_time() {
    let touch = |number| keyed(write(1, vec![], vec![(TOUCH, key(number, 1))]), number);
    let far = limits::IDEMPOTENCY_WINDOW_ENTRIES + 100;
    let late = 10 + limits::IDEMPOTENCY_WINDOW_MS / 1000;
    let mut log = vec![entry_at(1, 10, schema(None, vec![]))];
    log.extend((0..10u8).map(|n| entry_at(2 + u64::from(n), 10, touch(n))));
    log.extend((0..3u64).map(|n| entry_at(far + n, late, schema(Some(99), vec![]))));
    let per_entry = limits::IDEMPOTENCY_KEYS_FORGOTTEN_PER_ENTRY;
    for (entries, left) in [(11, 10), (12, 10 - per_entry), (13, 10 - 2 * per_entry), (14, 0)] {
        let (memory, (_dir, durable)) = (Arc::new(MemoryStore::new()), rocks());
        apply(&memory, &log[..entries], 1);
        apply(&durable, &log[..entries], entries);
        let dump = dump(&*memory);
        assert_eq!(dump.requests.len(), left, "after {entries} entries");
        assert!(dump.requests.iter().all(|(_, record)| record.at.index() > 11 - left as u64), "the oldest go first");
        assert_eq!(dump, super::dump(&*durable));
    }
}
