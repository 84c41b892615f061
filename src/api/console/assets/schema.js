// The page of the schema: its definitions as boxes with their relations and permissions, what leads where, and the text.

import { call } from "./api.js";
import { h, s } from "./dom.js";
import { expressions, tokens } from "./language.js";
import { layered } from "./layout.js";

const FONT = "12.5px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace";
const HEAD = 34;
const ROW = 25;
const SIDE = 14;
const MARGIN = 40;
const GAP_X = 92;
const GAP_Y = 34;
const LONGEST = 46;
const SMALLEST = 0.72;
const LONG_TEXT = 200_000;

const shorten = (text) => (text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text);

function subjectText(it) {
  const caveat = it.optionalCaveatName ? ` with ${it.optionalCaveatName}` : "";
  const relation = it.optionalRelationName && it.optionalRelationName !== "..." ? `#${it.optionalRelationName}` : "";
  return `${it.subjectDefinitionName}${it.isPublicWildcard ? ":*" : relation}${caveat}`;
}

/** Boxes with rows, and the edges between them: what a relation may hold, and what a permission is made of. */
export function graphOf(schema, text) {
  const made = expressions(text);
  const boxes = (schema.definitions ?? []).map(({ name, comment, relations, permissions }) => ({
    id: name,
    comment,
    rows: [
      ...(relations ?? []).map((it) => ({ id: `${name}#${it.name}`, name: it.name, kind: "relation", says: (it.subjectTypes ?? []).map(subjectText).join(" | "), subjects: it.subjectTypes ?? [] })),
      ...(permissions ?? []).map((it) => ({ id: `${name}#${it.name}`, name: it.name, kind: "permission", says: made.get(`${name}#${it.name}`)?.text ?? "", uses: made.get(`${name}#${it.name}`)?.uses ?? [] })),
    ],
  }));
  const rows = new Map(boxes.flatMap((box) => box.rows.map((row) => [row.id, { ...row, box: box.id }])));
  const edges = new Map();
  const add = (from, to, kind) => edges.set(`${from} ${to} ${kind}`, { from, to, kind });
  for (const row of rows.values()) {
    for (const it of row.subjects ?? []) {
      const precise = `${it.subjectDefinitionName}#${it.optionalRelationName}`;
      add(row.id, rows.has(precise) ? precise : it.subjectDefinitionName, "holds");
    }
    for (const { via, target } of row.uses ?? []) {
      const own = `${row.box}#${via}`;
      if (rows.has(own)) add(row.id, own, "uses");
      for (const it of target ? (rows.get(own)?.subjects ?? []) : []) {
        const far = `${it.subjectDefinitionName}#${target}`;
        if (rows.has(far)) add(row.id, far, "arrow");
      }
    }
  }
  return { boxes, rows, edges: [...edges.values()] };
}

function measure(boxes) {
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = FONT;
  const width = (text) => pen.measureText(text).width;
  for (const box of boxes) {
    const widest = Math.max(width(box.id) * 1.15, ...box.rows.map((row) => width(row.name) + width(shorten(row.says)) + 3 * SIDE));
    box.w = Math.ceil(widest + 2 * SIDE);
    box.h = HEAD + Math.max(box.rows.length, 0) * ROW + (box.rows.length > 0 ? 8 : 0);
  }
}

/** The way of an edge between two points that lie at sides of boxes. */
function way([x, y, side], [tx, ty, other], lanes = []) {
  if (side === other) {
    const pull = 16 + Math.min(34, Math.abs(ty - y) / 3);
    return `M${x},${y}C${x + side * pull},${y} ${tx + other * pull},${ty} ${tx},${ty}`;
  }
  let [d, at, height] = [`M${x},${y}`, x, y];
  const bend = (to, y) => {
    const pull = side * Math.max(30, Math.abs(to - at) / 2.2);
    d += `C${at + pull},${height} ${to - pull},${y} ${to},${y}`;
    [at, height] = [to, y];
  };
  for (const lane of lanes) {
    bend(lane.left, lane.y);
    d += `H${(at = lane.right)}`;
  }
  bend(tx, ty);
  return d;
}

