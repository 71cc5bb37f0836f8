"use strict";
// What is typed into the search of the table of runs. Every word must hold:
//   maple "two words"         anywhere in the run
//   state:running tag:demo    part of a value or setting
//   lr=0.1 method!=sgd        the whole of it
//   lr<0.01 alpha_bar>=1.5    a number
//   -tag:old                  not
window.htga = window.htga || {};

htga.filter = (() => {
  const TERM = /(-?)(?:([^\s"':=<>!]+)(!=|<=|>=|[:=<>]))?("[^"]*"?|[^\s"]+)/g;

  const COMPARE = {
    "<": (a, b) => a < b,
    ">": (a, b) => a > b,
    "<=": (a, b) => a <= b,
    ">=": (a, b) => a >= b,
  };

  const parse = (text) =>
    [...text.matchAll(TERM)].map(([, not, key, sign, said]) => ({
      not: not === "-",
      key,
      sign,
      said: said.replaceAll('"', "").toLowerCase(),
    }));

  const ALIASES = { tag: "tags", run: "name" };
  const HIDDEN = new Set(["id", "config", "notes", "started", "members"]);

  // All values that a run has under a name: its own, or a setting, by its path or its last part.
  const values = (row, key) => {
    const own = ALIASES[key] || key;
    if (own in row && !HIDDEN.has(own)) return [row[own]];
    const settings = Object.entries(row.config || {});
    return settings
      .filter(([name]) => name.toLowerCase() === key || name.toLowerCase().endsWith(`.${key}`))
      .map(([, value]) => value);
  };

  const lower = (value) => String(value ?? "").toLowerCase();

  const anywhere = (row) =>
    [row.id, row.notes, row.name, row.project, row.state, row.group, row.tags]
      .concat(Object.entries(row.config || {}).map(([name, value]) => `${name}=${value}`))
      .map(lower);

  const same = (value, said) =>
    lower(value) === said || (said !== "" && value !== "" && Number(value) === Number(said));

  const holds = ({ key, sign, said }, row) => {
    if (!key) return anywhere(row).some((text) => text.includes(said));
    const found = values(row, key.toLowerCase()).filter((value) => value !== null);
    if (sign === ":") return found.some((value) => lower(value).includes(said));
    if (sign === "=") return found.some((value) => same(value, said));
    if (sign === "!=") return !found.some((value) => same(value, said));
    return found.some((value) => value !== "" && COMPARE[sign](Number(value), Number(said)));
  };

  return {
    parse,
    passes: (terms, row) => terms.every((term) => holds(term, row) !== term.not),
    // The first name in a search that no run has anything under.
    unknown: (terms, rows) =>
      terms.map(({ key }) => key).find((key) => key && !rows.some((row) => values(row, key.toLowerCase()).length)),
  };
})();
