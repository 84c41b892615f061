// How a check came about, as a tree: from the trace that comes with its answer.

import { h } from "./dom.js";

const DEEPEST = 400;
const GLYPHS = { yes: "✓", no: "✕", open: "?" };
const WORDS = { yes: "holds", no: "does not hold", open: "depends on what was not given" };

/** What a step came to: yes, no, or open. Where caveats had a say, their result stands beside it. */
function outcome(trace) {
  switch (trace.result) {
    case "PERMISSIONSHIP_HAS_PERMISSION":
      return "yes";
    case "PERMISSIONSHIP_NO_PERMISSION":
      return "no";
    default:
      switch (trace.caveatEvaluationInfo?.result) {
        case "RESULT_TRUE":
          return "yes";
        case "RESULT_FALSE":
          return "no";
        default:
          return "open";
      }
  }
}

/** The relationships behind a step, and other notes; they stand after the name of the product. */
function notes(trace) {
  const source = trace.source ?? "";
  const colon = source.indexOf(":");
  return colon < 0 ? [] : source.slice(colon + 1).split("; ").filter(Boolean);
}

function note(text) {
  const [, relationship, index, rest] = /^(\S+) at (\d+)(.*)$/.exec(text) ?? [];
  if (!relationship) return h("li", { class: "quiet" }, text);
  return h("li", {}, h("code", {}, relationship), h("span", { class: "tag", title: "the index of the log that wrote it" }, `at ${index}`), rest && h("span", { class: "quiet" }, rest));
}

function condition(info) {
  const missing = info.partialCaveatInfo?.missingRequiredContext ?? [];
  const context = info.context && Object.keys(info.context).length > 0 ? JSON.stringify(info.context) : "";
  return h(
    "div",
    { class: "condition" },
    h("span", { class: "label" }, "if ", info.caveatName && h("b", {}, info.caveatName)),
    h("code", {}, info.expression),
    context && h("span", { class: "quiet" }, "with ", h("code", {}, context)),
    missing.length > 0 && h("span", { class: "tag open" }, `needs ${missing.join(", ")}`),
  );
}

/** What a step only passes on is shown where it comes from. */
const sameCondition = (one, other) => Boolean(one) && one.expression === other.expression && JSON.stringify(one.context) === JSON.stringify(other.context);

function step(trace, depth) {
  const came = outcome(trace);
  const resource = trace.resource ?? { objectType: "", objectId: "" };
  const below = depth < DEEPEST ? (trace.subProblems?.traces ?? []) : [];
  const said = notes(trace).filter((text) => text !== "excludes");
  const info = trace.caveatEvaluationInfo;
  const excludes = notes(trace).includes("excludes");
  const name = [h("span", { class: `glyph ${came}`, role: "img", "aria-label": WORDS[came] }, GLYPHS[came]), h("code", { class: "question" }, `${resource.objectType}:${resource.objectId}`, h("b", {}, `#${trace.permission}`)), excludes && h("span", { class: came === "no" ? "tag" : "tag no" }, came === "no" ? "would take away" : "takes away")];
  const body = [
    said.length > 0 && h("ul", { class: "notes" }, said.map(note)),
    info && (below.some((one) => sameCondition(one.caveatEvaluationInfo, info)) ? undefined : condition(info)),
    below.length > 0 && h("ul", { class: "steps" }, below.map((one) => h("li", {}, step(one, depth + 1)))),
  ].filter(Boolean);
  if (body.length === 0) return h("div", { class: `step leaf ${came}` }, name);
  return h("details", { class: `step ${came}`, open: true }, h("summary", {}, name), body);
}

/** The whole tree. */
export const proofTree = (trace) => h("div", { class: "proof" }, step(trace, 0));
