//! What a schema would do, asked from a node and printed.

use serde_json::json;

use super::change::Change;
use super::source::Source;
use crate::cli::connection::{ConnectionArgs, DEFAULT_TIMEOUT};
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::wire::quorate::v1::{PlanSchemaRequest, PlanSchemaResponse, SchemaObstacle};

/// What a schema would do.
pub(super) struct Plan(PlanSchemaResponse);

/// Asks a node, which looks at its data.
pub(super) async fn ask(connection: &ConnectionArgs, source: &Source) -> Result<Plan, Failure> {
    let cluster = connection.open(DEFAULT_TIMEOUT)?;
    let answer = cluster
        .read(|node| {
            let request = PlanSchemaRequest { schema: source.text.clone() };
            async move { node.schema_plans().plan_schema(request).await }
        })
        .await
        .map_err(|error| source.locate(error.into()))?;
    Ok(Plan(answer))
}

impl Plan {
    /// Why the schema cannot be written as things are, or may not be; `None` where everything was looked at and nothing
    /// stands in the way.
    pub(super) fn refusal(&self) -> Option<Failure> {
        const MORE: &str = "it is not known whether the schema can be written: there is more data than was looked at";
        let PlanSchemaResponse { obstacles, incomplete, .. } = &self.0;
        match (obstacles.len(), incomplete) {
            (0, false) => None,
            (0, true) => {
                Some(Failure::new(MORE).hint("writing it looks at all of it, and refuses what stands in the way"))
            }
            (1, _) => Some(Failure::new("the schema cannot be written: something stands in the way")),
            (count, _) => Some(Failure::new(format!("the schema cannot be written: {count} things stand in the way"))),
        }
    }

    /// For people, or as one JSON document.
    pub(super) fn print(self, as_json: bool) -> Result<(), Failure> {
        let PlanSchemaResponse { changes, obstacles, incomplete, zookie } = self.0;
        let changes: Vec<Change> = changes.iter().filter_map(Change::of).collect();
        let mut output = Output::new();
        if as_json {
            let changes: Vec<_> = changes.iter().map(Change::to_json).collect();
            let obstacles: Vec<_> = obstacles.iter().map(obstacle_json).collect();
            output.json(&json!({
                "changes": changes, "obstacles": obstacles, "incomplete": incomplete, "zookie": zookie,
            }))?;
            return output.flush();
        }
        if changes.is_empty() {
            output.line("no changes")?;
        }
        for change in &changes {
            output.line(change)?;
        }
        for obstacle in &obstacles {
            output.line("")?;
            for line in obstacle_lines(obstacle, incomplete) {
                output.line(line)?;
            }
        }
        if incomplete {
            output.line("")?;
            output.line("there is more data than was looked at: more may stand in the way")?;
        }
        output.flush()
    }
}

fn obstacle_json(obstacle: &SchemaObstacle) -> serde_json::Value {
    json!({
        "reason": obstacle.reason,
        "relationships": obstacle.relationships,
        "examples": obstacle.examples,
    })
}

fn obstacle_lines(obstacle: &SchemaObstacle, incomplete: bool) -> Vec<String> {
    let mut lines = vec![format!("in the way: {}", obstacle.reason)];
    lines.extend(obstacle.examples.iter().map(|example| format!("  {example}")));
    let shown = u64::try_from(obstacle.examples.len()).unwrap_or(u64::MAX);
    match (obstacle.relationships.saturating_sub(shown), incomplete) {
        (0, _) => {}
        (more, false) => lines.push(format!("  and {more} more")),
        (more, true) => lines.push(format!("  and {more} more, at least")),
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::failure::Exit;

    #[test]
    fn an_obstacle_says_how_much_stands_in_the_way() {
        let obstacle = |relationships, examples: &[&str]| SchemaObstacle {
            reason: "why".to_owned(),
            relationships,
            examples: examples.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(obstacle_lines(&obstacle(0, &[]), false), ["in the way: why"]);
        assert_eq!(obstacle_lines(&obstacle(1, &["a"]), false), ["in the way: why", "  a"]);
        assert_eq!(obstacle_lines(&obstacle(5, &["a", "b"]), false), ["in the way: why", "  a", "  b", "  and 3 more"]);
        assert_eq!(obstacle_lines(&obstacle(5, &["a"]), true)[2], "  and 4 more, at least");
    }

    #[test]
    fn only_a_plan_of_everything_without_obstacles_is_a_success() {
        let obstacle = || SchemaObstacle { reason: "why".to_owned(), ..SchemaObstacle::default() };
        for (obstacles, incomplete, expected) in [
            (vec![], false, None),
            (vec![], true, Some("it is not known")),
            (vec![obstacle()], false, Some("something stands in the way")),
            (vec![obstacle(), obstacle()], true, Some("2 things")),
        ] {
            let plan = Plan(PlanSchemaResponse { obstacles, incomplete, ..PlanSchemaResponse::default() });
            let refusal = plan.refusal();
            assert_eq!(refusal.is_some(), expected.is_some(), "{refusal:?}");
            if let (Some(failure), Some(expected)) = (refusal, expected) {
                assert!(failure.message().contains(expected) && failure.exit() == Exit::Failed, "{failure:?}");
            }
        }
    }
}
