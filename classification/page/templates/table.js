"use strict";
// The table of cases: sorting, filtering, keys; and the colours of the page. Text enters the page as text only.

const byId = (id) => document.getElementById(id);
const { names, cases, markers, fine } = JSON.parse(byId("data").textContent);
const mostEntropy = Math.log(names.length);
const body = byId("table").tBodies[0];
const rows = Array.from(body.rows);  // by the case's number, whatever order they stand in
const links = rows.map((row) => row.querySelector("th a"));
const filters = byId("filters");
let order = rows.map((_, i) => i);  // the cases as sorted
let shown = order.slice();  // those of them that the filters let through
const STEP = 200;  // rows in the table at a time: more come as it is scrolled, so that thousands are no burden
let room = STEP;

for (const one of cases) {
  const won = one.votes ? names.indexOf(one.predicted) : -1;
  one.ctr = one.markers.ctr ?? null;
  one.margin = one.markers.margin ?? null;
  one.probability = won < 0 ? null : one.p[won];
  one.agreement = won < 0 ? null : one.votes[won] / one.votes.reduce((a, b) => a + b, 0);
  one.outcome = one.status !== "ok" ? one.status : one.right === null ? "unlabelled" : one.right ? "right" : "wrong";
  one.text = [one.case, one.folder, one.patient, one.view].join("\n").toLowerCase();
}

const collator = new Intl.Collator(undefined, { numeric: true });
const ranks = { mask: ["flagged", "unknown", "ok"], right: [false, true] };

function sortBy(button) {
  const key = button.dataset.sort;
  const head = button.closest("th");
  const before = head.getAttribute("aria-sort");
  const down = before ? before === "ascending" : button.dataset.first === "down";
  for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const values = cases.map((one) => (ranks[key] ? ranks[key].indexOf(one[key]) : one[key]));
  const unknown = (value) => value === null || value === "" || value === -1;
  const compare = (a, b) => (typeof a === "string" ? collator.compare(a, b) : a - b);
  order = cases.map((_, i) => i).sort((a, b) => {
    if (unknown(values[a]) || unknown(values[b])) return unknown(values[a]) - unknown(values[b]) || a - b;  // last
    return (down ? -1 : 1) * compare(values[a], values[b]) || a - b;
  });
  filter();
}

function passes(one, wanted) {
  const share = one.vote_entropy === null ? null : one.vote_entropy / mostEntropy;
  const limit = Number(wanted.entropy);
  return (
    ["label", "predicted", "outcome", "mask"].every((name) => !wanted[name] || one[name] === wanted[name]) &&
    (!wanted.entropy || (share !== null && (limit < 0 ? share < -limit : share >= limit))) &&
    wanted.words.every((word) => one.text.includes(word))
  );
}

function filter() {
  const wanted = { words: byId("search").value.toLowerCase().split(/\s+/).filter(Boolean) };
  for (const select of filters.querySelectorAll("select")) wanted[select.name] = select.value;
  shown = order.filter((i) => passes(cases[i], wanted));
  fill(STEP);
  const all = shown.length === cases.length;
  byId("count").textContent = (all ? "" : `${shown.length} of `) + `${cases.length} case${cases.length === 1 ? "" : "s"}`;
  byId("none").hidden = shown.length > 0;
}

function fill(count) {
  body.replaceChildren();
  room = 0;
  grow(count);
}

function grow(count) {
  body.append(...shown.slice(room, room + count).map((i) => rows[i]));
  room += count;
  byId("more").hidden = shown.length <= room;
  byId("more").textContent = `Show more (${shown.length - room} left)`;
}

// Set some filters and clear the others, then show the table: from a cell of the confusion matrix, for instance.
function jump(wanted) {
  for (const field of filters.querySelectorAll("select, input")) field.value = wanted[field.name] || "";
  filter();
  byId("cases").scrollIntoView({ block: "start" });
  links[shown[0]]?.focus({ preventScroll: true });
}

filters.hidden = false;
filters.addEventListener("input", filter);
filters.addEventListener("submit", (event) => event.preventDefault());
filters.addEventListener("reset", () => setTimeout(filter));  // once the fields are empty
for (const button of document.querySelectorAll("[data-sort]")) button.addEventListener("click", () => sortBy(button));
for (const button of document.querySelectorAll("[data-filter]"))
  button.addEventListener("click", () => jump({ [button.dataset.filter]: button.dataset.value }));
for (const button of document.querySelectorAll(".confusion button"))
  button.addEventListener("click", () => jump({ label: button.dataset.label, predicted: button.dataset.predicted }));

body.addEventListener("click", (event) => {
  if (!event.target.closest("a") && !String(getSelection())) event.target.closest("tr").querySelector("a").click();
});
body.addEventListener("keydown", (event) => {
  const at = shown.indexOf(Number(event.target.closest("tr").dataset.i));
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: shown.length - 1 }[event.key];
  if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  links[shown[to]]?.focus();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.matches("input, select") || byId("view").open) return;
  event.preventDefault();
  byId("search").focus();
});

byId("more").addEventListener("click", () => {
  const first = shown[room];
  grow(STEP);
  links[first].focus();
});
const near = new IntersectionObserver((seen) => seen.at(-1).isIntersecting && grow(STEP), { rootMargin: "800px" });
near.observe(byId("more"));
addEventListener("beforeprint", () => fill(shown.length));

const THEMES = ["auto", "light", "dark"];

function paint(theme) {
  document.documentElement.dataset.theme = theme;
  byId("theme").querySelector("span").textContent = theme;
}

// A browser may keep nothing for a page from disk, and says so by throwing: the page is then as the system has it.
function remembered(theme) {
  try {
    if (theme) localStorage.setItem("report-theme", theme);
    return localStorage.getItem("report-theme");
  } catch {
    return theme;
  }
}

const kept = remembered();
paint(THEMES.includes(kept) ? kept : "auto");
byId("theme").addEventListener("click", () => {
  const theme = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length];
  paint(theme);
  remembered(theme);
});
filter();  // a browser that goes back keeps what stood in the fields
byId("table").classList.add("ready");