function draw(graph) {
  const { boxes, rows, edges } = graph;
  measure(boxes);
  const boxOf = (end) => rows.get(end)?.box ?? end;
  const plan = layered(boxes, edges.filter((edge) => edge.kind === "holds").map((edge) => [boxOf(edge.from), boxOf(edge.to)]), { gapX: GAP_X, gapY: GAP_Y });
  const heights = new Map(boxes.flatMap((box) => [[box.id, HEAD / 2], ...box.rows.map((row, at) => [row.id, HEAD + at * ROW + ROW / 2 + 2])]));
  const point = (end, side) => {
    const it = plan.places.get(boxOf(end));
    return [MARGIN + it.x + (side > 0 ? it.w : 0), MARGIN + it.y + heights.get(end), side];
  };
  const path = ({ from, to, kind }) => {
    if (from === to) {
      const [x, y] = point(from, 1);
      return way([x, y - 6, 1], [x, y + 6, 1]);
    }
    if (kind === "uses") return way(point(from, -1), point(to, -1));
    const [a, b] = [plan.places.get(boxOf(from)), plan.places.get(boxOf(to))];
    if (a === b) return way(point(from, 1), point(to, 1));
    if (a.x === b.x) return way(point(from, 1), point(to, 1));
    const lanes = (plan.lanes.get(`${boxOf(from)} ${boxOf(to)}`) ?? []).map(({ left, right, y, h }) => ({ left: MARGIN + left, right: MARGIN + right, y: MARGIN + y + h / 2 }));
    return a.x < b.x ? way(point(from, 1), point(to, -1), lanes) : way(point(from, -1), point(to, 1));
  };
  const lines = edges.map((edge) => s("path", { class: `edge ${edge.kind}`, d: path(edge), "marker-end": `url(#${edge.kind})`, "data-from": edge.from, "data-to": edge.to }));
  const drawn = boxes.map((box) => drawBox(box, plan.places.get(box.id)));
  const marker = (id) => s("marker", { id, class: `tip ${id}`, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" }, s("path", { d: "M0,0.8L7,4L0,7.2z" }));
  const [width, height] = [plan.width + 2 * MARGIN, plan.height + 2 * MARGIN];
  return s(
    "svg",
    { class: "graph", viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": "Graph of the schema" },
    s("defs", {}, ["holds", "uses", "arrow"].map(marker)),
    lines,
    drawn,
  );
}

function drawBox(box, { x, y, w, h: height }) {
  const row = (it, at) =>
    s(
      "g",
      { class: `row ${it.kind}`, "data-row": it.id, tabindex: 0, role: "button", "aria-label": `${it.kind} ${it.name} of ${box.id}: ${it.says}`, transform: `translate(0 ${HEAD + at * ROW + 2})` },
      s("rect", { x: 4, width: w - 8, height: ROW - 2, rx: 5 }),
      s("text", { x: SIDE, y: 16 }, it.name),
      s("text", { class: "says", x: w - SIDE, y: 16, "text-anchor": "end" }, shorten(it.says)),
    );
  return s(
    "g",
    { class: "box", "data-definition": box.id, transform: `translate(${MARGIN + x} ${MARGIN + y})` },
    s("rect", { class: "frame", width: w, height, rx: 9 }),
    s("text", { class: "title", x: SIDE, y: 22 }, box.id),
    box.comment && s("title", {}, box.comment),
    box.rows.length > 0 && s("line", { x1: 0, x2: w, y1: HEAD - 2, y2: HEAD - 2 }),
    box.rows.map(row),
  );
}

/** Everything that a row rests on, and what uses it. */
function kin(graph, id) {
  const found = new Set([id]);
  const lit = new Set();
  const waiting = [id];
  while (waiting.length > 0) {
    const at = waiting.pop();
    for (const edge of graph.edges) {
      if (edge.from !== at) continue;
      lit.add(edge);
      if (!found.has(edge.to)) {
        found.add(edge.to);
        waiting.push(edge.to);
      }
    }
  }
  for (const edge of graph.edges) {
    if (edge.to !== id) continue;
    lit.add(edge);
    found.add(edge.from);
  }
  return { found, lit };
}

function detail(graph, id) {
  const row = graph.rows.get(id);
  const users = [...new Set(graph.edges.filter((edge) => edge.to === id).map((edge) => edge.from))];
  return h(
    "div",
    {},
    h("p", {}, h("code", { class: "big" }, id), h("span", { class: "quiet" }, ` ${row.kind}`)),
    h("p", {}, h("code", {}, row.kind === "permission" ? `= ${row.says}` : `: ${row.says}`)),
    users.length > 0 && h("p", { class: "quiet" }, "used by ", users.map((it, at) => [at > 0 ? ", " : "", h("code", {}, it)])),
  );
}

/** Lets rows be chosen, by pointer or keyboard. */
function enliven(svg, graph, panel) {
  const choose = (id) => {
    svg.classList.toggle("chosen", Boolean(id));
    const { found, lit } = id ? kin(graph, id) : { found: new Set(), lit: new Set() };
    const lines = new Set([...lit].map((edge) => `${edge.from} ${edge.to}`));
    for (const row of svg.querySelectorAll(".row")) {
      row.classList.toggle("lit", found.has(row.dataset.row));
      row.setAttribute("aria-pressed", String(row.dataset.row === id));
    }
    for (const box of svg.querySelectorAll(".box")) box.classList.toggle("lit", found.has(box.dataset.definition));
    for (const edge of svg.querySelectorAll(".edge")) edge.classList.toggle("lit", lines.has(`${edge.dataset.from} ${edge.dataset.to}`));
    panel.replaceChildren(id ? detail(graph, id) : h("p", { class: "quiet" }, "Choose a relation or permission to see what it rests on and what uses it."));
  };
  let chosen;
  const toggle = (target) => {
    const id = target.closest?.(".row")?.dataset.row;
    chosen = id === chosen ? undefined : id;
    choose(chosen);
  };
  svg.addEventListener("click", (event) => toggle(event.target));
  svg.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      toggle(event.target);
    } else if (event.key === "Escape") {
      chosen = undefined;
      choose(undefined);
    }
  });
  choose(undefined);
}

