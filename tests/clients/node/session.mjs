// The official Node client against a live cluster: a small session on several nodes.
//
// Environment: QUORATE_ENDPOINTS (addresses of the nodes, with commas), QUORATE_KEY.

import assert from 'node:assert/strict';
import { v1 } from '@authzed/authzed-node';

const endpoints = process.env.QUORATE_ENDPOINTS.split(',');
const key = process.env.QUORATE_KEY;
const { HAS_PERMISSION, NO_PERMISSION, CONDITIONAL_PERMISSION } = v1.CheckPermissionResponse_Permissionship;
const { TOUCH, CREATE } = v1.RelationshipUpdate_Operation;

const schema = `
use expiration

caveat nodetall(height int) {
    height > 2
}

definition nodeuser {}

definition nodedoc {
    relation writer: nodeuser
    relation reader: nodeuser | nodeuser with nodetall | nodeuser with expiration
    permission edit = writer
    permission view = reader + edit
}
`;

// This client sends a key over plain text to `localhost` only, by name.
const open = (node, withKey = key) =>
  v1.NewClient(
    withKey,
    endpoints[node].replace('127.0.0.1', 'localhost'),
    v1.ClientSecurity.INSECURE_LOCALHOST_ALLOWED,
  ).promises;
const clients = endpoints.map((_, node) => open(node));

const object = (text) => {
  const [objectType, objectId] = text.split(':');
  return v1.ObjectReference.create({ objectType, objectId });
};
const subject = (text) => v1.SubjectReference.create({ object: object(text) });
const update = (operation, resource, relation, who) =>
  v1.RelationshipUpdate.create({
    operation,
    relationship: v1.Relationship.create({ resource: object(resource), relation, subject: subject(who) }),
  });
const write = (...updates) => v1.WriteRelationshipsRequest.create({ updates });
const fully = v1.Consistency.create({ requirement: { oneofKind: 'fullyConsistent', fullyConsistent: true } });
const fresh = (token) =>
  v1.Consistency.create({ requirement: { oneofKind: 'atLeastAsFresh', atLeastAsFresh: token } });
const exact = (token) =>
  v1.Consistency.create({ requirement: { oneofKind: 'atExactSnapshot', atExactSnapshot: token } });
const check = (resource, permission, who, consistency) =>
  v1.CheckPermissionRequest.create({ resource: object(resource), permission, subject: subject(who), consistency });

// gRPC codes.
const INVALID_ARGUMENT = 3;
const ALREADY_EXISTS = 6;
const PERMISSION_DENIED = 7;
const FAILED_PRECONDITION = 9;

async function refusal(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('it was not refused');
}

