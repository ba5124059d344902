"""The style sheet of the page, in light and dark."""

STYLE = """
.dr{--page:#fff;--ink:#1b2330;--muted:#626c7a;--rule:#dfe3e8;--wash:#f5f7f9;--bad:#b3261e;
--badwash:#fdeceb;--a0:#c4520c;--a1:#1a66b8;--a2:#0c8562;--a3:#8a4a9e;--a4:#8a6a00;--a5:#5b6775;
--a6:#b03a6b;--a7:#3d7f8c;background:var(--page);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif;padding:2.5rem 1rem 4rem;
color-scheme:light dark}
@media (prefers-color-scheme:dark){.dr{--page:#14171c;--ink:#e6e9ee;--muted:#9aa4b1;--rule:#30363f;
--wash:#1b1f26;--bad:#ff8a80;--badwash:#3a1a1c;--a0:#f08a4b;--a1:#64a8f0;--a2:#3fc79c;--a3:#c893dc;
--a4:#d3b34a;--a5:#9aa7b5;--a6:#ec86b0;--a7:#74c0ce}}
body{margin:0}
.dr>*{max-width:72rem;margin-left:auto;margin-right:auto}
.dr h1{font-size:1.05rem;font-weight:600;margin-top:0;margin-bottom:.2rem}
.dr h2{font-size:1.55rem;font-weight:650;line-height:1.25;letter-spacing:-.01em;margin:0}
.dr h3{font-size:1rem;font-weight:600;margin:2rem 0 .5rem}
.dr section{border-top:1px solid var(--rule);margin-top:2rem;padding-top:1.8rem}
.dr a{color:inherit}
.dr .quiet{color:var(--muted);font-size:.87rem;margin-top:0;margin-bottom:0}
.dr .finding{font-size:1.1rem;line-height:1.55;max-width:52rem;margin:.9rem 0 1.4rem}
.dr nav p{max-width:52rem}
.dr .m{color:var(--c);font-weight:600}
.dr .bad{color:var(--bad);font-weight:650}
.dr .alarm{background:var(--badwash);color:var(--bad);border-left:4px solid var(--bad);
padding:.7rem 1rem;margin-top:1.2rem;margin-bottom:1.2rem;box-sizing:border-box}
.dr .scroll{overflow-x:auto}
.dr table{border-collapse:collapse;width:100%;font-size:.84rem;font-variant-numeric:tabular-nums}
.dr th,.dr td{padding:.5rem .55rem;text-align:right;white-space:nowrap;vertical-align:top;
border-bottom:1px solid var(--rule)}
.dr thead th{color:var(--muted);font-weight:500;vertical-align:bottom;line-height:1.25}
.dr th:first-child,.dr th.text,.dr td.text{text-align:left}
.dr th:first-child{position:sticky;left:0;background:var(--page);padding-left:0;font-weight:600}
.dr td:last-child,.dr th:last-child{padding-right:0}
.dr td small{display:block;color:var(--muted);font-size:.76rem}
.dr .chip{display:inline-block;width:.62rem;height:.62rem;border-radius:2px;background:var(--c);
margin-right:.5rem}
.dr .bar{display:block;height:3px;border-radius:2px;background:var(--c);margin:.15rem 0 .1rem auto}
.dr td.skip{color:var(--muted);text-align:left;white-space:normal}
.dr .plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,21rem),1fr));
gap:1.5rem 2rem;margin-top:2rem}
.dr figure{margin:0;min-width:0}
.dr figcaption{font-size:.84rem;color:var(--muted);line-height:1.4;margin-top:.5rem}
.dr figure h3{margin:0}.dr section>h3:first-child{margin-top:0}
.dr .plot{display:block;width:100%;height:auto;margin-top:.4rem;overflow:visible}
.dr .plot *{stroke-linejoin:round}.dr .plot text{font-family:inherit}
.dr details{margin-top:1.3rem}
.dr summary{cursor:pointer;font-weight:600;font-size:.92rem}
.dr .graph{overflow:auto;max-height:36rem;border:1px solid var(--rule);border-radius:8px;
margin-top:.7rem}
.dr .graph svg{display:block;max-width:none;margin:0 auto}
.dr dl{display:grid;grid-template-columns:minmax(7rem,max-content) 1fr;gap:.35rem 1.4rem;
font-size:.88rem;margin:.6rem 0;max-width:58rem}
.dr dt{font-weight:600}.dr dd{margin:0;color:var(--muted);overflow-wrap:anywhere}
.dr code{font:.92em ui-monospace,Menlo,Consolas,monospace}
@media (max-width:34rem){.dr{padding-top:1.4rem}.dr h2{font-size:1.3rem}
.dr .finding{font-size:1rem}.dr dl{grid-template-columns:1fr;gap:0}.dr dd{margin-bottom:.6rem}}
@media print{.dr .graph{max-height:none}.dr section{break-inside:avoid-page}}
"""
