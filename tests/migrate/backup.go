// How go.zedbackup was made: with the records and the options of zed's backups, by github.com/hamba/avro/v2 v2.29.0, which zed
// writes them with. Not a part of any test; to run it: go mod init backup && go mod tidy && go run backup.go > go.zedbackup
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/hamba/avro/v2/ocf"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

type relationship struct {
	ObjectType        string    `avro:"object_type"`
	ObjectID          string    `avro:"object_id"`
	Relation          string    `avro:"relation"`
	SubjectObjectType string    `avro:"subject_object_type"`
	SubjectObjectID   string    `avro:"subject_object_id"`
	SubjectRelation   string    `avro:"subject_relation"`
	CaveatName        string    `avro:"caveat_name"`
	CaveatContext     []byte    `avro:"caveat_context"`
	Expiration        time.Time `avro:"expiration"`
}

type schema struct {
	SchemaText string `avro:"schema_text"`
}

const avroSchema = `[
 {"name": "com.authzed.spicedb.backup.relationship_v1", "type": "record", "fields": [
  {"name": "object_type", "type": "string"}, {"name": "object_id", "type": "string"}, {"name": "relation", "type": "string"},
  {"name": "subject_object_type", "type": "string"}, {"name": "subject_object_id", "type": "string"},
  {"name": "subject_relation", "type": "string"}, {"name": "caveat_name", "type": "string"},
  {"name": "caveat_context", "type": "bytes"}, {"name": "expiration", "type": {"type": "long", "logicalType": "timestamp-millis"}}]},
 {"name": "com.authzed.spicedb.backup.schema_v1", "type": "record", "fields": [{"name": "schema_text", "type": "string"}]}]`

const schemaText = `use expiration

caveat on_tier(tier int, limits map<any>) {
	tier > 3 && !("closed" in limits)
}

definition doc {
	relation viewer: user | user:* | team#member | user with on_tier
	relation guest: user with expiration | user with on_tier and expiration
	permission view = viewer + guest
}

definition team {
	relation member: user | team#member
}

definition user {}`

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func context(values map[string]any) []byte {
	return must(proto.Marshal(must(structpb.NewStruct(values))))
}

func main() {
	token := []byte("Gh8KEzE3OTUzNDc3MjE2NTcxMjgwOTQSCDlmZjNjMjdk")
	metadata := map[string][]byte{"com.authzed.spicedb.zedtoken.v1": token}
	out := must(ocf.NewEncoder(avroSchema, os.Stdout, ocf.WithCodec(ocf.Snappy), ocf.WithMetadata(metadata)))
	encode := func(record map[string]any) { must(0, out.Encode(record)) }
	encode(map[string]any{"com.authzed.spicedb.backup.schema_v1": schema{schemaText}})
	append := func(record relationship) { encode(map[string]any{"com.authzed.spicedb.backup.relationship_v1": record}) }
	var never time.Time
	until := time.Date(2100, 1, 2, 3, 4, 5, 678_000_000, time.UTC)
	tier := context(map[string]any{"tier": 5, "limits": map[string]any{"a": []any{1.5, nil, "x"}}})
	append(relationship{"doc", "readme", "viewer", "user", "emil", "", "", nil, never})
	append(relationship{"doc", "readme", "viewer", "user", "*", "", "", nil, never})
	append(relationship{"doc", "readme", "viewer", "team", "eng", "member", "", nil, never})
	append(relationship{"doc", "plan", "viewer", "user", "ada", "", "on_tier", tier, never})
	append(relationship{"doc", "plan", "viewer", "user", "bob", "", "on_tier", context(nil), never})
	append(relationship{"doc", "plan", "guest", "user", "eve", "", "", nil, until})
	append(relationship{"doc", "plan", "guest", "user", "fay", "", "on_tier", context(map[string]any{"tier": 1}), until})
	append(relationship{"team", "eng", "member", "team", "core", "member", "", nil, never})
	for i := range 300 {
		append(relationship{"team", "core", "member", "user", fmt.Sprint("u", i), "", "", nil, never})
	}
	must(0, out.Flush())
}
