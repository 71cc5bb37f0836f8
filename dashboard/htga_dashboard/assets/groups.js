"use strict";
// Runs of one setting together: a row for each group, with the means of its runs, which it shows
// when it is opened. The grid knows nothing of groups; they are rows like others.
window.htga = window.htga || {};

htga.groups = (() => {
  const NUMBERS = ["step", "alpha_bar", "gamma", "grad_norm", "loss"];
  const NONE = "(none)";

  const setting = (row, name) =>
    (row.config || {})[name] ?? (["group", "project", "state"].includes(name) ? row[name] : "") ?? "";

  const labelOf = (row, by) => by.map((name) => `${name}=${setting(row, name) || NONE}`).join(", ");

  const idOf = (row, by) => `group ${JSON.stringify(by.map((name) => setting(row, name)))}`;

  const summary = (values) => {
    const there = values.filter((value) => Number.isFinite(value));
    if (!there.length) return [null, null];
    const mean = there.reduce((sum, value) => sum + value, 0) / there.length;
    const squares = there.reduce((sum, value) => sum + (value - mean) ** 2, 0);
    return [mean, there.length > 1 ? Math.sqrt(squares / (there.length - 1)) : null];
  };

  // The settings on which all agree.
  const common = ([first, ...others]) =>
    Object.fromEntries(
      Object.entries(first).filter(([name, value]) => others.every((other) => other[name] === value)),
    );

  // A row for each group of `rows`, which are runs.
  const rowsOf = (rows, by) => {
    const together = Map.groupBy(rows, (row) => idOf(row, by));
    return [...together].map(([id, members]) => {
      const made = { id, name: labelOf(members[0], by), members: members.length, sd: {} };
      made.config = common(members.map(({ config }) => config || {}));
      for (const key of NUMBERS)
        [made[key], made.sd[key]] = summary(members.map((row) => row[key]));
      made.started = Math.max(...members.map((row) => row.started));
      return made;
    });
  };

  return { rowsOf, idOf };
})();
