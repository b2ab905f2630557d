// What changes by itself is asked for again and put in its place; without this
// script the page loads itself anew. And where a search stopped after its time, it
// is gone on with until the page is full.
"use strict";

const main = document.getElementById("main");
const stale = document.getElementById("stale");
const announce = document.getElementById("announce");
const parser = new DOMParser();

async function get(url) {
  // A worker that hangs is one that does not answer.
  const answer = await fetch(url, { credentials: "same-origin", signal: AbortSignal.timeout(10000) });
  if (!answer.ok) throw new Error(answer.status);
  return parser.parseFromString(await answer.text(), "text/html");
}

// replace puts a part in its place, if it is another, and keeps the focus.
function replace(part) {
  const old = document.getElementById(part.id);
  if (!old || old.isEqualNode(part)) return;
  const at = old.contains(document.activeElement) && document.activeElement.getAttribute("href");
  const state = part.dataset.state;
  if (state && state !== old.dataset.state) announce.textContent = "The batch is " + state;
  const next = document.importNode(part, true);
  old.replaceWith(next);
  if (at) {
    const again = next.querySelector(`[href="${CSS.escape(at)}"]`);
    if (again) again.focus({ preventScroll: true });
  }
}

async function live() {
  if (!document.hidden) {
    try {
      const url = new URL(location.pathname, location.origin);
      const query = new URLSearchParams(location.search);
      if (query.has("all")) url.searchParams.set("all", "");
      url.searchParams.set("live", "");
      const parts = await get(url);
      for (const part of parts.querySelectorAll("[data-live]")) replace(part);
      stale.hidden = true;
    } catch {
      stale.hidden = false;
    }
  }
  setTimeout(live, 1500);
}

// searchOn follows the search's links, and gathers what they show, until there is a
// page of it.
async function searchOn() {
  const full = 50;
  const found = document.getElementById("found");
  if (!found) return;
  let link = found.querySelector("a[rel=next]");
  if (!link || found.querySelectorAll("tbody tr").length >= full) return;
  const rows = () => found.querySelectorAll("tbody tr").length;
  const from = found.querySelector(".from").textContent;
  const begun = !found.querySelector(".first");
  found.setAttribute("aria-busy", "true");
  while (link && rows() < full) {
    let more;
    try {
      more = (await get(link.href)).getElementById("found");
    } catch {
      break;
    }
    if (!more) break;
    const old = [...found.querySelectorAll("tbody tr")];
    const body = more.querySelector("tbody");
    if (body) body.prepend(...old.map((row) => document.importNode(row, true)));
    else if (old.length) more.prepend(found.querySelector("table"));
    const focused = found.contains(document.activeElement);
    found.replaceChildren(...[...more.childNodes].map((node) => document.importNode(node, true)));
    link = found.querySelector("a[rel=next]");
    // It speaks of all that is shown, not of the last part.
    found.querySelector(".from").textContent = from;
    if (begun) found.querySelector(".first")?.remove();
    if (rows() > 0) found.querySelector(".tally").textContent = rows() + (rows() === 1 ? " row" : " rows");
    if (focused) (link || found).focus({ preventScroll: true });
  }
  found.removeAttribute("aria-busy");
  announce.textContent = found.querySelector("p").textContent;
}

if (main && main.hasAttribute("data-refresh")) setTimeout(live, 1500);
searchOn();
