"""What tools/browser.py runs inside a page."""

COUNT_MATH = """
const visible = [...document.querySelectorAll('mjx-container')].filter(
  e => e.querySelector('mjx-math') && (e.closest('details:not([open])')
    || e.closest('.toggle-hidden') || e.getBoundingClientRect().width > 0));
return {
  written: document.querySelectorAll('.math').length,
  rendered: visible.length,
  errors: document.querySelectorAll('mjx-merror, [data-mjx-error]').length,
  raw: document.querySelectorAll(".math:not(:has(mjx-container))").length,
  all: document.querySelectorAll('mjx-container').length,
  spoken: document.querySelectorAll('mjx-container > mjx-assistive-mml > math').length,
  stops: document.querySelectorAll('mjx-container[tabindex]:not([tabindex="-1"])').length,
};
"""

# The page fits its formulas when the window has another width.
TWO_FRAMES = "requestAnimationFrame(() => requestAnimationFrame(arguments[0]));"

FIND_OVERFLOW = """
const root = document.documentElement;
const cut = [...document.querySelectorAll('mjx-math')].filter(
  e => e.getBoundingClientRect().left < -1);
if (cut.length) return cut.slice(0, 5).map(e => 'formula starts left of the page: ' +
  (e.closest('.math') ?? e).textContent.trim().slice(0, 80));
// A formula may run out of its column only inside something that scrolls.
const scrolls = e => {
  for (let a = e.parentElement; a && a.tagName !== 'MAIN'; a = a.parentElement) {
    if (['auto', 'scroll'].includes(getComputedStyle(a).overflowX)) return true;
  }
  return false;
};
const column = (document.querySelector('article') ?? root).getBoundingClientRect().right;
const lost = [...document.querySelectorAll('mjx-math')].filter(
  e => e.getBoundingClientRect().right > column + 1 && !scrolls(e));
if (lost.length) return lost.slice(0, 5).map(e => 'formula runs out of its column: ' +
  (e.closest('.math') ?? e).parentElement.textContent.trim().slice(0, 100));
if (root.scrollWidth <= root.clientWidth) return [];
const wide = [...document.querySelectorAll('main *')].filter(
  e => e.getBoundingClientRect().right > root.clientWidth + 1);
return [`page ${root.scrollWidth} > ${root.clientWidth}`].concat(
  wide.slice(0, 5).map(e => e.outerHTML.slice(0, 120)));
"""

# Formulas are most of a chapter's elements and take most of axe's time: a letter in the formula's
# own color stands for each. What is spoken of them is counted by COUNT_MATH.
EMPTY_FORMULAS = "document.querySelectorAll('mjx-container').forEach(e => e.replaceChildren('x'));"

RUN_AXE = """
const done = arguments[arguments.length - 1];
axe.run(document, {resultTypes: ['violations']}).then(
  result => done(result.violations.flatMap(v => v.nodes.map(n =>
    `${v.id}: ${n.target.join(' ')}: ${n.failureSummary.split('\\n').pop().trim()}`))),
  error => done([`axe failed: ${error}`]));
"""

FIND_PICTURES = """
return [...document.querySelectorAll('figure.ibtutor-figure img')].map(picture => {
  const box = picture.parentElement;
  return {alt: picture.alt, shown: picture.getBoundingClientRect().width,
    drawn: picture.naturalWidth, hidden: box.scrollWidth - box.clientWidth,
    scrolls: getComputedStyle(box).overflowX === 'auto'};
});
"""

WATCH_SHIFTS = """
window.ibShift = 0;
new PerformanceObserver(list => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.ibShift += entry.value;
}).observe({type: 'layout-shift', buffered: true});
"""

WATCH_PICTURE = """
const seek = () => {
  const found = [...document.querySelectorAll('.ib-explorer svg, figure.ibtutor-figure img')].find(
    e => (e.tagName === 'IMG' ? e.complete && e.naturalWidth : e.childElementCount)
      && e.getBoundingClientRect().height > 0);
  if (found) window.ibPicture = performance.now();
  else requestAnimationFrame(seek);
};
requestAnimationFrame(seek);
"""

FIRST_PICTURE = """
const done = arguments[0], wait = count =>
  window.ibPicture || count > 50 ? done(window.ibPicture ?? 0) : setTimeout(wait, 100, count + 1);
wait(0);
"""

FIRST_PAINT = "return performance.getEntriesByName('first-contentful-paint')[0].startTime;"

FOLDS = """
return [...document.querySelectorAll('article details')].map(
  e => [e.querySelector('summary').textContent.trim(), e.open]);
"""

OPEN_A_SOLUTION = """
const folds = [...document.querySelectorAll('article details')];
const solution = folds.find(e => e.innerText.startsWith('Solution'));
if (solution) solution.open = true;
"""

CUT_ON_PAPER = """
const shown = selector => [...document.querySelectorAll(selector)].filter(e => e.checkVisibility());
const splits = e => getComputedStyle(e).breakInside === 'auto' &&
  (!e.tHead || getComputedStyle(e.tHead).display === 'table-header-group');
return {
  ink: getComputedStyle(document.querySelector('main p')).color.match(/\\d+/g).map(Number),
  code: shown('article pre').filter(e => e.scrollWidth > e.clientWidth + 1)
    .map(e => e.textContent.slice(0, 80)),
  tables: shown('article table').filter(e => !splits(e)).map(e => e.outerHTML.slice(0, 80)),
};
"""
