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
