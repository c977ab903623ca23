#include "modelbatch/report/page_style.h"

#include <array>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "modelbatch/plot/chart.h"
#include "modelbatch/plot/gnuplot_script.h"

namespace modelbatch {
namespace {

constexpr char kStyle[] = R"css(
:root {
  color-scheme: light dark;
  --page: #ffffff; --ink: #1b2026; --soft: #59636e; --line: #d9dfe5;
  --card: #f5f7f9; --hover: #e8f1fa; --link: #0b62b0; --hot: #d1006c;
  --good: #1a7f37; --bad: #c1121f; --warm: #9a6700; --notice: #fff7dd;
  --axis: #404040; --grid: #e4e4e4; --thin: #bdbdbd; --outer: #e3e9f0;
  --inner: #c3d0de; --median: #6b7f95; --point: #8d99a6; --frozen: #c1121f;
  --best0: #0072b2; --best1: #d55e00; --best2: #009e73; --best3: #cc79a7;
  --best4: #e69f00; --best5: #56b4e9; --best6: #9a8700;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --page: #11151a; --ink: #e3e8ed; --soft: #9aa5b1; --line: #2f3740;
    --card: #191f26; --hover: #1f2f3f; --link: #6cb6f5; --hot: #ff6ab0;
    --good: #56c271; --bad: #ff7b72; --warm: #e3b341; --notice: #332b12;
    --axis: #b4bdc7; --grid: #272e36; --thin: #606b77; --outer: #1e2833;
    --inner: #2c3b4a; --median: #8fa5bb; --point: #7b8794; --frozen: #ff7b72;
    --best0: #4aa8e0; --best1: #ff8c42; --best2: #34c99a; --best3: #e49cc6;
    --best4: #f3ba4d; --best5: #9bd6f8; --best6: #cbbb3a;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2rem clamp(1rem, 4vw, 3rem) 4rem; max-width: 90rem;
  background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans",
    "Liberation Sans", Arial, sans-serif;
}
h1 { margin: 0; font-size: 1.9rem; line-height: 1.2; overflow-wrap: anywhere; }
h2 {
  margin: 2.6rem 0 .8rem; padding-bottom: .3rem; font-size: 1.25rem;
  border-bottom: 1px solid var(--line);
}
p { margin: .4rem 0; }
.soft { color: var(--soft); }
nav { margin-top: .8rem; }
nav a { margin-right: 1.1rem; white-space: nowrap; }
a { color: var(--link); text-decoration: none; }
a:hover { text-decoration: underline; }
.notice {
  margin: 1.2rem 0; padding: .7rem 1rem; border-radius: 6px;
  background: var(--notice); border-left: 4px solid var(--warm);
}
.cards {
  display: grid; gap: .8rem; margin: 1.4rem 0 0; padding: 0;
  grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr));
}
.cards > div {
  padding: .8rem 1rem; border: 1px solid var(--line); border-radius: 8px;
  background: var(--card); overflow-wrap: anywhere;
}
.cards dt { color: var(--soft); font-size: .85rem; }
.cards dd { margin: .1rem 0 0; }
.cards .value { font-size: 1.55rem; font-weight: 600; line-height: 1.25; }
.charts {
  display: grid; gap: 1.2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr));
}
figure {
  margin: 0; padding: .8rem .6rem .4rem; border: 1px solid var(--line);
  border-radius: 8px; break-inside: avoid;
}
figcaption { padding: 0 .5rem .3rem; font-weight: 600; }
.chart svg { display: block; width: 100%; height: auto; }
.chart text { font-family: inherit; fill: var(--axis); }
.chart g[data-model]:hover path { stroke-width: 3px; }
.chart g.hot path { stroke: var(--hot) !important; stroke-width: 3.5px; }
.chart use.hot { color: var(--hot) !important; }
.table {
  overflow: auto; max-height: 36rem; border: 1px solid var(--line);
  border-radius: 8px;
}
table {
  border-collapse: separate; border-spacing: 0; width: 100%;
  font-variant-numeric: tabular-nums;
}
th, td {
  padding: .32rem .75rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line);
}
tbody tr:last-child td { border-bottom: 0; }
th.text, td.text { text-align: left; }
td.wide { white-space: normal; min-width: 14rem; overflow-wrap: anywhere; }
thead th {
  position: sticky; top: 0; z-index: 1; background: var(--card);
  font-weight: 600; white-space: normal;
}
th button {
  all: unset; cursor: pointer; font: inherit;
}
th button:hover { color: var(--link); }
th button:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
th button::after { content: " \2195"; color: var(--soft); opacity: .45; }
th[aria-sort="ascending"] button::after { content: " \2191"; opacity: 1; }
th[aria-sort="descending"] button::after { content: " \2193"; opacity: 1; }
tbody tr:hover, tr.hot { background: var(--hover); }
.ok { color: var(--good); }
.frozen { color: var(--bad); }
.stopped { color: var(--warm); }
.removed { color: var(--soft); }
pre {
  margin: 0; padding: .9rem 1rem; overflow: auto; max-height: 36rem;
  background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  font: 13px/1.5 ui-monospace, "SFMono-Regular", Menlo, Consolas,
    "Liberation Mono", monospace;
}
code { font-family: ui-monospace, Menlo, Consolas, "Liberation Mono", monospace;
  font-size: .93em; }
