"use strict";
(() => {
  const seconds = Number(document.body.dataset.refresh);
  const busy = () => document.hidden || document.activeElement?.closest("form") || String(getSelection());
  const stale = () => { document.getElementById("stale").hidden = false; };
  function withButtons(root) {
    if (!navigator.clipboard) return;
    for (const button of root.querySelectorAll("button.copy")) {
      button.hidden = false;
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
        button.textContent = "Copied";
      });
    }
  }
  async function refresh() {
    if (busy()) return;
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      if (!answer.ok) return stale();
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const main = fresh.querySelector("main");
      if (!main || busy()) return;
      const open = new Set(Array.from(document.querySelectorAll("details[open]"), (d) => d.dataset.key));
      for (const details of main.querySelectorAll("details")) details.open = open.has(details.dataset.key);
      withButtons(main);
      document.querySelector("main").replaceWith(document.adoptNode(main));
      document.title = fresh.title;
    } catch { stale(); }
  }
  withButtons(document);
  if (seconds > 0) setInterval(refresh, seconds * 1000);
})();
