// From a plain folder a search cannot look into other pages: it shows titles alone.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

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
  // Everything on a page lies in some landmark: the logo too.
  const logo = document.querySelector(".navbar-brand.logo")?.parentElement;
  logo?.setAttribute("role", "navigation");
  logo?.setAttribute("aria-label", "Home");
});

(() => {
  // A formula within a sentence cannot break. Where it is wider than its column, it gets a line of
  // its own that scrolls; else a narrow screen would cut it off at the page's edge.
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
    // What scrolls can be reached by the Tab key, and scrolled by the arrows.
    for (const box of root.querySelectorAll("pre, div.math, .ibtutor-wide, .ibtutor-picture, .text_html")) {
      if (box.scrollWidth > box.clientWidth + 1) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  };

  // Formulas move what stands below them, after the browser went to the section of the address.
  // Go there again, unless the reader has moved on or came back to where they were.
  let moved = performance.getEntriesByType("navigation")[0]?.type !== "navigate";
  for (const kind of ["wheel", "touchmove", "keydown", "pointerdown"]) {
    window.addEventListener(kind, () => { moved = true; }, { once: true, passive: true });
  }
  const followHash = () => {
    let target = null;
    try {
      target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
      // A setting of a chapter's explorer, as a teacher links to it.
      if (location.hash.includes("=")) target ??= document.querySelector(".ib-explorer:not([data-part=all])");
    } catch { /* a percent sign without its digits names no section */ }
    if (target && !moved) target.scrollIntoView({ behavior: "instant" });
  };

  window.addEventListener("load", async () => {
    const main = document.querySelector("main") ?? document.body;
    const settle = () => { fit(main); followHash(); };
    await window.MathJax?.startup?.promise;
    settle();
    await document.fonts.ready; // their letters have other sizes than those that stood in for them
    settle();
    let width = window.innerWidth;
    window.addEventListener("resize", () => {
      if (window.innerWidth !== width) fit(main);
      width = window.innerWidth;
    });
    // What was folded had no width before.
    document.addEventListener("toggle", event => event.target.open && fit(event.target), true);
  });
})();

// Paper is white. Proofs are part of the page; solutions, hints and code stay as the reader left
// them.
(() => {
  const kept = /^(solution|answer|hint|a way in)/i;
  const page = document.documentElement.dataset;
  let opened = [], theme;
  window.addEventListener("beforeprint", () => {
    const closed = [...document.querySelectorAll("article details:not([open], [class])")];
    opened = closed.filter(fold => !kept.test(fold.querySelector("summary").textContent.trim()));
    for (const fold of opened) fold.open = true;
    theme = page.theme;
    page.theme = "light";
  });
  window.addEventListener("afterprint", () => {
    for (const fold of opened) fold.open = false;
    page.theme = theme;
  });
})();
