"use strict";
const root = document.documentElement;

// Light or dark: as the system has it until the reader chooses.
document.getElementById("ui-theme").onclick = () => {
  const dark = getComputedStyle(root).getPropertyValue("--dark").trim() === "1";
  root.dataset.theme = dark ? "light" : "dark";
  try { localStorage.setItem("theme", root.dataset.theme); } catch (e) { /* a private window */ }
};

// The list of notebooks stands open where there is room for it.
const menu = document.getElementById("ui-menu"), wide = matchMedia("(min-width: 60rem)");
const fold = () => { menu.open = wide.matches; };
wide.onchange = fold;
fold();
const list_of_pages = document.querySelector("nav.pages"), current = list_of_pages.querySelector("[aria-current]");
if (current) list_of_pages.scrollTop = current.offsetTop - list_of_pages.clientHeight / 2;

// A button that copies the code of a cell.
for (const cell of document.querySelectorAll(".hl")) {
  const button = Object.assign(document.createElement("button"), { className: "copy", type: "button", textContent: "Copy" });
  button.onclick = async () => {
    await navigator.clipboard.writeText(cell.querySelector("pre").textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  };
  cell.append(button);
}

// The heading that is being read is marked in the table of contents.
const links = new Map([...document.querySelectorAll(".contents a")].map(a => [decodeURIComponent(a.hash.slice(1)), a]));
const heads = [...document.querySelectorAll("main h2[id], main h3[id]")].filter(h => links.has(h.id));
const mark = () => {
  let here = null;
  for (const head of heads) if (head.getBoundingClientRect().top < 120) here = head;
  for (const [id, a] of links) a.classList.toggle("here", here !== null && id === here.id);
};
addEventListener("scroll", mark, { passive: true });
mark();

// Search. The index is a script, not JSON, so that it loads from a folder too; it is fetched at the first key.
const box = document.getElementById("ui-search"), list = document.getElementById("ui-results");
let sections = null;
const load = () => new Promise(done => {
  if (sections) return done();
  const script = document.createElement("script");
  script.src = UP + "search-index.js";
  script.onload = () => { sections = window.SEARCH.map(([page, head, url, text]) =>
    ({ page, head, url, text, low: text.toLowerCase(), title: `${page} ${head}`.toLowerCase() })); done(); };
  document.head.append(script);
});
const find = words => {
  const all = sections.filter(s => words.every(w => s.low.includes(w) || s.title.includes(w)));
  return (all.length ? all : sections.filter(s => words.some(w => s.low.includes(w) || s.title.includes(w)))).map(s => [words.reduce((n, w) => n + (s.title.includes(w) ? 20 : 0) + Math.min(5, s.low.split(w).length - 1), 0), s])
    .sort((a, b) => b[0] - a[0]).slice(0, 12).map(pair => pair[1]);
};
const excerpt = (s, words) => {
  const hit = s.low.indexOf(words.find(w => s.low.includes(w)) ?? "");
  const at = hit < 40 ? 0 : s.low.lastIndexOf(" ", hit - 40) + 1;
  return (at ? "… " : "") + s.text.slice(at, at + 130) + " …";
};
const element = (tag, text, cls = "") => Object.assign(document.createElement(tag), { textContent: text, className: cls });
const show = async () => {
  await load();
  const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
  const items = words.length ? find(words) : [];
  list.replaceChildren(...items.map(s => {
    const a = Object.assign(document.createElement("a"), { href: UP + s.url });
    a.append(element("b", s.head || s.page), element("span", s.head ? s.page : ""), element("small", excerpt(s, words)));
    const li = document.createElement("li");
    li.append(a);
    return li;
  }));
  if (words.length && !items.length) list.append(element("li", `Nothing holds “${box.value}”.`, "none"));
  list.hidden = !words.length;
};
box.oninput = show;
box.onfocus = () => { if (box.value) show(); };
box.onkeydown = event => {
  if (event.key === "Escape") { list.hidden = true; box.blur(); }
  if (event.key === "ArrowDown") { list.querySelector("a")?.focus(); event.preventDefault(); }
  if (event.key === "Enter") list.querySelector("a")?.click();
};
list.onkeydown = event => {
  const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
  if (step) { (document.activeElement.parentElement[step]?.querySelector("a") ?? box).focus(); event.preventDefault(); }
  if (event.key === "Escape") { list.hidden = true; box.focus(); }
};
list.onclick = () => { list.hidden = true; };
addEventListener("click", event => { if (!event.target.closest(".search")) list.hidden = true; });
addEventListener("keydown", event => {
  if (event.key === "/" && !/INPUT|TEXTAREA/.test(document.activeElement.tagName)) { box.focus(); event.preventDefault(); }
});