/** Makes a drawing smaller that is a little too wide; the rest is for scrolling. */
function fit(svg, width) {
  const { width: natural, height } = svg.viewBox.baseVal;
  const scale = Math.max(SMALLEST, Math.min(1, (width - 2) / natural));
  svg.setAttribute("width", natural * scale);
  svg.setAttribute("height", height * scale);
}

/** The text; a very long one without colours. */
function coloured(text) {
  const piece = (it) => (it.kind === "space" ? it.text : h("span", { class: it.kind }, it.text));
  const pieces = text.length > LONG_TEXT ? text : tokens(text).map(piece);
  return h("pre", { class: "source", tabindex: 0, "aria-label": "Text of the schema" }, h("code", {}, pieces));
}

const MEANINGS = { holds: "a relation holds", uses: "a permission is made of", arrow: "reached by an arrow" };
const legend = () =>
  h("p", { class: "legend quiet small" }, Object.entries(MEANINGS).map(([kind, text]) => h("span", {}, h("span", { class: `line ${kind}` }), text)));

/** The page. */
export function schemaPage(root) {
  const body = h("div", {}, h("p", { class: "quiet" }, "Reading the schema…"));
  root.classList.add("broad");
  root.append(h("h1", {}, "Schema"), body);
  const abort = new AbortController();
  const load = async () => {
    const [schema, { schemaText }] = await Promise.all(["/v1/schema/reflectschema", "/v1/schema/read"].map((path) => call(path, {}, { signal: abort.signal })));
    const graph = graphOf(schema, schemaText);
    const panel = h("section", { class: "panel", "aria-live": "polite", "aria-label": "Chosen" });
    const svg = draw(graph);
    enliven(svg, graph, panel);
    fit(svg, body.clientWidth);
    const caveats = schema.caveats ?? [];
    body.replaceChildren(
      h("p", { class: "lead" }, `${graph.boxes.length} definitions, ${graph.rows.size} relations and permissions${caveats.length > 0 ? `, ${caveats.length} ${caveats.length === 1 ? "caveat" : "caveats"}` : ""}.`),
      h("div", { class: "canvas" }, svg),
      legend(),
      panel,
      h("h2", {}, "Text"),
      coloured(schemaText),
    );
  };
  load().catch((error) => {
    if (error.name === "AbortError") return;
    const none = error.http === 404;
    body.replaceChildren(h("p", { class: none ? "notice" : "notice bad", role: "alert" }, none ? "There is no schema yet." : error.message));
  });
  return () => abort.abort();
}
