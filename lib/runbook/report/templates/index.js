"use strict";
// Filters the list. Without it the page shows every run; what is looked for stands in the address after #.
(() => {
  const form = document.getElementById("filter"), said = document.getElementById("said");
  const fields = [...form.elements].filter(field => field.name), parts = [...document.querySelectorAll("details.part")];
  const groups = [...document.querySelectorAll(".runs tbody")], folded = parts.map(part => part.open);
  const IN_SIGHT = 200, count = new Intl.NumberFormat("en");
  let rows = null;
  const all = () => rows ??= [...document.querySelectorAll("tr[data-t]")].map(row => ({row, words: row.textContent.toLowerCase()}));

  function wanted() {
    const given = new URLSearchParams(location.hash.slice(1));
    return Object.fromEntries(fields.map(field => [field.name, (given.get(field.name) ?? "").trim()]));
  }
  function fits({row, words}, want, sought) {
    const {r, e, o, t} = row.dataset;
    return (!want.runbook || r === want.runbook) && (!want.environment || e === want.environment)
      && (!want.outcome || o === want.outcome || (want.outcome === "needs a person" && "n" in row.dataset))
      && (!want.from || t >= want.from) && (!want.to || t <= want.to) && sought.every(word => words.includes(word));
  }
  function show() {
    const want = wanted(), active = Object.values(want).some(Boolean);
    fill(want);
    document.body.classList.toggle("filtered", active);
    if (!active && !rows) return;
    const sought = want.words.toLowerCase().split(/\s+/).filter(Boolean), found = new Map();
    let total = 0;
    for (const one of all()) {
      const fit = !active || fits(one, want, sought);
      one.row.hidden = !fit;
      if (fit) { total += 1; found.set(one.row.parentNode, (found.get(one.row.parentNode) ?? 0) + 1); }
    }
    for (const group of groups) group.hidden = !found.has(group);
    let seen = 0;
    for (const table of document.querySelectorAll(".runs")) {
      const here = [...table.tBodies].reduce((sum, group) => sum + (found.get(group) ?? 0), 0), part = table.closest("details.part");
      table.hidden = !here;
      if (part) {
        part.hidden = !here;
        part.querySelector(".found").textContent = active ? `${count.format(here)} found` : "";
        part.open = active ? here > 0 && seen < IN_SIGHT : folded[parts.indexOf(part)];
      }
      seen += here;
    }
    said.textContent = active ? `${count.format(total)} of ${count.format(all().length)} runs` : "";
  }
  function fill(want) {
    for (const field of fields) {
      if (field.localName === "select" && ![...field.options].some(option => option.value === want[field.name]))
        field.add(new Option(want[field.name]));
      if (field.value.trim() !== want[field.name]) field.value = want[field.name];
    }
  }
  function typed() {
    const given = new URLSearchParams(fields.map(field => [field.name, field.value.trim()]).filter(([, value]) => value));
    history.replaceState(null, "", `#${given}`);
    show();
  }
  for (const name of document.querySelectorAll("[data-pick]")) {
    const link = document.createElement("a");
    link.href = `#${name.dataset.pick}`;
    link.append(...name.childNodes);
    name.append(link);
  }
  form.addEventListener("input", typed);
  form.addEventListener("submit", event => event.preventDefault());
  form.addEventListener("reset", event => { event.preventDefault(); for (const field of fields) field.value = ""; typed(); });
  addEventListener("hashchange", show);
  form.hidden = false;
  show();
  if (document.body.classList.contains("filtered")) form.scrollIntoView();
})();
