// Before anything is drawn, so that a page that was left dark doesn't open light.
(() => {
  try {
    const kept = localStorage.getItem("crossfake-theme");
    if (kept === "dark" || kept === "light") document.documentElement.dataset.theme = kept;
  } catch { /* A page without an address of its own can keep nothing. */ }
})();
