// Changes as they happen: the tail of a watch, from the moment that the key was typed in.

import { call, stream } from "./api.js";
import { h, morph } from "./dom.js";
import { indexOf } from "./zookie.js";

const KEPT = 200;
const SHOWN_UPDATES = 50;
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 10_000;
const KINDS = [
  "WATCH_KIND_INCLUDE_RELATIONSHIP_UPDATES",
  "WATCH_KIND_INCLUDE_SCHEMA_UPDATES",
  "WATCH_KIND_INCLUDE_CHECKPOINTS",
];

const OPERATIONS = { OPERATION_CREATE: "create", OPERATION_TOUCH: "touch", OPERATION_DELETE: "delete" };

/** A relationship as the command line writes it. */
export function relationshipText(it) {
  const subject = `${it.subject.object.objectType}:${it.subject.object.objectId}`;
  const relation = it.subject.optionalRelation ? `#${it.subject.optionalRelation}` : "";
  return `${it.resource.objectType}:${it.resource.objectId}#${it.relation}@${subject}${relation}`;
}

/** Follows the changes, however often the stream breaks. It keeps the last ones. */
export class Tail {
  changes = [];
  listeners = new Set();
  words = "connecting";
  upTo = undefined;
  abort = new AbortController();

  /** `refused` is told when the key is good no more. */
  constructor(refused) {
    this.refused = refused;
    this.follow();
  }

  watch(listener) {
    this.listeners.add(listener);
    listener(this);
    return () => this.listeners.delete(listener);
  }

  tell(words = this.words) {
    this.words = words;
    for (const listener of this.listeners) listener(this);
  }

  stop() {
    this.abort.abort();
  }

  async follow() {
    const { signal } = this.abort;
    let pause = FIRST_PAUSE;
    while (!signal.aborted) {
      try {
        this.token ??= await this.beginning();
        this.tell("live");
        const start = this.token ? { optionalStartCursor: { token: this.token } } : {};
        for await (const message of stream("/v1/watch", { ...start, optionalUpdateKinds: KINDS }, { signal })) {
          pause = FIRST_PAUSE;
          this.take(message);
        }
      } catch (error) {
        if (signal.aborted) return;
        if (error.isAboutKey) return this.refused(error.message);
        if (error.http === 400) {
          // History has moved on meanwhile: what was missed is not told again.
          this.token = undefined;
          this.changes.unshift({ gap: true, at: new Date() });
        }
        this.tell(`broken off (${error.message}); trying again`);
      }
      await new Promise((wake) => setTimeout(wake, pause));
      pause = Math.min(pause * 2, LONGEST_PAUSE);
    }
  }

  /** The state at the beginning, so that nothing falls between it and the first message. */
  async beginning() {
    try {
      return (await call("/v1/schema/read", {}, { signal: this.abort.signal })).readAt?.token;
    } catch (error) {
      // Where there is no schema yet, there is no relationship either.
      if (error.http === 404) return undefined;
      throw error;
    }
  }

  take(message) {
    this.token = message.changesThrough?.token ?? this.token;
    this.upTo = indexOf(this.token) ?? this.upTo;
    if (message.schemaUpdated || message.updates?.length > 0) {
      const change = {
        index: this.upTo,
        at: new Date(),
        schema: Boolean(message.schemaUpdated),
        updates: message.updates ?? [],
        metadata: message.optionalTransactionMetadata,
      };
      this.changes = [change, ...this.changes].slice(0, KEPT);
    }
    this.tell("live");
  }
}

function update({ operation, relationship }) {
  const word = OPERATIONS[operation] ?? "change";
  const caveat = relationship.optionalCaveat;
  const context = caveat?.context && Object.keys(caveat.context).length > 0 ? ` ${JSON.stringify(caveat.context)}` : "";
  return h(
    "li",
    { class: word },
    h("span", { class: `badge op ${word}` }, word),
    h("code", {}, relationshipText(relationship)),
    caveat?.caveatName && h("span", { class: "tag" }, `if ${caveat.caveatName}`, context && h("code", {}, context)),
    relationship.optionalExpiresAt && h("span", { class: "tag" }, `until ${relationship.optionalExpiresAt}`),
  );
}

function row(change) {
  const time = change.at.toLocaleTimeString("en-GB");
  if (change.gap) return h("li", { class: "change gap" }, `${time}: the node could not go on where the stream broke off. What happened in between is not shown.`);
  const more = change.updates.length - SHOWN_UPDATES;
  return h(
    "li",
    { class: "change", "data-index": change.index },
    h("header", {}, h("span", { class: "index" }, change.index ?? "?"), h("time", { datetime: change.at.toISOString() }, time)),
    h(
      "ul",
      {},
      change.schema && h("li", {}, h("span", { class: "badge op schema" }, "schema"), "a new schema"),
      change.updates.slice(0, SHOWN_UPDATES).map(update),
      more > 0 && h("li", { class: "quiet" }, `and ${more} more`),
    ),
    change.metadata && h("p", { class: "quiet" }, "metadata ", h("code", {}, JSON.stringify(change.metadata))),
  );
}

/** The page. */
export function changesPage(root, { tail }) {
  const state = h("p", { class: "lead", role: "status" });
  const list = h("ol", { class: "changes" });
  root.append(h("h1", {}, "Changes"), state, list);
  let waiting = false;
  const draw = () => {
    waiting = false;
    const upTo = tail.upTo === undefined ? "" : `, told up to index ${tail.upTo}`;
    morph(state, h("p", { class: "lead", role: "status" }, `${tail.words}${upTo}`));
    const rows = tail.changes.map(row);
    const none = h("li", { class: "quiet" }, "Nothing has changed since you came. A write on any node appears here.");
    morph(list, h("ol", { class: "changes" }, rows.length > 0 ? rows : none));
  };
  // Many messages, one picture.
  return tail.watch(() => {
    if (!waiting) requestAnimationFrame(draw);
    waiting = true;
  });
}
