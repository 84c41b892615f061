//! The description of the gateway as OpenAPI, made from the descriptors and the comments in them.

use std::collections::BTreeMap;

use prost_reflect::{FieldDescriptor, FileDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::json::status_descriptor;
use super::routes::Method;

/// The document for these calls.
pub(super) fn describe(methods: &[Method]) -> Value {
    let paths = methods.iter().map(|method| (method.path.to_owned(), json!({ "post": operation(method) })));
    let mut paths: Map<String, Value> = paths.collect();
    paths.insert("/healthz".to_owned(), json!({ "get": health_operation() }));
    let ends = methods.iter().flat_map(|m| [m.descriptor.input(), m.descriptor.output()]);
    json!({
        "openapi": "3.0.3",
        "info": {
            "title": "Quorate",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The protocols authzed.api.v1 and, in part, quorate.v1 over HTTP, as JSON.",
        },
        "security": [{ "key": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "key": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas(ends.chain([status_descriptor()])),
        },
    })
}

fn operation(method: &Method) -> Value {
    let descriptor = &method.descriptor;
    let service = descriptor.parent_service();
    let mut notes: Vec<String> = comment(&descriptor.parent_file(), descriptor.path()).into_iter().collect();
    if descriptor.is_client_streaming() {
        notes.push("The body is any number of these objects, one after the other.".to_owned());
    }
    let mut answer = reference(&descriptor.output());
    if descriptor.is_server_streaming() {
        notes.push("The answer is any number of these objects, each on a line; an error is the last one.".to_owned());
        answer = json!({ "type": "object", "properties": { "result": answer, "error": status() } });
    }
    json!({
        "operationId": format!("{}_{}", service.name(), descriptor.name()),
        "tags": [service.name()],
        "description": notes.join("\n"),
        "requestBody": { "content": content(reference(&descriptor.input())) },
        "responses": {
            "200": { "description": "The answer.", "content": content(answer) },
            "default": { "description": "Why the call failed.", "content": content(status()) },
        },
    })
}

fn health_operation() -> Value {
    let body = json!({ "type": "object", "properties": { "status": { "type": "string" } } });
    json!({
        "operationId": "health",
        "security": [],
        "responses": {
            "200": { "description": "Requests are welcome.", "content": content(body.clone()) },
            "503": { "description": "The node has not caught up yet, or it stops.", "content": content(body) },
        },
    })
}

fn content(schema: Value) -> Value {
    json!({ "application/json": { "schema": schema } })
}

fn status() -> Value {
    reference(&status_descriptor())
}

fn reference(message: &MessageDescriptor) -> Value {
    json!({ "$ref": format!("#/components/schemas/{}", message.full_name()) })
}

/// These messages, and all that they are made of.
fn schemas(roots: impl Iterator<Item = MessageDescriptor>) -> BTreeMap<String, Value> {
    let mut schemas = BTreeMap::new();
    let mut waiting: Vec<MessageDescriptor> = roots.collect();
    while let Some(message) = waiting.pop() {
        if well_known(&message).is_some() || schemas.contains_key(message.full_name()) {
            continue;
        }
        schemas.insert(message.full_name().to_owned(), schema(&message));
        for field in message.fields() {
            if let Kind::Message(inner) = field.kind() {
                waiting.push(inner);
            }
        }
    }
    // The entries of a map are messages in the descriptors, but plain members of an object in JSON.
    schemas.retain(|_, schema| *schema != Value::Null);
    schemas
}

fn schema(message: &MessageDescriptor) -> Value {
    if message.is_map_entry() {
        return Value::Null;
    }
    let mut notes: Vec<String> = comment(&message.parent_file(), message.path()).into_iter().collect();
    for choice in message.oneofs() {
        let names: Vec<String> = choice.fields().map(|field| field.json_name().to_owned()).collect();
        notes.push(format!("At most one of {} is set.", names.join(", ")));
    }
    let properties: Map<String, Value> = message.fields().map(|f| (f.json_name().to_owned(), property(&f))).collect();
    let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !notes.is_empty() {
        schema["description"] = notes.join("\n").into();
    }
    schema
}

fn property(field: &FieldDescriptor) -> Value {
    let mut schema = match field.kind() {
        Kind::Message(entry) if entry.is_map_entry() => {
            json!({ "type": "object", "additionalProperties": value(&entry.map_entry_value_field().kind()) })
        }
        kind if field.is_list() => json!({ "type": "array", "items": value(&kind) }),
        kind => value(&kind),
    };
    let parent = field.parent_message();
    let deprecated = field.field_descriptor_proto().options.as_ref().is_some_and(|options| options.deprecated());
    let comment = comment(&parent.parent_file(), field.path());
    if (deprecated || comment.is_some()) && schema.get("$ref").is_some() {
        // Beside a reference nothing else counts.
        schema = json!({ "allOf": [schema] });
    }
    if deprecated {
        schema["deprecated"] = true.into();
    }
    if let Some(comment) = comment {
        schema["description"] = comment.into();
    }
    schema
}

fn value(kind: &Kind) -> Value {
    match kind {
        Kind::Double | Kind::Float => json!({ "type": "number" }),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => json!({ "type": "integer", "format": "int32" }),
        Kind::Uint32 | Kind::Fixed32 => json!({ "type": "integer", "format": "uint32", "minimum": 0 }),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => json!({ "type": "string", "format": "int64" }),
        Kind::Uint64 | Kind::Fixed64 => json!({ "type": "string", "format": "uint64" }),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::String => json!({ "type": "string" }),
        Kind::Bytes => json!({ "type": "string", "format": "byte" }),
        Kind::Enum(names) => {
            let names: Vec<String> = names.values().map(|value| value.name().to_owned()).collect();
            json!({ "type": "string", "enum": names })
        }
        Kind::Message(message) => well_known(message).unwrap_or_else(|| reference(message)),
    }
}

/// Messages whose JSON is not the object that their fields suggest.
fn well_known(message: &MessageDescriptor) -> Option<Value> {
    Some(match message.full_name() {
        "google.protobuf.Timestamp" => json!({ "type": "string", "format": "date-time" }),
        "google.protobuf.Duration" => json!({ "type": "string", "example": "1.5s" }),
        "google.protobuf.Struct" => json!({ "type": "object", "additionalProperties": true }),
        "google.protobuf.Any" => {
            json!({ "type": "object", "properties": { "@type": { "type": "string" } }, "additionalProperties": true })
        }
        _ => return None,
    })
}

/// The comment above what stands at `path` in its file.
fn comment(file: &FileDescriptor, path: &[i32]) -> Option<String> {
    let locations = &file.file_descriptor_proto().source_code_info.as_ref()?.location;
    let comment = locations.iter().find(|location| location.path == path)?.leading_comments.as_ref()?;
    let lines: Vec<&str> = comment.lines().map(str::trim).collect();
    Some(lines.join("\n").trim().to_owned()).filter(|comment| !comment.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::gateway::routes;

    fn document() -> Value {
        describe(&routes::methods())
    }

    /// Every `$ref` below `value`.
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    #[test]
    fn every_reference_leads_to_a_schema() {
        let document = document();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 100, "{}", found.len());
        for reference in found {
            let pointer = reference.strip_prefix('#').expect("it is within the document");
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }

    #[test]
    fn calls_and_messages_are_described_as_they_are() {
        let document = document();
        let check = &document["paths"]["/v1/permissions/check"]["post"];
        assert_eq!(check["operationId"], "PermissionsService_CheckPermission");
        let schemas = &document["components"]["schemas"];
        let request = &schemas["authzed.api.v1.CheckPermissionRequest"]["properties"];
        assert_eq!(request["withTracing"]["description"], "Asks for debug_trace.");
        assert_eq!(request["context"]["additionalProperties"], true);
        let consistency = &schemas["authzed.api.v1.Consistency"];
        let said = consistency["description"].as_str().expect("it is explained");
        assert!(said.contains("At most one of minimizeLatency, atLeastAsFresh"), "{said}");
        let deleted = &schemas["authzed.api.v1.DeleteRelationshipsResponse"]["properties"];
        assert_eq!(deleted["relationshipsDeletedCount"]["type"], "string");
        assert_eq!(deleted["deletionProgress"]["enum"][1], "DELETION_PROGRESS_COMPLETE");
        let read = &document["paths"]["/v1/relationships/read"]["post"]["responses"]["200"]["content"];
        assert!(read.pointer("/application~1json/schema/properties/result/$ref").is_some(), "{read}");
    }
}
