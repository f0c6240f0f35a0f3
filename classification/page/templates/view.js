// The view of one case: image, outlines and map, votes, biomarkers; forward and back in the table's order. The address
// behind # says which case is open, so that a link or the browser's Back leads to it.

const view = byId("view");
const frame = byId("frame");
const map = byId("map");
const opacity = byId("opacity");
let current = -1;
let before = 70;  // opacity to return to when the map is shown again

function make(tag, text, kind) {
  const made = document.createElement(tag);
  if (text !== undefined && text !== null) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function svg(tag, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

// Names are whatever files are called: each is set apart, so that one that runs right to left turns nothing else over.
const named = (text) => make("bdi", text);
const digits = (value, count) => (value === null ? "–" : value.toFixed(count));
const shortest = (value) => (value === 0 ? "0" : Math.abs(value) >= 1000 ? value.toFixed(0) : value.toPrecision(3));
const opener = links.map((link) => link.hash);

function follow() {
  const i = opener.indexOf(location.hash);
  if (i >= 0) show(i);
  else if (view.open) view.close();
}

function show(i) {
  const held = byId(`picture-${i}`);
  if (!held || (document.readyState === "loading" && !held.nextElementSibling)) {  // the page is still being read
    document.addEventListener("DOMContentLoaded", follow, { once: true });
    return;
  }
  current = i;
  const one = cases[i];
  byId("view-title").replaceChildren(named(one.case));
  byId("view-about").replaceChildren(named(one.folder), ...(one.patient ? [" · patient ", named(one.patient)] : []), one.view && ` · ${one.view}`);
  showPlace();
  showPictures(one, JSON.parse(held.textContent));
  showVerdict(one);
  showVotes(one);
  byId("view-mask").hidden = one.mask === "unknown";
  byId("mask-told").replaceChildren(make("span", one.mask, `badge ${one.mask === "ok" ? "good" : "warn"}`), " ", one.mask_reason);
  showMarkers(one);
  if (!view.open) {
    view.showModal();
    byId("view-title").focus();
  }
  view.scrollTop = 0;
}

function showPlace() {
  const at = shown.indexOf(current);
  byId("place").textContent = at < 0 ? `one of ${cases.length}` : `${at + 1} of ${shown.length}`;
  byId("previous").disabled = at < 1 && at !== -1;
  byId("next").disabled = at === shown.length - 1;
}

function showPictures(one, picture) {
  const missing = !picture.radiograph;
  frame.hidden = missing;
  byId("told").replaceChildren(...picture.told.map((sentence) => make("p", sentence, "told")));
  for (const id of ["outline-controls", "map-controls", "heat"]) byId(id).hidden = missing;
  if (missing) return;
  frame.style.setProperty("--ratio", picture.width / picture.height);
  byId("radiograph").src = picture.radiograph;
  byId("radiograph").alt = `Radiograph of ${one.case}`;
  const outlines = byId("outlines");
  outlines.setAttribute("viewBox", `0 0 ${fine * picture.width} ${fine * picture.height}`);
  outlines.setAttribute("preserveAspectRatio", "none");
  outlines.replaceChildren(...picture.outlines.map(([organ, path]) => svg("path", { d: path, class: `organ o-${organ}` })));
  const told = { left: "left lung", right: "right lung" };
  byId("organs").replaceChildren(...picture.outlines.map(([organ]) => make("span", told[organ] || organ, `organ o-${organ}`)));
  byId("outline-controls").hidden = !picture.outlines.length;
  const without = !picture.maps.length;
  byId("map-controls").hidden = byId("heat").hidden = map.hidden = without;
  if (without) return map.removeAttribute("src");
  const choice = byId("map-class");
  const wanted = choice.value;
  choice.replaceChildren(...picture.maps.map((held) => new Option(held.name + (held.name === one.predicted ? " (predicted)" : ""), held.name)));
  const kept = picture.maps.find((held) => held.name === (choice.dataset.chosen ? wanted : one.predicted));
  choice.value = (kept || picture.maps[0]).name;
  choice.picture = picture;
  showMap();
}

function showMap() {
  const choice = byId("map-class");
  const held = choice.picture.maps[choice.selectedIndex];
  const most = Math.max(...choice.picture.maps.map((one) => one.peak));
  map.src = held.address;
  byId("heat").classList.toggle("empty", most === 0);
  byId("peak").textContent = most === 0 ? "the map is zero everywhere" : shortest(most) + (held.peak < most ? ` (this class: ${shortest(held.peak)})` : "");
}

function showVerdict(one) {
  const verdict = byId("verdict");
  if (one.status !== "ok") return verdict.replaceChildren(make("span", one.status, "badge bad"), " ", named(one.reason));
  if (!one.votes) return verdict.replaceChildren();
  const parts = [make("i", "", `swatch k${names.indexOf(one.predicted) % 6}`), make("b", one.predicted)];
  if (one.right !== null) {
    parts.push(make("span", one.right ? "✓ right" : "✗ wrong", one.right ? "right" : "wrong"));
    if (!one.right) parts.push(make("span", "true class:", "quiet"), named(one.label));
  }
  verdict.replaceChildren(...parts);
}

function showVotes(one) {
  byId("view-votes").hidden = !one.votes;
  if (!one.votes) return;
  const total = one.votes.reduce((a, b) => a + b, 0);
  byId("vote-bar").replaceChildren(...one.votes.map((count, c) => {
    const part = make("i", "", `k${c % 6}`);
    part.style.width = `${(100 * count) / total}%`;
    part.title = `${names[c]}: ${count}`;
    return part;
  }));
  const table = byId("vote-table");
  const head = make("tr");
  for (const [text, kind] of [["Class"], ["Votes", "number"], ["p", "number"]]) {
    const cell = make("th", text, kind);
    cell.scope = "col";
    head.append(cell);
  }
  table.replaceChildren(head, ...names.map((name, c) => {
    const row = make("tr", null, name === one.predicted ? "won" : "");
    const first = make("th");
    first.scope = "row";
    first.append(make("i", "", `swatch k${c % 6}`), named(name));
    row.append(first, make("td", one.votes[c], "number"), make("td", digits(one.p[c], 3), "number"));
    return row;
  }));
  const error = one.standard_error === null ? "" : `standard error of p ${digits(one.standard_error, 3)}, `;
  const covered = one.coverage === null ? "" : `, ${Math.round(100 * one.coverage)} % of the lung covered`;
  const may = cases.some((other) => other.set) ? `Set: ${one.set.replaceAll("|", ", ") || "none"}. ` : "";
  byId("vote-told").textContent = may +
    (total === 1 ? "The network saw the image whole, once." : `Entropy ${digits(one.vote_entropy, 2)}, ${error}${total} votes${covered}.`);
}

function showMarkers(one) {
  const known = markers.filter(({ name }) => one.markers[name] !== undefined && one.markers[name] !== null);
  byId("view-markers").hidden = !known.length;
  byId("marker-table").replaceChildren(...known.map(({ name, label, at }) => {
    const row = make("tr");
    const first = make("th", label);
    first.scope = "row";
    const cell = make("td", null, "spread");
    cell.append(spread(at, one.markers[name]));
    row.append(first, make("td", shortest(one.markers[name]), "number"), cell);
    return row;
  }));
}

// at: the percentiles 0, 5, 25, 50, 75, 95, 100 of all cases of the page
function spread(at, value) {
  const x = (v) => (at[6] > at[0] ? 2 + (96 * (v - at[0])) / (at[6] - at[0]) : 50).toFixed(1);
  const drawn = svg("svg", { viewBox: "0 0 100 12", preserveAspectRatio: "none", "aria-hidden": "true" });
  drawn.append(
    svg("path", { class: "rail", d: `M${x(at[1])} 6H${x(at[5])}` }),
    svg("rect", { class: "box", x: x(at[2]), width: Math.max(0.5, x(at[4]) - x(at[2])), y: 3, height: 6 }),
    svg("path", { class: "mark", d: `M${x(value)} 0V12` }),
  );
  return drawn;
}

function go(step) {
  const at = shown.indexOf(current);
  const to = at < 0 ? 0 : at + step;
  if (shown[to] === undefined) return;
  history.replaceState(null, "", opener[shown[to]]);  // at once, so that a key held down passes over no case
  show(shown[to]);
}

function setOpacity(value) {
  opacity.value = value;
  map.style.opacity = opacity.value / 100;
  byId("opacity-value").textContent = `${opacity.value} %`;
  if (opacity.value > 0) before = Number(opacity.value);
}

function leave() {
  history.replaceState(null, "", location.href.split("#")[0]);
  grow(Math.max(0, shown.indexOf(current) + 1 - room));
  links[current]?.focus();
  links[current]?.scrollIntoView({ block: "center" });
}

byId("previous").addEventListener("click", () => go(-1));
byId("next").addEventListener("click", () => go(1));
byId("close").addEventListener("click", () => view.close());
view.addEventListener("close", leave);
opacity.addEventListener("input", () => setOpacity(opacity.value));
byId("map-class").addEventListener("change", (event) => {
  event.target.dataset.chosen = "yes";
  showMap();
});
byId("show-outlines").addEventListener("change", (event) => byId("outlines").classList.toggle("off", !event.target.checked));

view.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const arrows = !event.target.matches("input, select");  // there they move the slider or the choice
  const act = {
    ArrowLeft: arrows && (() => go(-1)), ArrowRight: arrows && (() => go(1)), p: () => go(-1), n: () => go(1),
    m: () => setOpacity(Number(opacity.value) ? 0 : before), o: () => byId("show-outlines").click(),
    "+": () => setOpacity(Number(opacity.value) + 10), "-": () => setOpacity(Number(opacity.value) - 10),
  }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act || (event.target.matches("select") && event.key.length === 1)) return;
  event.preventDefault();
  act();
});

setOpacity(opacity.value);
addEventListener("hashchange", follow);
follow();
