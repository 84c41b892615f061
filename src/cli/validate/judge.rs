//! What a file says against what is so.

use super::document::{Assertion, Document, Expectation, Verdict};
use super::expectation::{Expected, show};
use super::problem::Problem;
use crate::model::{Decision, TimestampMs, Tuple};
use crate::service::{Membership, Sandbox, SandboxError};

/// What came out.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) assertions: usize,
    pub(super) expectations: usize,
    /// In the order of the lines.
    pub(super) problems: Vec<Problem>,
}

/// Judges `document`. An error if its schema or its relationships are not usable.
pub(super) async fn judge(document: Document, now: TimestampMs) -> Result<Outcome, Problem> {
    let tuples: Vec<Tuple> = document.tuples.iter().map(|(_, tuple)| tuple.clone()).collect();
    let sandbox = Sandbox::new(&document.schema.text, &tuples, now).map_err(|error| unusable(&document, error))?;
    let mut problems = Vec::new();
    for assertion in &document.assertions {
        problems.extend(assert(&sandbox, assertion).await);
    }
    for expectation in &document.expectations {
        problems.extend(expect(&sandbox, expectation).await);
    }
    problems.sort_by_key(|problem| problem.line);
    let (assertions, expectations) = (document.assertions.len(), document.expectations.len());
    Ok(Outcome { assertions, expectations, problems })
}

fn unusable(document: &Document, error: SandboxError) -> Problem {
    match error {
        SandboxError::Schema(error) => {
            let message = format!("schema, column {}: {}", error.start.column, error.message);
            let Some((path, source)) = &document.schema_source else {
                return Problem::at_line(document.schema.line + error.start.line - 1, message);
            };
            let (path, line) = match source.origin_of(error.start.line) {
                Some((file, line)) => (path.with_file_name(file), line),
                None => (path.clone(), error.start.line),
            };
            Problem::whole(format!("{}:{line}: {message}", path.display()))
        }
        SandboxError::Tuple { position, error } => match document.tuples.get(position) {
            Some((line, tuple)) => Problem::at_line(*line, format!("relationship {}: {}", tuple.key, error.message)),
            None => Problem::whole(error.message),
        },
        SandboxError::Store(error) => Problem::whole(error.message),
    }
}

async fn assert(sandbox: &Sandbox, assertion: &Assertion) -> Option<Problem> {
    let Assertion { line, text, item, verdict } = assertion;
    let found = match sandbox.check(item.clone()).await {
        Ok(decision) => decision,
        Err(error) => return Some(Problem::at_line(*line, format!("{text}: {}", error.message))),
    };
    let expected = match (verdict, &found) {
        (Verdict::Allowed, Decision::Allowed)
        | (Verdict::Denied, Decision::Denied)
        | (Verdict::Conditional, Decision::Conditional { .. }) => return None,
        (Verdict::Allowed, _) => "allowed",
        (Verdict::Denied, _) => "denied",
        (Verdict::Conditional, _) => "conditional",
    };
    let found = match found {
        Decision::Allowed => "allowed".to_owned(),
        Decision::Denied => "denied".to_owned(),
        Decision::Conditional { missing } => format!("conditional, for want of {}", missing.join(", ")),
    };
    Some(Problem::at_line(*line, format!("{text}: expected {expected}, found {found}")))
}

async fn expect(sandbox: &Sandbox, expectation: &Expectation) -> Vec<Problem> {
    let Expectation { line, place, subjects } = expectation;
    let members = match sandbox.members(place.clone()).await {
        Ok(members) => members,
        Err(error) => return vec![Problem::at_line(*line, format!("{place}: {}", error.message))],
    };
    let mut problems = Vec::new();
    for (line, expected) in subjects {
        let found = members.iter().find(|member| member.subject == expected.subject);
        let differences = match found {
            None => vec![format!("expected {}, who does not belong to it", expected.subject)],
            Some(found) => differences(expected, found),
        };
        problems.extend(differences.into_iter().map(|text| Problem::at_line(*line, format!("{place}: {text}"))));
    }
    for member in &members {
        if !subjects.iter().any(|(_, expected)| expected.subject == member.subject) {
            let message = format!("{place}: {} belongs to it and is not listed", line_of(member));
            problems.push(Problem::at_line(*line, message));
        }
    }
    problems
}