const tests = {
  'schema goes in and comes out': async () => {
    const written = await clients[0].writeSchema(v1.WriteSchemaRequest.create({ schema }));
    assert.ok(written.writtenAt.token);
    const read = await clients[1].readSchema(v1.ReadSchemaRequest.create({}));
    assert.match(read.schemaText, /definition nodedoc/);
  },

  'a zookie holds on every node': async () => {
    const written = await clients[1].writeRelationships(
      write(
        update(TOUCH, 'nodedoc:one', 'writer', 'nodeuser:emilia'),
        update(TOUCH, 'nodedoc:one', 'reader', 'nodeuser:beatrice'),
      ),
    );
    for (const client of clients) {
      for (const consistency of [fresh(written.writtenAt), exact(written.writtenAt), fully]) {
        for (const [who, permission, expected] of [
          ['nodeuser:emilia', 'edit', HAS_PERMISSION],
          ['nodeuser:beatrice', 'view', HAS_PERMISSION],
          ['nodeuser:beatrice', 'edit', NO_PERMISSION],
          ['nodeuser:nobody', 'view', NO_PERMISSION],
        ]) {
          const answer = await client.checkPermission(check('nodedoc:one', permission, who, consistency));
          assert.equal(answer.permissionship, expected, `${who} ${permission}`);
          assert.ok(answer.checkedAt.token);
        }
      }
    }
  },

  'bulk checks keep their order': async () => {
    const asked = [
      ['nodeuser:emilia', 'edit'],
      ['nodeuser:beatrice', 'edit'],
      ['nodeuser:beatrice', 'view'],
    ];
    const items = asked.map(([who, permission]) =>
      v1.CheckBulkPermissionsRequestItem.create({
        resource: object('nodedoc:one'),
        permission,
        subject: subject(who),
      }),
    );
    const request = v1.CheckBulkPermissionsRequest.create({ items, consistency: fully });
    const { pairs } = await clients[2].checkBulkPermissions(request);
    const answers = pairs.map((pair) => pair.response.item.permissionship);
    assert.deepEqual(answers, [HAS_PERMISSION, NO_PERMISSION, HAS_PERMISSION]);
  },

  'relationships are read': async () => {
    const request = v1.ReadRelationshipsRequest.create({
      relationshipFilter: v1.RelationshipFilter.create({ resourceType: 'nodedoc' }),
      consistency: fully,
    });
    const rows = await clients[2].readRelationships(request);
    const subjects = rows.map((row) => row.relationship.subject.object.objectId).sort();
    assert.deepEqual(subjects, ['beatrice', 'emilia']);
  },

  'deleting is seen elsewhere': async () => {
    const deleted = await clients[2].deleteRelationships(
      v1.DeleteRelationshipsRequest.create({
        relationshipFilter: v1.RelationshipFilter.create({ resourceType: 'nodedoc', optionalRelation: 'writer' }),
      }),
    );
    const request = check('nodedoc:one', 'edit', 'nodeuser:emilia', fresh(deleted.deletedAt));
    assert.equal((await clients[0].checkPermission(request)).permissionship, NO_PERMISSION);
  },

  'caveats and expiration decide': async () => {
    const limited = (resource, limits) => {
      const change = update(TOUCH, resource, 'reader', 'nodeuser:eve');
      Object.assign(change.relationship, limits);
      return change;
    };
    const at = (seconds) => ({ optionalExpiresAt: { seconds: String(seconds), nanos: 0 } });
    await clients[0].writeRelationships(
      write(
        limited('nodedoc:tall', { optionalCaveat: v1.ContextualizedCaveat.create({ caveatName: 'nodetall' }) }),
        limited('nodedoc:past', at(1)),
        limited('nodedoc:future', at(4000000000)),
      ),
    );
    for (const [resource, expected] of [
      ['nodedoc:tall', CONDITIONAL_PERMISSION],
      ['nodedoc:past', NO_PERMISSION],
      ['nodedoc:future', HAS_PERMISSION],
    ]) {
      const answer = await clients[1].checkPermission(check(resource, 'view', 'nodeuser:eve', fully));
      assert.equal(answer.permissionship, expected, resource);
    }
  },

  'lookups find what checks allow': async () => {
    const found = await clients[2].lookupResources(
      v1.LookupResourcesRequest.create({
        resourceObjectType: 'nodedoc',
        permission: 'view',
        subject: subject('nodeuser:eve'),
        consistency: fully,
      }),
    );
    assert.deepEqual(found.map((row) => row.resourceObjectId).sort(), ['future', 'tall']);
  },

  'errors carry their codes': async () => {
    const existing = write(update(CREATE, 'nodedoc:one', 'reader', 'nodeuser:beatrice'));
    assert.equal((await refusal(clients[1].writeRelationships(existing))).code, ALREADY_EXISTS);
    const permission = write(update(TOUCH, 'nodedoc:one', 'view', 'nodeuser:beatrice'));
    assert.equal((await refusal(clients[1].writeRelationships(permission))).code, INVALID_ARGUMENT);
    const unknown = check('nothing:one', 'view', 'nodeuser:beatrice');
    assert.equal((await refusal(clients[1].checkPermission(unknown))).code, FAILED_PRECONDITION);
  },

  'a wrong key is refused': async () => {
    const request = check('nodedoc:one', 'view', 'nodeuser:beatrice');
    const error = await refusal(open(0, 'wrong').checkPermission(request));
    assert.equal(error.code, PERMISSION_DENIED);
  },
};

let failed = 0;
for (const [name, test] of Object.entries(tests)) {
  // One after the other, in order: they build on one another.
  try {
    await test();
    console.log(`node: ${name} ... ok`);
  } catch (error) {
    failed += 1;
    console.log(`node: ${name} ... FAILED`);
    console.error(error);
  }
}
console.log(`node: ${Object.keys(tests).length - failed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
