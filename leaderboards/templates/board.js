"use strict";
(() => {
  const value = (row, i) => row.cells[i].textContent.trim();
  // The first that is a word of its own: not the 4 of efficientnet-b4, a row's key of ten digits, or what brackets add.
  const NUMBER = /(?:^|\s)([+−-]?\d{1,9}(?:\.\d+)?(?:e[+-]\d+)?)(?=$|[\s,;/%])/;
  const number = (text) => parseFloat((NUMBER.exec(text.replace(/\([^()]*\)/g, " "))?.[1] ?? "").replace("−", "-"));

  // Numbers by size, missing ones last; the rest, and the rows' names, by the alphabet.
  const sortBy = (table, i, direction) => {
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const numeric = rows[0]?.cells[i].tagName !== "TH" && rows.some((row) => !Number.isNaN(number(value(row, i))));
    rows.sort((a, b) => {
      const [x, y] = [value(a, i), value(b, i)];
      if (!numeric) return direction * x.localeCompare(y);
      const [m, n] = [number(x), number(y)];
      if (Number.isNaN(m) || Number.isNaN(n)) return Number.isNaN(m) - Number.isNaN(n);
      return direction * (m - n);
    });
    body.append(...rows);
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, i) => {
      const name = head.querySelector(".name") ?? head;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...name.childNodes);
      name.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") !== "descending";
        heads.forEach((h) => h.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        sortBy(table, i, down ? -1 : 1);
      });
    });
  }

  const filter = document.getElementById("filter");
  const shown = document.getElementById("shown");
  const lines = [...document.querySelectorAll("table.board tbody tr")];
  const others = [...document.querySelectorAll("[data-row]:not(table.board tr)")];
  const alone = [...document.querySelectorAll("table.reported tbody tr")];
  const apply = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (text) => words.every((word) => text.toLowerCase().includes(word));
    const kept = new Set(lines.filter((line) => fits(line.dataset.words)).map((line) => line.dataset.row));
    for (const part of [...lines, ...others]) part.toggleAttribute("hidden", !kept.has(part.dataset.row));
    for (const line of alone) line.hidden = !fits(line.textContent);
    shown.textContent = words.length ? `${kept.size} of ${lines.length} rows` : "";
  };
  filter.addEventListener("input", apply);

  for (const button of document.querySelectorAll("button.copy")) {
    if (!navigator.clipboard) break;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.previousElementSibling.textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
  }

  const root = document.documentElement;
  const theme = document.getElementById("theme");
  const dark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const label = () => { theme.textContent = dark() ? "Light" : "Dark"; };
  theme.addEventListener("click", () => { 
    root.dataset.theme = dark() ? "light" : "dark";
    try { localStorage.setItem("crossfake-theme", root.dataset.theme); } catch { /* See theme.js. */ }
    label();
  });
  label();

  const open = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target || target.tagName !== "DETAILS") return;
    target.hidden = false;
    target.open = true;
    target.scrollIntoView();
  };
  addEventListener("hashchange", open);
  open();
  document.querySelector(".tools").hidden = false;
})();
