// The frame: the key, the pages, and the look at the cluster that all of them share.

import { call, CallError, keyring } from "./api.js";
import { changesPage, Tail } from "./changes.js";
import { clusterPage } from "./cluster.js";
import { h, morph } from "./dom.js";
import { explainPage } from "./explain.js";
import { schemaPage } from "./schema.js";
import { digest, History } from "./survey.js";

const OVERVIEW = "/quorate/v1/cluster/overview";
const BETWEEN_LOOKS = 2000;
const PATIENCE = 5000;

const PAGES = {
  cluster: { name: "Cluster", open: clusterPage },
  schema: { name: "Schema", open: schemaPage },
  explain: { name: "Explain", open: explainPage },
  changes: { name: "Changes", open: changesPage },
};

const at = (id) => document.getElementById(id);
const main = at("main");

/** Looks at the cluster every two seconds, for as long as somebody looks at the page. */
class Watcher {
  listeners = new Set();
  history = new History();
  state = undefined;
  stopped = false;
  timer = undefined;

  constructor(first) {
    this.take(first);
    this.timer = setTimeout(() => this.look(), BETWEEN_LOOKS);
  }

  /** Calls `listener` with the state now and whenever there is a new one; what is returned ends that. */
  watch = (listener) => {
    this.listeners.add(listener);
    if (this.state) listener(this.state);
    return () => this.listeners.delete(listener);
  };

  take(overview) {
    this.tell({ look: this.history.add(digest(overview, performance.now())), history: this.history });
  }

  tell(state) {
    this.state = state;
    for (const listener of this.listeners) listener(state);
  }

  async look() {
    try {
      if (!document.hidden) {
        const overview = await call(OVERVIEW, {}, { signal: AbortSignal.timeout(PATIENCE) });
        if (!this.stopped) this.take(overview);
      }
    } catch (error) {
      if (this.stopped) return;
      if (error.isAboutKey) return leave(`The key is no longer good for this: ${error.message}`);
      this.tell({ ...this.state, error: error instanceof CallError ? error : new CallError(0, "no answer") });
    }
    if (!this.stopped) this.timer = setTimeout(() => this.look(), BETWEEN_LOOKS);
  }

  stop() {
    this.stopped = true;
    clearTimeout(this.timer);
  }
}

let session;
let closePage = () => {};

function show(open, context) {
  closePage();
  main.replaceChildren();
  const root = h("div", { class: "page" });
  main.append(root);
  closePage = open(root, context) ?? (() => {});
}

function route() {
  if (!session) return;
  const wanted = location.hash.replace("#/", "");
  const page = PAGES[wanted] ? wanted : "cluster";
  document.title = `${PAGES[page].name} · Quorate`;
  for (const link of at("nav").children) {
    if (link.dataset.page === page) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  show(PAGES[page].open, session);
}

function pulse({ look, error }) {
  const silent = look.nodes.filter((node) => !node.answers).length;
  const bad = error || look.quarrel || look.leader === undefined;
  const words = error
    ? "this node does not answer"
    : look.quarrel
      ? "states differ"
      : look.leader === undefined
        ? "no leader"
        : silent > 0
          ? `${silent} of ${look.nodes.length} silent`
          : `node ${look.leader} leads`;
  const fresh = h("span", { class: `pulse ${bad ? "bad" : silent > 0 ? "warn" : "good"}`, id: "pulse", role: "status" }, words);
  morph(at("pulse"), fresh);
}

function enter(overview) {
  const watcher = new Watcher(overview);
  const tail = new Tail(leave);
  session = { watch: watcher.watch, tail, stop: () => (watcher.stop(), tail.stop()) };
  at("bar").hidden = false;
  watcher.watch(pulse);
  route();
}

function leave(reason = "") {
  session?.stop();
  session = undefined;
  keyring.forget();
  at("bar").hidden = true;
  show(loginPage, { reason });
}

/** Asks for a key until one is good. */
function loginPage(root, { reason }) {
  const key = h("input", { id: "key", type: "password", name: "key", autocomplete: "off", spellcheck: "false", required: true, "aria-describedby": "said" });
  const said = h("p", { id: "said", class: reason ? "notice bad" : "", role: "alert" }, reason);
  const button = h("button", { type: "submit" }, "Look");
  const submit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    said.className = "";
    said.replaceChildren();
    try {
      const overview = await call(OVERVIEW, {}, { key: key.value, signal: AbortSignal.timeout(PATIENCE) });
      keyring.set(key.value);
      enter(overview);
    } catch (error) {
      said.className = "notice bad";
      said.replaceChildren(explainRefusal(error));
      button.disabled = false;
      key.select();
    }
  };
  root.append(
    h(
      "form",
      { class: "login", onsubmit: submit },
      h("img", { src: "/assets/icon.svg", alt: "", width: 56, height: 56 }),
      h("h1", {}, "Quorate"),
      h("p", { class: "quiet" }, "The console shows the cluster, its schema, and how decisions come about. It changes nothing."),
      h("label", { for: "key" }, "Key with the scope ", h("code", {}, "read")),
      key,
      button,
      said,
      h("p", { class: "quiet small" }, "The key stays in this tab and is forgotten with it."),
    ),
  );
  key.focus();
}

function explainRefusal(error) {
  if (error.http === 401 || (error.http === 403 && error.reason !== "SCOPE_MISSING")) return "This node does not know the key.";
  return error.message || "There was no answer.";
}

async function begin() {
  for (const [page, { name }] of Object.entries(PAGES)) at("nav").append(h("a", { href: `#/${page}`, "data-page": page }, name));
  at("leave").addEventListener("click", () => leave());
  at("skip").addEventListener("click", () => main.focus());
  addEventListener("hashchange", route);
  if (!keyring.get()) return leave();
  try {
    enter(await call(OVERVIEW, {}, { signal: AbortSignal.timeout(PATIENCE) }));
  } catch (error) {
    leave(error.isAboutKey ? "The key is not good any more." : error.message);
  }
}

begin();
