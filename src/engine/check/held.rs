//! What names the subject itself, read from its side: all objects of one relation at one go.
//!
//! To look a hundred groups up for one subject costs a hundred seeks; to read in which groups it is costs one, and a step for
//! each. Which is less hangs on how much the subject is named in, and that shows only when it is read. So it is read no
//! further than twice what waits for it; where that does not suffice, nothing is tried again before four times as much waits.
//! All that is read in vain is thus in proportion to what was looked up anyhow.

use foldhash::HashMap;

use crate::engine::plan::MemberId;
use crate::model::Qualifiers;

use super::objects::ObjectIx;

/// So many objects wait before the subject's side is worth a look. Small in tests, whose worlds are small.
pub(super) const WIDE: usize = if cfg!(test) { 3 } else { 16 };
/// Rows that are read for each object that waits.
const ROWS_EACH: usize = 2;
/// More is not kept.
const MOST_ROWS: usize = 16_384;
/// Bytes of their caveats' contexts; more is not kept either.
pub(super) const MOST_CONTEXT_BYTES: usize = 1 << 20;
/// After a look in vain, for so many times as many objects it is tried again.
const PATIENCE: usize = 4;

/// The objects on which a relation names the subject itself, and those on which it names everyone of its type.
pub(super) type Named = [HashMap<ObjectIx, Qualifiers>; 2];

/// What was read of the subject's side, by relation. Of one subject and one view only.
#[derive(Debug, Default)]
pub(super) struct Held {
    sides: HashMap<MemberId, Side>,
}

#[derive(Debug)]
struct Side {
    /// Objects that were or will be looked up.
    waiting: usize,
    /// For so many it is read.
    try_at: usize,
    named: Option<Named>,
}

impl Held {
    /// Every object on which `relation` names the subject, where that is known.
    pub(super) fn named(&self, relation: MemberId) -> Option<&Named> {
        self.sides.get(&relation)?.named.as_ref()
    }

    /// Notes that `more` objects are to be looked up; how many rows of the subject's side are worth reading now, if any.
    pub(super) fn await_more(&mut self, relation: MemberId, more: usize) -> Option<usize> {
        let side = self.sides.entry(relation).or_insert(Side { waiting: 0, try_at: WIDE, named: None });
        side.waiting = side.waiting.saturating_add(more);
        let rows = side.waiting.saturating_mul(ROWS_EACH);
        if side.named.is_some() || side.waiting < side.try_at || rows > MOST_ROWS {
            return None;
        }
        side.try_at = side.waiting.saturating_mul(PATIENCE);
        Some(rows)
    }

