//! `quorate floor`: the least that answers about the objects of a type promise.

mod assignment;
mod change;
mod table;

use std::collections::BTreeMap;

use clap::Subcommand;

use self::assignment::{Assignment, parse_assignment, parse_type};
use super::connection::{Connection, ConnectionArgs, DEFAULT_TIMEOUT};
use super::failure::{Exit, Failure};
use crate::model::TypeName;
use crate::wire::quorate::v1::floor::Least;
use crate::wire::quorate::v1::{GetFloorsRequest, GetFloorsResponse};

const SET_EXAMPLES: &str = "\
Examples:
  quorate floor set payment=fully-consistent catalog=5s

Every request about objects of these types is raised to the floor where it asks for less, on every node that has
applied the change. Floors of other types stay as they are.";
const UNSET_EXAMPLES: &str = "\
Examples:
  quorate floor unset catalog";
const LIST_EXAMPLES: &str = "\
Examples:
  quorate floor list
  quorate floor list --json";

#[derive(Debug, clap::Args)]
pub(super) struct FloorArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(subcommand)]
    command: FloorCommand,
}

#[derive(Debug, Subcommand)]
enum FloorCommand {
    /// Give types a floor
    #[command(after_help = SET_EXAMPLES)]
    Set {
        /// TYPE=fully-consistent, or TYPE=TIME for an age that no answer exceeds: 250ms, 5s, 2m
        #[arg(required = true, value_name = "TYPE=FLOOR", value_parser = parse_assignment)]
        floors: Vec<Assignment>,
    },
    /// Take the floor of types away
    #[command(after_help = UNSET_EXAMPLES)]
    Unset {
        /// The types
        #[arg(required = true, value_name = "TYPE", value_parser = parse_type)]
        types: Vec<TypeName>,
    },
    /// Show the floors
    #[command(after_help = LIST_EXAMPLES)]
    List,
}

pub(super) async fn run(args: FloorArgs) -> Result<Exit, Failure> {
    let connection = &args.connection;
    match args.command {
        FloorCommand::Set { floors } => {
            let names: Vec<String> = floors.iter().map(|floor| floor.object_type.to_string()).collect();
            let apply = |all: &mut ByType| {
                all.extend(floors.iter().map(|floor| (floor.object_type.to_string(), floor.least)));
            };
            change::run(connection, &apply, &names).await
        }
        FloorCommand::Unset { types } => {
            let apply = |all: &mut ByType| all.retain(|name, _| !types.iter().any(|gone| gone.as_str() == name));
            change::run(connection, &apply, &[]).await
        }
        FloorCommand::List => {
            let answer = read(&connection.open(DEFAULT_TIMEOUT)?).await?;
            let zookie = answer.read_at.clone().unwrap_or_default().token;
            table::print(connection.json, answer.version, &by_type(answer)?, &zookie)?;
            Ok(Exit::Done)
        }
    }
}

/// Floors by the name of their type.
type ByType = BTreeMap<String, Least>;

async fn read(cluster: &Connection) -> Result<GetFloorsResponse, Failure> {
    Ok(cluster.read(|node| async move { node.consistency().get_floors(GetFloorsRequest {}).await }).await?)
}

/// A floor that this version does not understand must not get lost when the others are written back.
fn by_type(answer: GetFloorsResponse) -> Result<ByType, Failure> {
    let known = |floor: crate::wire::quorate::v1::Floor| match floor.least {
        Some(least) => Ok((floor.object_type, least)),
        None => Err(Failure::new(format!(
            "the floor of {} is of a kind that this version does not know",
            floor.object_type
        ))
        .hint("use the version of `quorate` that the nodes have")),
    };
    answer.floors.into_iter().map(known).collect()
}
