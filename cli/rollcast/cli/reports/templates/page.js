"use strict";
(() => {
  const root = document.documentElement;
  const all = (query, from = document) => [...from.querySelectorAll(query)];

  // Light and dark: the reader's choice for this view; without one, the system's.
  const theme = document.getElementById("theme");
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const name = () => { theme.textContent = dark() ? "Light" : "Dark"; theme.setAttribute("aria-label", `Switch to ${dark() ? "light" : "dark"} colours`); };
  if (theme) { theme.hidden = false; name(); theme.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; name(); }); }

  // Paper shows what is folded, but for the values of a chart that is there itself.
  let opened = [];
  addEventListener("beforeprint", () => { opened = all("section > details:not([open])"); opened.forEach((one) => { one.open = true; }); });
  addEventListener("afterprint", () => { opened.forEach((one) => { one.open = false; }); opened = []; });

  // A link into something folded opens it and brings the focus along.
  const reveal = () => {
    const found = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!found) return;
    for (let up = found; up; up = up.parentElement) if (up.tagName === "DETAILS") up.open = true;
    found.scrollIntoView({ block: "center" });
    if (found.tabIndex === -1) found.focus({ preventScroll: true });
  };
  addEventListener("hashchange", reveal);
  reveal();

  // A field that filters its table.
  all(".search").forEach((line) => { line.hidden = false; });
  document.addEventListener("input", (event) => {
    const id = event.target.dataset && event.target.dataset.search;
    if (!id) return;
    const wanted = event.target.value.toLowerCase();
    let count = 0;
    for (const row of all("tbody tr", document.getElementById(id))) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
      if (!row.hidden) count += 1;
    }
    document.querySelector(`[data-found="${id}"]`).textContent = wanted ? `${count} found` : "";
  });

  // The graph: what an operation waits for, and what waits for it.
  for (const graph of all("svg.graph")) {
    const boxes = all(".box", graph);
    const byKey = new Map(boxes.map((box) => [box.dataset.key, box]));
    const before = new Map(boxes.map((box) => [box.dataset.key, box.dataset.after.split(" ").filter(Boolean)]));
    const after = new Map();
    before.forEach((tails, head) => tails.forEach((tail) => after.set(tail, [...(after.get(tail) || []), head])));
    const reach = (start, next) => {
      const seen = new Set();
      const left = [start];
      while (left.length) for (const one of next.get(left.pop()) || []) if (!seen.has(one)) { seen.add(one); left.push(one); }
      return seen;
    };
    const detail = graph.closest("section").querySelector("[data-detail]");
    const rest = detail ? detail.textContent : "";
    const clear = () => { graph.classList.remove("lit"); all(".here, .arrow.lit", graph).forEach((one) => one.classList.remove("here", "lit")); if (detail) detail.textContent = rest; };
    const light = (box) => {
      clear();
      const key = box.dataset.key;
      const [earlier, later] = [reach(key, before), reach(key, after)];
      const lit = new Set([key, ...earlier, ...later]);
      graph.classList.add("lit");
      lit.forEach((one) => { if (byKey.has(one)) byKey.get(one).classList.add("here"); });
      all(".arrow", graph).forEach((arrow) => { if (lit.has(arrow.dataset.from) && lit.has(arrow.dataset.to)) arrow.classList.add("lit"); });
      if (detail) detail.textContent = `${box.querySelector("title").textContent} – after ${earlier.size}, before ${later.size} of those shown.`;
    };
    boxes.forEach((box, index) => {
      box.addEventListener("pointerenter", () => light(box));
      box.addEventListener("pointerleave", clear);
      box.addEventListener("focus", () => light(box));
      box.addEventListener("blur", clear);
      box.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        const to = step && boxes[index + step];
        if (to) { event.preventDefault(); to.focus(); }
      });
    });
  }

  // Charts: a line under the pointer, or moved by the arrow keys, with the values there.
  const read = (figure) => {
    const plot = figure.querySelector(".plot");
    const svg = plot.querySelector("svg");
    const data = JSON.parse(figure.dataset.reading);
    const box = document.createElement("div");
    const cross = document.createElement("div");
    box.className = "reading"; cross.className = "cross"; box.setAttribute("role", "status");
    let at = 0;
    const show = (index) => {
      at = Math.max(0, Math.min(data.rows.length - 1, index));
      const [x, words, values] = data.rows[at];
      box.replaceChildren(...[words, ...values.map((value, i) => value && `${data.names[i]}: ${value}`)].filter(Boolean).map((text) => { const line = document.createElement("p"); line.textContent = text; return line; }));
      const wide = svg.clientWidth;
      const place = wide * (data.left + (x - data.low) / (data.high - data.low) * (data.right - data.left));
      cross.style.left = `${place}px`; cross.style.top = "0"; cross.style.height = `${svg.clientHeight}px`;
      if (!box.isConnected) plot.append(cross, box);
      box.style.top = "8px";
      box.style.left = `${place + 12 + box.offsetWidth > wide ? Math.max(0, place - 12 - box.offsetWidth) : place + 12}px`;
    };
    const hide = () => { box.remove(); cross.remove(); };
    svg.setAttribute("tabindex", "0");
    svg.addEventListener("pointermove", (event) => {
      const bounds = svg.getBoundingClientRect();
      const x = data.low + ((event.clientX - bounds.left) / bounds.width - data.left) / (data.right - data.left) * (data.high - data.low);
      let best = 0;
      data.rows.forEach((row, i) => { if (Math.abs(row[0] - x) < Math.abs(data.rows[best][0] - x)) best = i; });
      show(best);
    });
    svg.addEventListener("pointerleave", hide);
    svg.addEventListener("blur", hide);
    svg.addEventListener("focus", () => show(at));
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1, Home: -data.rows.length, End: data.rows.length, PageDown: 10, PageUp: -10 }[event.key];
      if (event.key === "Escape") hide();
      else if (step) { event.preventDefault(); show(at + step); }
    });
  };
  all("figure[data-reading]").forEach(read);
  window.rollcastReadCharts = () => all("figure[data-reading]").forEach((figure) => { if (!figure.querySelector("svg[tabindex]")) read(figure); });
})();