fn differences(expected: &Expected, found: &Membership) -> Vec<String> {
    let subject = &expected.subject;
    let mut differences = Vec::new();
    if expected.conditional != found.conditional {
        let so = |conditional: bool| if conditional { "only under conditions" } else { "without conditions" };
        let (wanted, is) = (so(expected.conditional), so(found.conditional));
        differences.push(format!("expected {subject} {wanted}, found it {is}"));
    }
    let mut excluded = expected.excluded.clone();
    excluded.sort();
    if excluded != found.excluded {
        differences.push(format!("expected other exclusions from {subject}; found {}", line_of(found)));
    }
    if expected.places != found.places {
        differences.push(format!("expected {subject} through other relations; found {}", line_of(found)));
    }
    differences
}

/// The line that would be right.
pub(super) fn line_of(member: &Membership) -> String {
    let subject = show(&member.subject, member.conditional);
    let excluded: Vec<String> = member.excluded.iter().map(|one| show(&one.subject, one.conditional)).collect();
    let except = if excluded.is_empty() { String::new() } else { format!(" - {{{}}}", excluded.join(", ")) };
    let places: Vec<String> = member.places.iter().map(|place| format!("<{place}>")).collect();
    format!("[{subject}{except}] is {}", places.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = r#"schema: |-
  definition user {}
  definition group { relation member: user | group#member }
  definition document {
    relation viewer: user | user:* | group#member
    relation banned: user
    permission view = viewer - banned
  }
relationships: |-
  // Emil is in a group.
  document:1#viewer@group:eng#member

  group:eng#member@user:emil
  document:2#viewer@user:*
  document:2#banned@user:ivo
"#;

    /// Lines and messages.
    async fn problems(tail: &str) -> Vec<(Option<usize>, String)> {
        let text = format!("{HEAD}{tail}");
        let problems = match Document::parse(&text) {
            Err(problem) => vec![problem],
            Ok(document) => match judge(document, TimestampMs(1)).await {
                Err(problem) => vec![problem],
                Ok(outcome) => outcome.problems,
            },
        };
        problems.into_iter().map(|problem| (problem.line, problem.message)).collect()
    }

    #[tokio::test]
    async fn what_holds_is_silent() {
        let tail = r#"assertions:
  assertTrue:
    - document:1#view@user:emil
    - 'document:2#view@user:eva with {"hour": 9}'
  assertFalse: ["document:2#view@user:ivo", "document:1#view@user:eva"]
  assertCaveated:
validation:
  document:1#view:
    - "[group:eng#member] is <document:1#viewer>"
    - "[user:emil] is <group:eng#member>"
  document:2#view: ["[user:* - {user:ivo}] is <document:2#viewer>"]
  document:3#view: []
"#;
        assert_eq!(problems(tail).await, []);
    }

    /// The rules of who is listed, and under which relations, where branches are combined.
    #[tokio::test]
    async fn members_come_from_the_branches_that_count() {
        let text = r#"schema: |-
  definition user {}
  caveat late(hour int) { hour > 20 }
  definition group { relation member: user with late }
  definition document {
    relation aaa: user | user:*
    relation bbb: user | user with late | user:*
    relation ccc: user | user:*
    relation ggg: group#member
    permission either = aaa + bbb
    permission both = aaa & bbb
    permission but = aaa - bbb
    permission nested = aaa - (bbb - ccc)
  }
relationships: |-
  document:1#aaa@user:x
  document:1#bbb@user:x
  document:1#ggg@group:1#member
  group:1#member@user:x[late:{"hour":1}]
  document:2#aaa@user:*
  document:2#bbb@user:x
  document:3#aaa@user:x
  document:3#bbb@user:x[late]
  document:4#aaa@user:*
  document:4#bbb@user:*
  document:4#ccc@user:x
validation:
  document:1#either: ["[user:x] is <document:1#aaa>/<document:1#bbb>"]
  document:1#both: ["[user:x] is <document:1#aaa>/<document:1#bbb>"]
  document:1#but: []
  document:1#ggg: ["[group:1#member] is <document:1#ggg>", "[user:x[...]] is <group:1#member>"]
  document:2#either: ["[user:*] is <document:2#aaa>", "[user:x] is <document:2#bbb>"]
  document:2#both: ["[user:x] is <document:2#bbb>"]
  document:2#but: ["[user:* - {user:x}] is <document:2#aaa>"]
  document:2#nested: ["[user:* - {user:x}] is <document:2#aaa>"]
  document:3#both: ["[user:x[...]] is <document:3#aaa>/<document:3#bbb>"]
  document:3#but: ["[user:x[...]] is <document:3#aaa>/<document:3#bbb>"]
  document:4#both: ["[user:*] is <document:4#aaa>/<document:4#bbb>"]
  document:4#but: []
  document:4#nested: ["[user:x] is <document:4#ccc>"]
"#;
        let document = Document::parse(text).expect("valid");
        let outcome = judge(document, TimestampMs(1)).await.expect("usable");
        assert_eq!((outcome.expectations, outcome.problems), (13, Vec::new()));
    }

    #[tokio::test]
    async fn what_differs_is_told_with_its_line() {
        let tail = r#"assertions:
  assertTrue:
    - "document:1#view@user:eva"
  assertFalse:
    - "document:1#view@user:emil"
  assertCaveated:
    - "document:1#view@user:emil"
    - "document:1#absent@user:emil"
validation:
  document:1#view:
    - "[user:emil] is <document:1#viewer>"
    - "[user:eva] is <document:1#viewer>"
  document:2#view:
    - "[user:*] is <document:2#viewer>"
  document:2#nobody: []
"#;
        let expected = [
            (18, "document:1#view@user:eva: expected allowed, found denied"),
            (20, "document:1#view@user:emil: expected denied, found allowed"),
            (22, "document:1#view@user:emil: expected conditional, found allowed"),
            (23, "document:1#absent@user:emil: "),
            (25, "document:1#view: [group:eng#member] is <document:1#viewer> belongs to it and is not listed"),
            (
                26,
                "document:1#view: expected user:emil through other relations; found [user:emil] is <group:eng#member>",
            ),
            (27, "document:1#view: expected user:eva, who does not belong to it"),
            (
                29,
                "document:2#view: expected other exclusions from user:*; found [user:* - {user:ivo}] is \
                 <document:2#viewer>",
            ),
            (30, "document:2#nobody: "),
        ];
        let found = problems(tail).await;
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for ((line, message), (expected_line, begins)) in found.iter().zip(expected) {
            assert!(*line == Some(expected_line) && message.starts_with(begins), "{line:?} {message}: {begins}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_judged_says_why() {
        let cases = [
            ("assertions: [1]", 16, "assertions must be a mapping"),
            ("assertions: { assertYes: [] }", 16, "\"assertYes\" is not known here"),
            ("assertions:\n  assertTrue: document:1#view@user:a", 17, "assertTrue must be a list"),
            ("assertions:\n  assertTrue:\n    - 7", 18, "an assertion must be a text"),
            ("assertions:\n  assertTrue:\n    - 'document:1#view'", 18, "write it as resource#relation@subject"),
            ("assertions:\n  assertTrue:\n    - 'document:1#view@user:a with {'", 18, "after `with`"),
            ("assertions:\n  assertTrue:\n    - 'document:1#view@user:a[tall]'", 18, "an assertion asks"),
            ("validation:\n  document:1:\n    - '[user:a]'", 17, "is not a relation of an object"),
            ("validation:\n  document:1#view:\n    - 'user:a'", 18, "is no expected subject"),
            ("more: 1", 16, "\"more\" is not known here"),
            ("more: [", 17, "not YAML"),
        ];
        for (tail, line, message) in cases {
            let found = problems(tail).await;
            assert!(found.len() == 1 && found[0].0 == Some(line) && found[0].1.contains(message), "{tail}: {found:?}");
        }
    }

    #[tokio::test]
    async fn schema_and_relationships_are_judged_where_they_stand() {
        let cases = [
            ("schema: definition user", 1, "schema, column 16"),
            ("schema: |\n\n\n  definition user {}\n  definition group {", 6, "schema, column"),
            ("schema: definition user {}\nrelationships: |\n  user:a#bad@user:c", 3, "`bad` not found"),
            ("schema: definition user {}\nrelationships: >-\n  user:a\n\n  user:b", 3, "is not a relationship"),
            (
                "schema: |-\n  definition user {\n    relation rel: user\n  }\nrelationships: >-\n  user:a#rel@user:b\n\n  user:a#rel@user:b",
                8,
                "second time",
            ),
        ];
        for (text, line, message) in cases {
            let found = match Document::parse(text) {
                Err(problem) => problem,
                Ok(document) => judge(document, TimestampMs(1)).await.expect_err(text),
            };
            assert!(found.line == Some(line) && found.message.contains(message), "{text}: {found:?}");
        }
        for text in ["", "relationships: ''", "schema: ''", "schema: a\nschemaFile: b"] {
            assert!(Document::parse(text).is_err(), "{text}");
        }
    }
}