    /// Keeps what was read, which is all.
    pub(super) fn keep(&mut self, relation: MemberId, named: Named) {
        if let Some(side) = self.sides.get_mut(&relation) {
            side.named = Some(named);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::check::names::member;
    use crate::engine::testbed::{
        Bench, SchemaText, and, any, computed, groups, guarded_folders, minus, or, relation_name, type_name,
    };

    #[test]
    fn what_is_read_in_vain_is_in_proportion_to_what_waits() {
        let bench = Bench::new(groups(), &[]);
        let relation = member(&bench.plan, &type_name("group"), &relation_name("member")).unwrap();
        let mut held = Held::default();
        let (mut waiting, mut read) = (0, 0);
        for more in [1, 1, 3, 8, 1, 40, 200, 1000, 3000, 9000, 100_000] {
            waiting += more;
            let rows = held.await_more(relation, more).unwrap_or(0);
            assert!(rows <= MOST_ROWS && rows <= waiting * ROWS_EACH);
            read += rows;
            assert!(read <= 3 * waiting, "{read} rows for {waiting} look-ups");
        }
        assert!(held.named(relation).is_none());
        held.keep(relation, Named::default());
        assert!(held.named(relation).is_some());
        assert_eq!(held.await_more(relation, usize::MAX), None);
    }

    /// A group of 500 groups, and whoever is in one of them, in none, and in very many others too.
    #[test]
    fn one_of_many_groups_is_found_without_asking_each() {
        let mut tuples: Vec<String> = (0..500).map(|n| format!("group:top#member@group:g{n:03}#member")).collect();
        let of = |who: &str, group: &str| format!("group:{group}#member@user:{who}");
        tuples.extend([of("tom", "g499"), of("amy", "elsewhere"), of("bob", "g499")]);
        tuples.extend((0..5000).flat_map(|n| ["bob", "eve"].map(|who| of(who, &format!("aa{n}")))));
        tuples.extend((0..300).map(|n| of("kim", &format!("aa{n}"))));
        let bench = Bench::large(groups(), tuples);
        let cost = |who: &str| bench.cost(&format!("group:top#member@user:{who}")).unwrap();
        // A look-up at the top, its five hundred groups, and the one group that the subject is in.
        assert_eq!(cost("tom"), (true, 502));
        // That too, and a look at each of the five hundred.
        assert_eq!(cost("amy"), (false, 1002));
        assert_eq!(cost("kim"), (false, 1301));
        for (who, allowed) in [("bob", true), ("eve", false)] {
            let (found, reads) = cost(who);
            assert_eq!(found, allowed, "{who}");
            assert!(reads <= 1001 + 3 * 501, "{reads} reads for {who}");
        }
    }

    #[test]
    fn who_is_named_somewhere_is_judged_as_if_each_were_asked() {
        let schema = SchemaText::with_users()
            .caveat("if_a", "a", "a")
            .definition("folder")
            .relation("viewer", "user user:*")
            .relation("editor", "user folder#viewer")
            .relation("banned", "user")
            .permission("view", or([computed("viewer"), computed("editor")]))
            .permission("both", and([computed("viewer"), computed("editor")]))
            .permission("some", or([computed("viewer"), and([computed("editor"), computed("banned")])]))
            .permission("safe", minus(computed("viewer"), computed("banned")))
            .definition("doc")
            .relation("parent", "folder")
            .permission("view", any("parent", "view"))
            .permission("both", any("parent", "both"))
            .permission("some", any("parent", "some"))
            .permission("safe", any("parent", "safe"));
        let mut tuples: Vec<String> = (0..30).map(|n| format!("doc:x#parent@folder:f{n:02}")).collect();
        tuples.extend((0..30).map(|n| format!("doc:all#parent@folder:f{n:02}")));
        tuples.push("doc:all#parent@folder:open".into());
        let named = [
            "folder:open#viewer@user:*",
            "folder:f20#viewer@user:tom",
            "folder:f21#editor@user:amy",
            "folder:f22#viewer@user:kim with if_a",
            "folder:f23#viewer@user:old until 100",
            "folder:f24#viewer@user:bad",
            "folder:f24#banned@user:bad",
            "folder:f25#viewer@user:two",
            "folder:f25#editor@user:two",
            "folder:f26#editor@folder:deep#viewer",
            "folder:deep#viewer@user:far",
            "folder:f27#editor@user:odd",
            "folder:f27#banned@user:odd",
        ];
        tuples.extend(named.map(String::from));
        let tuples: Vec<&str> = tuples.iter().map(String::as_str).collect();
        let bench = Bench::new(schema, &tuples).under(100, "{}");
        let cases: [(&str, [&str; 4]); 9] = [
            ("tom", ["allowed", "denied", "allowed", "allowed"]),
            ("amy", ["allowed", "denied", "denied", "denied"]),
            ("kim", ["a", "denied", "a", "a"]),
            ("old", ["denied", "denied", "denied", "denied"]),
            ("bad", ["allowed", "denied", "allowed", "denied"]),
            ("two", ["allowed", "allowed", "allowed", "allowed"]),
            ("far", ["allowed", "denied", "denied", "denied"]),
            ("odd", ["allowed", "denied", "allowed", "denied"]),
            ("new", ["denied", "denied", "denied", "denied"]),
        ];
        for (who, expected) in cases {
            for (permission, expected) in ["view", "both", "some", "safe"].into_iter().zip(expected) {
                let asked = format!("doc:x#{permission}@user:{who}");
                assert_eq!(bench.decide(&asked).unwrap(), expected, "{asked}");
            }
            assert_eq!(bench.decide(&format!("doc:all#view@user:{who}")).unwrap(), "allowed", "{who}");
        }
        let under = |json| Bench::new(guarded_folders(), &[]).under(0, json).circumstances;
        let bench = Bench { circumstances: under(r#"{"a": true}"#), ..bench };
        assert_eq!(bench.decide("doc:x#view@user:kim").unwrap(), "allowed");
        assert_eq!(bench.decide("doc:x#view@user:old").unwrap(), "allowed", "it is earlier now");
        let bench = Bench { circumstances: under(r#"{"a": false}"#), ..bench };
        assert_eq!(bench.decide("doc:x#view@user:kim").unwrap(), "denied");
    }

    /// An exclusion that stands above many is told of each of them.
    #[test]
    fn who_is_banned_from_one_of_many_is_not_let_in_by_another() {
        let mut tuples: Vec<String> = (0..40).map(|n| format!("folder:low#parent@folder:f{n}")).collect();
        tuples.extend(
            ["folder:f31#viewer@user:tom", "folder:f31#viewer@user:eve", "folder:f31#banned@user:eve"]
                .map(String::from),
        );
        tuples.extend(["folder:f32#viewer@user:bad", "folder:low#banned@user:bad"].map(String::from));
        let bench = Bench::large(guarded_folders(), tuples);
        bench.expect(&[
            ("folder:low#view@user:tom", true),
            ("folder:low#view@user:eve", false),
            ("folder:low#view@user:bad", false),
        ]);
    }
}
