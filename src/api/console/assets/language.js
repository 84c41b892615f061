// The schema language, as far as a reader needs it: words to colour, and what each permission is made of. The node has judged
// the text already; what is odd here is passed over.

const TOKEN =
  /(?<comment>\/\/[^\n]*|\/\*[^]*?(?:\*\/|$))|(?<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(?<name>[A-Za-z_][A-Za-z0-9_/]*)|(?<mark>->|\.\.\.|\S)|(?<space>\s+)/g;

const KEYWORDS = new Set(["definition", "partial", "caveat", "relation", "permission", "use", "import", "with", "and", "nil", "self"]);

/** The text in pieces: `{ kind, text, at }`. */
export function tokens(text) {
  return [...text.matchAll(TOKEN)].map((match) => {
    const [kind] = Object.entries(match.groups).find(([, found]) => found !== undefined);
    return { kind: kind === "name" && KEYWORDS.has(match[0]) ? "keyword" : kind, text: match[0], at: match.index };
  });
}

const begins = (token) => ["relation", "permission", "}", "..."].includes(token.text);

/** What an expression names: relations and permissions of its own definition, and those that arrows lead to. */
function uses(words) {
  const found = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at];
    if (word.kind !== "name") continue;
    const next = words[at + 1]?.text;
    if (next === "->") {
      found.push({ via: word.text, target: words[at + 2]?.text ?? "" });
      at += 2;
    } else if (next === "." && ["any", "all"].includes(words[at + 2]?.text)) {
      found.push({ via: word.text, target: words[at + 4]?.text ?? "" });
      at += 5;
    } else {
      found.push({ via: word.text });
    }
  }
  return found;
}

/** The permissions between one pair of braces, by name; `at` stands behind the opening one. */
function body(words, at) {
  const permissions = new Map();
  const included = [];
  while (at < words.length && words[at].text !== "}") {
    const { text } = words[at];
    if (text === "...") included.push(words[at + 1]?.text);
    if (text !== "permission") {
      at += 1;
      continue;
    }
    const name = words[at + 1]?.text;
    let from = at + 2;
    while (from < words.length && words[from].text !== "=" && !begins(words[from])) from += 1;
    let to = from + 1;
    while (to < words.length && !begins(words[to])) to += 1;
    permissions.set(name, words.slice(from + 1, to));
    at = to;
  }
  return { permissions, included, end: at };
}

/** Passes over a block in braces, whatever is in it. */
function pastBlock(words, at) {
  let depth = 0;
  for (; at < words.length; at++) {
    if (words[at].text === "{") depth += 1;
    if (words[at].text === "}" && --depth <= 0) return at + 1;
  }
  return at;
}

/** For `type#permission` its expression, and what that uses. */
export function expressions(text) {
  const words = tokens(text).filter(({ kind }) => kind !== "space" && kind !== "comment");
  const [definitions, partials] = [new Map(), new Map()];
  for (let at = 0; at < words.length; ) {
    const { text: word } = words[at];
    if ((word === "definition" || word === "partial") && words[at + 2]?.text === "{") {
      const found = body(words, at + 3);
      (word === "definition" ? definitions : partials).set(words[at + 1].text, found);
      at = found.end + 1;
    } else {
      at = word === "caveat" ? pastBlock(words, at) : at + 1;
    }
  }
  const all = new Map();
  const put = (type, { permissions, included }, left) => {
    for (const [name, expression] of permissions) all.set(`${type}#${name}`, { text: spell(expression), uses: uses(expression) });
    if (left > 0) for (const name of included) if (partials.has(name)) put(type, partials.get(name), left - 1);
  };
  for (const [type, found] of definitions) put(type, found, 16);
  return all;
}

/** An expression on one line. */
function spell(words) {
  let line = "";
  for (const { text } of words) {
    const tight = ["->", ".", ")", ","].includes(text) || /(->|\.|\()$/.test(line) || (text === "(" && /\.(any|all)$/.test(line));
    line += line && !tight ? ` ${text}` : text;
  }
  return line;
}