.facts { width: auto; min-width: min(100%, 40rem); }
.facts th, .facts td { text-align: left; vertical-align: top; }
.facts td { white-space: normal; overflow-wrap: anywhere; }
.facts th { font-weight: 400; color: var(--soft); position: static;
  background: none; }
.facts tr:hover { background: none; }
footer { margin-top: 3rem; color: var(--soft); font-size: .85rem; }
@media print {
  body { padding: 0; max-width: none; font-size: 11px; }
  nav, th button::after { display: none; }
  .table, pre { max-height: none; overflow: visible; }
  .charts { grid-template-columns: 1fr 1fr; }
  thead th { position: static; }
  h2 { break-after: avoid; }
  tr { break-inside: avoid; }
}
)css";

constexpr char kScript[] = R"js(
'use strict';
for (const table of document.querySelectorAll('table.sortable')) {
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const headers = Array.from(table.tHead.rows[0].cells);
  const sort = (header) => {
    const column = header.cellIndex;
    const sign = header.getAttribute('aria-sort') === 'ascending' ? -1 : 1;
    const keys = new Map(rows.map((row) => {
      const cell = row.cells[column];
      if (!('v' in cell.dataset)) return [row, cell.textContent.trim()];
      const text = cell.dataset.v;
      return [row, text === '' ? NaN : Number(text)];
    }));
    const missing = (key) => key === '' || Number.isNaN(key);
    const sorted = rows.slice().sort((rowA, rowB) => {
      const a = keys.get(rowA);
      const b = keys.get(rowB);
      if (missing(a) || missing(b)) return missing(a) - missing(b);
      if (typeof a === 'number' && typeof b === 'number') {
        return a === b ? 0 : a < b ? -sign : sign;
      }
      return sign * String(a).localeCompare(String(b));
    });
    for (const other of headers) other.setAttribute('aria-sort', 'none');
    header.setAttribute('aria-sort', sign > 0 ? 'ascending' : 'descending');
    body.append(...sorted);
  };
  table.tHead.addEventListener('click', (event) => {
    const header = event.target.closest('th');
    if (header) sort(header);
  });
}
let lit = [];
document.addEventListener('mouseover', (event) => {
  for (const element of lit) element.classList.remove('hot');
  const found = event.target.closest('[data-model]');
  lit = found === null ? [] : Array.from(document.querySelectorAll(
    '[data-model="' + found.dataset.model + '"]'));
  for (const element of lit) element.classList.add('hot');
});
)js";

// A rule that turns a colour of gnuplot's into one of the page's.
std::string ColorRule(const std::string& color, const std::string& name) {
  std::string out;
  for (const char* attribute : {"stroke", "fill", "color"}) {
    absl::StrAppend(&out, ".chart [", attribute, "=\"", color, "\"] { ",
                    attribute, ": var(--", name, "); }\n");
  }
  return out;
}

}  // namespace

std::string PageStyle() {
  std::string out = kStyle;
  absl::StrAppend(&out, ColorRule(SvgInkColor(), "axis"),
                  ColorRule(SvgGridColor(), "grid"));
  for (const auto& [tone, name] :
       {std::pair(Tone::kThin, "thin"), std::pair(Tone::kOuterBand, "outer"),
        std::pair(Tone::kInnerBand, "inner"),
        std::pair(Tone::kMedian, "median"), std::pair(Tone::kPoint, "point"),
        std::pair(Tone::kFrozen, "frozen")}) {
    absl::StrAppend(&out, ColorRule(SvgColor(tone, 0), name));
  }
  for (size_t i = 0; i < kBestColors.size(); ++i) {
    absl::StrAppend(&out, ColorRule(SvgColor(Tone::kBest, static_cast<int>(i)),
                                    absl::StrCat("best", i)));
  }
  return out;
}

const char* PageScript() { return kScript; }

}  // namespace modelbatch
