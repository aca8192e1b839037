// Mends to the theme that style sheets cannot make.
document.addEventListener("DOMContentLoaded", () => {
  // A label that differs from the words on the control keeps voice users from naming it (WCAG 2.5.3).
  for (const control of document.querySelectorAll("summary[aria-label], .search-button-field[aria-label]")) {
    control.removeAttribute("aria-label");
  }
  // Roles that WAI-ARIA has withdrawn, or that their children do not fit.
  for (const entry of document.querySelectorAll("[role^=doc-], .citation-list")) {
    entry.removeAttribute("role");
  }
});

// A formula within a sentence cannot break. Where it is wider than its column, it gets a line of its
// own that scrolls; else a narrow screen would cut it off at the page's edge.
(() => {
  const fit = root => {
    for (const formula of root.querySelectorAll("span.math")) {
      formula.classList.remove("ibtutor-wide");
      const inner = formula.querySelector("mjx-math");
      const column = formula.parentElement.closest("p, li, td, th, summary, blockquote, div");
      if (!inner || !column) continue;
      if (inner.getBoundingClientRect().right > column.getBoundingClientRect().right + 1) {
        formula.classList.add("ibtutor-wide");
      }
    }
  };
  const main = () => document.querySelector("main") ?? document.body;
  const whenReady = () =>
    (window.MathJax?.startup?.promise ?? Promise.resolve()).then(() => {
      fit(main());
      let width = window.innerWidth;
      window.addEventListener("resize", () => {
        if (window.innerWidth !== width) fit(main());
        width = window.innerWidth;
      });
      // What was folded had no width before.
      document.addEventListener("toggle", event => event.target.open && fit(event.target), true);
    });
  window.addEventListener("load", whenReady);
})();
