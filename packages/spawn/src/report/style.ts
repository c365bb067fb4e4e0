/** The style sheet of a report, for screen and paper. It refers to no other file. */
export const STYLE = `
:root { color-scheme: light; }
body { font: 16px/1.4 sans-serif; color: #111; background: #fff; max-width: 75rem;
  margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; margin: 0; }
h2 { font-size: 1.2rem; margin: 2rem 0 0.5rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; color: #444; padding-bottom: 0.5rem; }
th, td { padding: 0.25rem 0.6rem; border-bottom: 1px solid #ccc; text-align: right;
  vertical-align: top; white-space: nowrap; }
thead th { border-bottom: 2px solid #555; vertical-align: bottom; white-space: normal; }
th[scope=row], thead th:first-child, .name, thead th.name { text-align: left; }
th[scope=row], td.name { min-width: 7rem; font-weight: normal; white-space: normal;
  overflow-wrap: anywhere; }
tfoot tr:first-child > * { border-top: 2px solid #555; }
tfoot tr:last-child > * { font-weight: bold; }
td.bar { min-width: 8rem; }
td.bar svg { display: block; width: 100%; height: 0.5rem; margin-top: 0.2rem; }
td.bar rect { fill: #2a6f97; }
.note { border-left: 4px solid #b8860b; padding-left: 0.7rem; }
@page { size: A4 landscape; margin: 12mm; }
@media print {
  body { font-size: 9pt; max-width: none; padding: 0; }
  h2 { break-after: avoid; }
  tr { break-inside: avoid; }
  thead { display: table-header-group; }
  tfoot { display: table-row-group; }
  .scroll { overflow: visible; }
  td.bar svg { print-color-adjust: exact; }
}
`;
