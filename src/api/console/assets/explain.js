// The page that asks a question and shows how its answer came about.

import { call } from "./api.js";
import { h } from "./dom.js";
import { proofTree } from "./proof.js";
import { indexOf } from "./zookie.js";

const ANSWERS = {
  PERMISSIONSHIP_HAS_PERMISSION: { tone: "good", word: "Allowed" },
  PERMISSIONSHIP_NO_PERMISSION: { tone: "bad", word: "Denied" },
  PERMISSIONSHIP_CONDITIONAL_PERMISSION: { tone: "warn", word: "Conditional" },
};

const MODES = {
  minimize: { name: "minimize latency", ask: () => ({ minimizeLatency: true }) },
  fresh: { name: "at least as fresh as a zookie", needsZookie: true, ask: (token) => ({ atLeastAsFresh: { token } }) },
  exact: { name: "exactly at a zookie", needsZookie: true, ask: (token) => ({ atExactSnapshot: { token } }) },
  full: { name: "fully consistent", ask: () => ({ fullyConsistent: true }) },
};

/** What was typed in last, for as long as the tab lives. */
const typed = { resource: "", permission: "", subject: "", mode: "minimize", zookie: "", context: "" };

function objectOf(text, what) {
  const colon = text.indexOf(":");
  if (colon < 1 || colon === text.length - 1) throw new Error(`Write the ${what} as type:id.`);
  return { objectType: text.slice(0, colon), objectId: text.slice(colon + 1) };
}

function subjectOf(text) {
  const hash = text.indexOf("#");
  const object = objectOf(hash < 0 ? text : text.slice(0, hash), "subject");
  return hash < 0 ? { object } : { object, optionalRelation: text.slice(hash + 1) };
}

function contextOf(text) {
  if (!text.trim()) return {};
  let context;
  try {
    context = JSON.parse(text);
  } catch (error) {
    throw new Error(`The context is no JSON: ${error.message}`);
  }
  if (context === null || typeof context !== "object" || Array.isArray(context)) throw new Error("The context is a JSON object.");
  return { context };
}

/** The request that the form stands for; an error says what is wrong with it. */
function question(form) {
  const mode = MODES[form.mode];
  if (mode.needsZookie && !form.zookie.trim()) throw new Error("Give the zookie to be read at.");
  return {
    consistency: mode.ask(form.zookie.trim()),
    resource: objectOf(form.resource.trim(), "resource"),
    permission: form.permission.trim(),
    subject: subjectOf(form.subject.trim()),
    withTracing: true,
    ...contextOf(form.context),
  };
}

function result(answer, addContext) {
  const { tone, word } = ANSWERS[answer.permissionship] ?? { tone: "warn", word: "No answer that this page knows, so not an allow" };
  const missing = answer.partialCaveatInfo?.missingRequiredContext ?? [];
  const token = answer.checkedAt?.token ?? "";
  const index = indexOf(token);
  const trace = answer.debugTrace?.check;
  return [
    h("div", { class: `answer ${tone}`, role: "status", "data-answer": word }, h("strong", {}, word), index && h("span", {}, `at index ${index}`)),
    missing.length > 0 &&
      h(
        "div",
        { class: "notice warn" },
        h("p", {}, "It depends on what was not given:"),
        h("p", { class: "chips" }, missing.map((name) => h("code", { class: "chip" }, name))),
        h("button", { type: "button", class: "quiet", onclick: () => addContext(missing) }, "Add to the context"),
      ),
    h("p", { class: "zookie" }, h("span", { class: "label" }, "Zookie"), h("code", {}, token)),
    trace && h("h2", {}, "How it came about"),
    trace && proofTree(trace),
  ];
}

const field = (name, label, control, hint) => h("div", { class: `field ${name}` }, h("label", { for: `ask-${name}` }, label), control, hint && h("span", { class: "quiet small" }, hint));

function input(name, attributes) {
  const control = h("input", { id: `ask-${name}`, name, autocomplete: "off", autocapitalize: "none", spellcheck: "false", ...attributes });
  control.value = typed[name];
  return control;
}

/** Names that the schema has, offered while one types. */
async function offer(lists, resource) {
  const schema = await call("/v1/schema/reflectschema").catch(() => undefined);
  const definitions = schema?.definitions ?? [];
  lists.types.replaceChildren(...definitions.map((it) => h("option", { value: `${it.name}:` })));
  const permissions = () => {
    const type = resource.value.split(":")[0];
    const own = definitions.filter((it) => it.name === type);
    const names = (own.length > 0 ? own : definitions).flatMap((it) => [...(it.permissions ?? []), ...(it.relations ?? [])]);
    lists.permissions.replaceChildren(...[...new Set(names.map((it) => it.name))].map((name) => h("option", { value: name })));
  };
  resource.addEventListener("input", permissions);
  permissions();
}

/** The page. */
export function explainPage(root) {
  const controls = {
    resource: input("resource", { placeholder: "document:roadmap", list: "types", required: true }),
    permission: input("permission", { placeholder: "view", list: "permissions", required: true }),
    subject: input("subject", { placeholder: "user:ada", list: "types", required: true }),
    mode: h("select", { id: "ask-mode", name: "mode" }, Object.entries(MODES).map(([value, { name }]) => h("option", { value }, name))),
    zookie: input("zookie", { placeholder: "AYy…" }),
    context: h("textarea", { id: "ask-context", name: "context", rows: 3, spellcheck: "false", placeholder: '{"ip": "10.0.0.1"}' }),
  };
  controls.mode.value = typed.mode;
  controls.context.value = typed.context;
  const lists = { types: h("datalist", { id: "types" }), permissions: h("datalist", { id: "permissions" }) };
  const outcome = h("section", { class: "outcome", "aria-label": "Answer" });
  const button = h("button", { type: "submit" }, "Explain");
  const zookie = field("zookie", "Zookie", controls.zookie);
  const showZookie = () => (zookie.hidden = !MODES[controls.mode.value].needsZookie);
  controls.mode.addEventListener("change", showZookie);

  const addContext = (names) => {
    let known = {};
    try {
      known = contextOf(controls.context.value).context ?? {};
    } catch {
      // What cannot be read is written anew.
    }
    for (const name of names) if (!Object.hasOwn(known, name)) known[name] = "";
    controls.context.value = JSON.stringify(known, null, 2);
    controls.context.focus();
  };
  let latest = 0;
  const submit = async (event) => {
    event.preventDefault();
    const mine = ++latest;
    for (const name of Object.keys(controls)) typed[name] = controls[name].value;
    button.disabled = true;
    let shown;
    try {
      shown = result(await call("/v1/permissions/check", question(typed)), addContext);
    } catch (error) {
      shown = h("p", { class: "notice bad", role: "alert" }, error.message, error.reason && h("code", { class: "reason" }, error.reason.replace("ERROR_REASON_", "")));
    }
    if (mine !== latest) return;
    button.disabled = false;
    outcome.replaceChildren(...[shown].flat().filter(Boolean));
  };
  root.append(
    h("h1", {}, "Explain a check"),
    h("p", { class: "lead" }, "May this subject do this to that object, and why?"),
    h(
      "form",
      { class: "ask", onsubmit: submit },
      field("resource", "Resource", controls.resource),
      field("permission", "Permission", controls.permission),
      field("subject", "Subject", controls.subject),
      field("mode", "Consistency", controls.mode),
      zookie,
      field("context", "Context", controls.context, "Values for caveats, as JSON"),
      button,
      Object.values(lists),
    ),
    outcome,
  );
  showZookie();
  offer(lists, controls.resource);
}
