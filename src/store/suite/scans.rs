//! Cases on scans: every shape of filter, both orders, and cursors.

use crate::model::{ObjectId, RelationName, SubjectFilter, SubjectRelationFilter, TupleFilter, TypeName};

use super::{STORE, key, rev, scan, texts, user_subjects, write};
use crate::store::StateStore;

pub(super) const SCANNED: [&str; 8] = [
    "doc:a#editor@user:y",
    "doc:a#viewer@group:g",
    "doc:a#viewer@group:g#member",
    "doc:a#viewer@user:x",
    "doc:ab#viewer@user:x",
    "doc:b#viewer@user:*",
    "folder:a#viewer@group:g#member",
    "folder:a#viewer@user:x",
];

pub(super) fn scans_follow_the_filter<S: StateStore>(store: &S) {
    write(store, 1, &SCANNED);
    let view = store.view(STORE, rev(1)).unwrap();
    let doc = || Some(TypeName::new("doc").unwrap());
    let viewer = || Some(RelationName::new("viewer").unwrap());
    let group = |relation| {
        let (subject_type, subject_id) = (TypeName::new("group").unwrap(), Some(ObjectId::new("g").unwrap()));
        Some(SubjectFilter { subject_type, subject_id, relation })
    };
    let user = |id: &str| Some(SubjectFilter { subject_id: Some(ObjectId::new(id).unwrap()), ..user_subjects() });
    let open = TupleFilter::default;
    let member = || SubjectRelationFilter::Relation(RelationName::new("member").unwrap());
    let cases: Vec<(TupleFilter, &[usize])> = vec![
        (open(), &[0, 1, 2, 3, 4, 5, 6, 7]),
        (TupleFilter { resource_type: doc(), ..open() }, &[0, 1, 2, 3, 4, 5]),
        (TupleFilter { resource_id: Some(ObjectId::new("a").unwrap()), ..open() }, &[0, 1, 2, 3, 6, 7]),
        (TupleFilter { resource_type: doc(), resource_id: Some(ObjectId::new("a").unwrap()), ..open() }, &[0, 1, 2, 3]),
        (TupleFilter { resource_type: doc(), resource_id_prefix: Some("a".into()), ..open() }, &[0, 1, 2, 3, 4]),
        (TupleFilter { resource_type: doc(), resource_id_prefix: Some("a\0".into()), ..open() }, &[]),
        (TupleFilter { resource_type: doc(), resource_id_prefix: Some(String::new()), ..open() }, &[0, 1, 2, 3, 4, 5]),
        (TupleFilter { resource_id_prefix: Some("b".into()), ..open() }, &[5]),
        (TupleFilter { relation: viewer(), ..open() }, &[1, 2, 3, 4, 5, 6, 7]),
        (TupleFilter { resource_type: doc(), relation: viewer(), subject: user("x"), ..open() }, &[3, 4]),
        (
            TupleFilter {
                resource_type: doc(),
                resource_id: Some(ObjectId::new("a").unwrap()),
                relation: viewer(),
                subject: group(SubjectRelationFilter::Direct),
                ..open()
            },
            &[1],
        ),
        // From here on by subject: subject type, id, relation, then resource type, relation, id.
        (TupleFilter { subject: group(SubjectRelationFilter::Any), ..open() }, &[1, 2, 6]),
        (TupleFilter { subject: group(SubjectRelationFilter::Direct), ..open() }, &[1]),
        (TupleFilter { subject: group(member()), ..open() }, &[2, 6]),
        (TupleFilter { subject: Some(user_subjects()), ..open() }, &[5, 3, 4, 7, 0]),
        (TupleFilter { subject: user("x"), ..open() }, &[3, 4, 7]),
        (TupleFilter { subject: user("*"), ..open() }, &[5]),
        (TupleFilter { subject: user("y"), relation: viewer(), ..open() }, &[]),
        (TupleFilter { subject: user("x"), resource_id_prefix: Some("a".into()), ..open() }, &[3, 4, 7]),
    ];
    for (filter, expected) in cases {
        let expected: Vec<&str> = expected.iter().map(|i| SCANNED[*i]).collect();
        assert_eq!(texts(&scan(&*view, &filter, None)), expected, "{filter:?}");
    }
}

pub(super) fn scans_resume<S: StateStore>(store: &S) {
    write(store, 1, &SCANNED);
    write(store, 2, &["-doc:a#viewer@user:x", "doc:aa#viewer@user:x"]);
    let view = store.view(STORE, rev(2)).unwrap();
    let by_subject = TupleFilter { subject: Some(user_subjects()), ..TupleFilter::default() };
    let in_doc_a = TupleFilter {
        resource_type: Some(TypeName::new("doc").unwrap()),
        resource_id: Some(ObjectId::new("a").unwrap()),
        ..TupleFilter::default()
    };
    for filter in [TupleFilter::default(), by_subject, in_doc_a.clone()] {
        let whole = scan(&*view, &filter, None);
        for (i, row) in whole.iter().enumerate() {
            let rest = scan(&*view, &filter, Some(&row.tuple.key));
            assert_eq!(rest, whole[i + 1..], "{filter:?} after {}", row.tuple.key);
        }
    }
    // A cursor need not name a tuple that exists, nor one that the filter matches.
    let after = |text: &str| texts(&scan(&*view, &in_doc_a, Some(&key(text))));
    assert_eq!(after("doc:a#viewer@group:g#member"), Vec::<String>::new());
    assert_eq!(after("doc:a#viewer@group:f"), ["doc:a#viewer@group:g", "doc:a#viewer@group:g#member"]);
    assert_eq!(after("doc:Z#viewer@user:x").len(), 3);
    assert_eq!(after("zzz:a#viewer@user:x"), Vec::<String>::new());
}
