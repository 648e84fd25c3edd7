"use strict";
(() => {
  const connection = document.getElementById("connection");
  const sections = document.getElementById("sections");

  // A part that changed takes the place of the old one; what was open stays open, and the focus stays where it was.
  const put = (holder, html) => {
    const open = new Set([...holder.querySelectorAll("details[open]")].map((one) => one.querySelector("summary").textContent));
    const focused = holder.contains(document.activeElement) ? document.activeElement : null;
    const place = focused && [...holder.querySelectorAll("a, button, summary, [tabindex]")].indexOf(focused);
    holder.innerHTML = html; // escaped by the server's templates
    holder.querySelectorAll("details").forEach((one) => { one.open = open.has(one.querySelector("summary").textContent); });
    if (focused) { const again = holder.querySelectorAll("a, button, summary, [tabindex]")[place]; if (again) again.focus({ preventScroll: true }); }
  };
  const source = new EventSource("/events");
  source.addEventListener("parts", (event) => {
    const { parts, gone } = JSON.parse(event.data);
    for (const [name, html] of Object.entries(parts)) {
      let holder = name === "summary" ? document.getElementById("summary") : sections.querySelector(`[data-part="${name}"]`);
      if (!holder) { holder = document.createElement("div"); holder.dataset.part = name; sections.append(holder); }
      if (holder.dataset.html !== html) put(holder, html);
    }
    for (const name of gone) { const old = sections.querySelector(`[data-part="${name}"]`); if (old) old.remove(); }
    if (window.rollcastReadCharts) window.rollcastReadCharts();
    connection.textContent = "Live";
  });
  source.addEventListener("open", () => { connection.textContent = "Live"; });
  source.addEventListener("error", () => { connection.textContent = "Connection lost; trying again …"; });

  const form = document.getElementById("order-form");
  if (!form) return;
  const said = document.getElementById("ordered");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const order = event.submitter.value;
    if (order !== "pause" && !confirm(`Really ${order} the rollout?`)) return;
    said.textContent = "…";
    try {
      const answer = await fetch(`/orders/${order}`, { method: "POST", headers: { Authorization: `Bearer ${document.getElementById("token").value}` } });
      const body = await answer.json();
      said.textContent = body.error || `Ordered: ${body.ordered} (record ${body.record}).`;
    } catch (error) {
      said.textContent = "The server can't be reached.";
    }
  });
})();
