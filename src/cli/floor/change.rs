//! Changing floors: read, change, write back if nobody else did meanwhile, else read again.

use super::{ByType, by_type, read, table};
use crate::cli::call_error::CallError;
use crate::cli::connection::{Connection, ConnectionArgs, DEFAULT_TIMEOUT};
use crate::cli::consistency::fully_consistent;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::note;
use crate::wire::authzed::v1::ReflectSchemaRequest;
use crate::wire::quorate::v1::{Floor, SetFloorsRequest};

/// How often the change is made anew because another one came first.
const ATTEMPTS: usize = 5;

/// Makes `change` to the floors, prints them, and warns of those of `named` that no schema defines.
pub(super) async fn run(
    connection: &ConnectionArgs,
    change: &dyn Fn(&mut ByType),
    named: &[String],
) -> Result<Exit, Failure> {
    let cluster = connection.open(DEFAULT_TIMEOUT)?;
    for _ in 0..ATTEMPTS {
        let current = read(&cluster).await?;
        let (version, read_at) = (current.version, current.read_at.clone());
        let before = by_type(current)?;
        let mut floors = before.clone();
        change(&mut floors);
        let (version, zookie) = if floors == before {
            (version, read_at)
        } else {
            let floor = |(name, least): (&String, &_)| Floor { object_type: name.clone(), least: Some(*least) };
            let request = SetFloorsRequest { expected_version: version, floors: floors.iter().map(floor).collect() };
            let set = cluster.write(|node| {
                let request = request.clone();
                async move { node.consistency().set_floors(request).await }
            });
            match set.await {
                Ok(answer) => (answer.version, answer.set_at),
                Err(error) if came_second(&error) => continue,
                Err(error) => return Err(error.into()),
            }
        };
        table::print(connection.json, version, &floors, &zookie.unwrap_or_default().token)?;
        for name in unknown(&cluster, named).await {
            note(format_args!(
                "note: the schema has no type {name} (yet); its floor counts from the moment that it has"
            ));
        }
        return Ok(Exit::Done);
    }
    Err(Failure::new("the floors were not changed: others kept changing them")
        .hint("`quorate floor list` shows them; try again"))
}

fn came_second(error: &CallError) -> bool {
    error.reason().as_deref() == Some("SERIALIZATION_FAILURE")
}

/// Those of `names` that no definition has. A floor may come before its type, so not to know is no failure.
async fn unknown(cluster: &Connection, names: &[String]) -> Vec<String> {
    let request = ReflectSchemaRequest { consistency: Some(fully_consistent()), optional_filters: Vec::new() };
    let reflected = cluster.read(|node| {
        let request = request.clone();
        async move { node.schema().reflect_schema(request).await }
    });
    let Ok(schema) = reflected.await else { return Vec::new() };
    let is_known = |name: &&String| schema.definitions.iter().any(|definition| definition.name == **name);
    names.iter().filter(|name| !is_known(name)).cloned().collect()
}
