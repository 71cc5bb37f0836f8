"use strict";
// Groups of runs with equal settings: one row each, with the means over its runs. To the grid a group
// is a row like any other; opening it shows the rows of its runs.
window.htga = window.htga || {};

htga.groups = (() => {
  const NUMBERS = ["step", "alpha_bar", "gamma", "grad_norm", "loss"];
  const NONE = "(none)";

  const setting = (row, name) =>
    (row.config || {})[name] ?? (["group", "project", "state"].includes(name) ? row[name] : "") ?? "";

  const labelOf = (row, by) => by.map((name) => `${name}=${setting(row, name) || NONE}`).join(", ");

  const idOf = (row, by) => `group ${JSON.stringify(by.map((name) => setting(row, name)))}`;

  const summary = (values) => {
    const finite = values.filter((value) => Number.isFinite(value));
    if (!finite.length) return [null, null];
    const mean = finite.reduce((sum, value) => sum + value, 0) / finite.length;
    const squares = finite.reduce((sum, value) => sum + (value - mean) ** 2, 0);
    return [mean, finite.length > 1 ? Math.sqrt(squares / (finite.length - 1)) : null];
  };

  // The settings that all runs share.
  const shared = ([first, ...others]) =>
    Object.fromEntries(
      Object.entries(first).filter(([name, value]) => others.every((other) => other[name] === value)),
    );

  // A row for each group of `rows`, which are runs.
  const rowsOf = (rows, by) => {
    const groups = Map.groupBy(rows, (row) => idOf(row, by));
    return [...groups].map(([id, members]) => {
      const made = { id, name: labelOf(members[0], by), members: members.length, sd: {} };
      made.config = shared(members.map(({ config }) => config || {}));
      for (const key of NUMBERS)
        [made[key], made.sd[key]] = summary(members.map((row) => row[key]));
      made.started = Math.max(...members.map((row) => row.started));
      return made;
    });
  };

  return { rowsOf, idOf };
})();
