//! One file of cases: a schema, relationships, and assertions with their contexts. It knows nothing of nodes.

use std::collections::BTreeSet;

use saphyr::{LoadableYamlNode, Yaml};

use crate::harness::context;

/// What a check may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Allowed,
    Denied,
    Conditional,
}

/// A check and what it must say.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Assertion {
    /// `resource#permission@subject`.
    pub(super) check: String,
    pub(super) context: Option<prost_types::Struct>,
    pub(super) expected: Verdict,
}

impl Assertion {
    fn parse(text: &str, expected: Verdict) -> Self {
        let (check, given) = text.split_once(" with ").map_or((text, None), |(check, json)| (check, Some(json)));
        Self { check: check.trim().to_owned(), context: given.map(context), expected }
    }
}

/// One file.
#[derive(Debug, Default)]
pub(super) struct Case {
    pub(super) schema: String,
    pub(super) relationships: Vec<String>,
    pub(super) assertions: Vec<Assertion>,
}

impl Case {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let documents = Yaml::load_from_str(text).map_err(|error| error.to_string())?;
        let root = documents.first().ok_or("an empty file")?;
        let text_of = |key: &str| root.as_mapping_get(key).and_then(Yaml::as_str).unwrap_or_default().to_owned();
        let assertions_of = |key: &str| -> Vec<String> {
            let list = root.as_mapping_get("assertions").and_then(|all| all.as_mapping_get(key)).and_then(Yaml::as_vec);
            list.into_iter().flatten().filter_map(Yaml::as_str).map(str::to_owned).collect()
        };
        let is_relationship = |line: &&str| !line.is_empty() && !line.starts_with("//");
        let relationships = text_of("relationships");
        let relationships = relationships.lines().map(str::trim).filter(is_relationship).map(str::to_owned).collect();
        let mut case = Self { schema: text_of("schema"), relationships, assertions: Vec::new() };
        for (key, expected) in [
            ("assertTrue", Verdict::Allowed),
            ("assertCaveated", Verdict::Conditional),
            ("assertFalse", Verdict::Denied),
        ] {
            case.assertions.extend(assertions_of(key).iter().map(|text| Assertion::parse(text, expected)));
        }
        if case.schema.trim().is_empty() { Err("no schema".to_owned()) } else { Ok(case) }
    }

    /// At most about `limit` checks, `resource#permission@subject`, of what the data knows and of subjects that it does not
    /// know, spread evenly over all that there are.
    pub(super) fn combinations(&self, limit: usize) -> Vec<String> {
        let (mut objects, mut subjects) = (BTreeSet::new(), BTreeSet::new());
        for text in &self.relationships {
            let (resource, rest) = text.split_once('#').expect("a relationship has a relation");
            let (_, subject) = rest.split_once('@').expect("a relationship has a subject");
            let subject = subject.split('[').next().expect("a split has a first part").trim_end_matches("#...");
            objects.insert(resource.to_owned());
            let subject_type = subject.split(':').next().expect("a split has a first part");
            if !subject.contains('#') {
                subjects.insert(format!("{subject_type}:nobody"));
            }
            if !subject.contains(":*") {
                objects.extend(subject.split('#').next().map(str::to_owned));
                subjects.insert(subject.to_owned());
            }
        }
        let members = self.members();
        let mut all = Vec::new();
        for object in &objects {
            let object_type = object.split(':').next().expect("a split has a first part");
            for (_, member) in members.iter().filter(|(name, _)| name == object_type) {
                all.extend(subjects.iter().map(|subject| format!("{object}#{member}@{subject}")));
            }
        }
        let step = all.len().div_ceil(limit).max(1);
        all.into_iter().step_by(step).collect()
    }

    /// The relations and permissions of the schema, each with its type.
    fn members(&self) -> Vec<(String, String)> {
        let without_comments = self.schema.lines().map(|line| line.split("//").next().unwrap_or_default());
        let words = without_comments.flat_map(|line| line.split(|c: char| c.is_whitespace() || "{}:=".contains(c)));
        let mut words = words.filter(|word| !word.is_empty());
        let (mut members, mut definition) = (Vec::new(), String::new());
        while let Some(word) = words.next() {
            match (word, words.clone().next()) {
                ("definition", Some(name)) => name.clone_into(&mut definition),
                ("relation" | "permission", Some(name)) => members.push((definition.clone(), name.to_owned())),
                _ => {}
            }
        }
        members
    }

    /// Whether relationships can carry caveats: then an expanded tree does not tell who is in it, only who may be.
    pub(super) fn has_caveats(&self) -> bool {
        self.schema.lines().any(|line| line.trim_start().starts_with("caveat "))
    }
}

#[test]
fn cases_are_read_and_judged() {
    let text = "---\nschema: |+\n  definition user {}\n\n  definition doc {\n    relation viewer: user\n  }\n\nrelationships: >-\n  doc:a#viewer@user:x\n\n  doc:b#viewer@user:y#...\nassertions:\n  assertTrue:\n    - \"doc:a#viewer@user:x\"\n    - 'doc:b#viewer@user:y with {\"a\": 1}'\n  assertCaveated:\n    - 'doc:b#viewer@user:z'\n  assertFalse: []\n";
    let case = Case::parse(text).unwrap();
    assert_eq!(case.relationships, ["doc:a#viewer@user:x", "doc:b#viewer@user:y#..."]);
    let read: Vec<_> = case.assertions.iter().map(|a| (a.check.as_str(), a.context.is_some(), a.expected)).collect();
    assert_eq!(
        read,
        [
            ("doc:a#viewer@user:x", false, Verdict::Allowed),
            ("doc:b#viewer@user:y", true, Verdict::Allowed),
            ("doc:b#viewer@user:z", false, Verdict::Conditional),
        ]
    );
    assert!(!case.has_caveats());
    let combinations = case.combinations(100);
    assert_eq!(combinations.len(), 2 * 3, "{combinations:?}");
    assert!(combinations.contains(&"doc:a#viewer@user:nobody".to_owned()), "{combinations:?}");
    assert_eq!(case.combinations(2).len(), 2);
    assert!(Case { schema: "use self\ncaveat tall(height int) { height > 2 }".to_owned(), ..case }.has_caveats());
    assert!(Case::parse("relationships: \"\"").is_err());
}
