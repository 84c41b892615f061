//! One file of cases: a schema, relationships, and assertions with their contexts. It knows nothing of nodes.

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
    assert!(Case { schema: "use self\ncaveat tall(height int) { height > 2 }".to_owned(), ..case }.has_caveats());
    assert!(Case::parse("relationships: \"\"").is_err());
}
