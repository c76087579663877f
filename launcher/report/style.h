#ifndef EQUIPOISE_LAUNCHER_REPORT_STYLE_H_
#define EQUIPOISE_LAUNCHER_REPORT_STYLE_H_

namespace equipoise::launcher {

// The report's style sheet. Series colours are Okabe and Ito's set for colour-blind readers
// (https://jfly.uni-koeln.de/color/), made darker for the light page and lighter for the dark one
// so that each has a contrast of 3:1 at least with its background.
inline constexpr char kStyle[] = R"css(
:root{color-scheme:light dark;--bg:#fbfbfc;--card:#fff;--fg:#1b1f24;--muted:#57606a;--grid:#e3e6ea;
--edge:#d5d9de;--warn:#9a3412;--s0:#0063a6;--s1:#c44b00;--s2:#00795a;--s3:#a8497d;--s4:#946200;
--s5:#2e8bc0;--s6:#6b5bb5;--s7:#5f6368;--s8:#16181c}
@media(prefers-color-scheme:dark){:root{--bg:#14161a;--card:#202228;--fg:#e8eaed;--muted:#a5adb6;
--grid:#343840;--edge:#3a3f47;--warn:#ffb088;--s0:#6cb9f2;--s1:#ff8f4d;--s2:#3fd0a4;--s3:#eda0cc;
--s4:#f0bd45;--s5:#9cdcff;--s6:#b9a9ff;--s7:#9aa1a9;--s8:#ffffff}}
*{box-sizing:border-box}
html{scroll-padding-top:3.2rem}
body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,"Segoe UI",Roboto,
"DejaVu Sans",sans-serif}
.skip{position:absolute;left:-99rem}.skip:focus{left:1rem;top:.5rem;z-index:9;background:var(--card);
padding:.4rem .8rem}
header,main,footer{max-width:1440px;margin:0 auto;padding:0 1.25rem}
header{padding-top:1.5rem}
h1{font-size:1.55rem;line-height:1.25;margin:0;overflow-wrap:anywhere}
h2{font-size:1.2rem;margin:2.4rem 0 .7rem}
h3{font-size:1rem;margin:1.4rem 0 .5rem;overflow-wrap:anywhere}
.sub{color:var(--muted);margin:.25rem 0 .8rem;overflow-wrap:anywhere}
nav{position:sticky;top:0;z-index:2;background:var(--bg);border-bottom:1px solid var(--edge);
overflow-x:auto}
nav ul{max-width:1440px;display:flex;gap:.2rem;list-style:none;margin:0 auto;padding:.3rem 1rem}
nav a{display:block;padding:.35rem .6rem;border-radius:6px;color:var(--fg);text-decoration:none;
white-space:nowrap}
nav a:hover{background:var(--grid)}
a:focus-visible,summary:focus-visible,[tabindex]:focus-visible{outline:3px solid var(--s0);
outline-offset:2px;border-radius:4px}
.grid{display:grid;gap:1rem;grid-template-columns:repeat(auto-fill,minmax(min(100%,400px),1fr));
align-items:start}
figure,.card{margin:0;background:var(--card);border:1px solid var(--edge);border-radius:10px;
padding:.8rem .9rem}
figcaption{font-weight:600;margin-bottom:.35rem;overflow-wrap:anywhere}
svg.chart{display:block;width:100%;height:auto;max-width:640px;margin:0 auto}
svg text{font:12.5px system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;fill:var(--muted)}
svg .axis{fill:var(--fg)}
svg .end{text-anchor:end}svg .middle,svg .cell{text-anchor:middle}
svg .cell{fill:var(--fg);font-size:11px}
.rule{stroke:var(--grid);fill:none}
.mark{stroke:var(--muted);stroke-width:1;stroke-dasharray:1 3;fill:none}
path.s0,path.s1,path.s2,path.s3,path.s4,path.s5,path.s6,path.s7,path.s8{fill:none;stroke-width:1.8;
stroke-linejoin:round}
.s0{stroke:var(--s0)}.s1{stroke:var(--s1)}.s2{stroke:var(--s2)}.s3{stroke:var(--s3)}
.s4{stroke:var(--s4)}.s5{stroke:var(--s5)}.s6{stroke:var(--s6)}.s7{stroke:var(--s7)}.s8{stroke:var(--s8)}
.f0{fill:var(--s0)}.f1{fill:var(--s1)}.f2{fill:var(--s2)}.f3{fill:var(--s3)}
.f4{fill:var(--s4)}.f5{fill:var(--s5)}.f6{fill:var(--s6)}.f7{fill:var(--s7)}.f8{fill:var(--s8)}
.b0{fill:var(--s0)}.b1{fill:var(--s1)}.b2{fill:var(--s2)}.b3{fill:var(--s3)}
.b4{fill:var(--s4)}.b5{fill:var(--s5)}.b6{fill:var(--s6)}.b7{fill:var(--s7)}.b8{fill:var(--s8)}
[class^="b"]{fill-opacity:.2;stroke:none}
path.dashed{stroke-dasharray:5 4}
path.error{stroke-width:1.2}
path.stroke{stroke-width:2.2}
circle.hollow{fill:var(--card);stroke-width:2}
rect.part{stroke:var(--card);stroke-width:1}
image{image-rendering:pixelated}
.on-dark{display:none}
svg .strong{fill:#fff}
@media(prefers-color-scheme:dark){.on-dark{display:inline}.on-light{display:none}
svg .strong{fill:#101114}}
.legend{display:flex;flex-wrap:wrap;gap:.1rem .9rem;list-style:none;margin:0 0 .3rem;padding:0;
font-size:.86rem;color:var(--muted);overflow-wrap:anywhere}
.key{width:24px;height:12px;margin-right:.35rem;vertical-align:-1px}
.colours{width:260px;height:36px;max-width:100%}
.note{font-size:.84rem;color:var(--muted);margin:.35rem 0 0}
.absent{border-left:4px solid var(--edge);padding:.3rem .8rem;color:var(--muted);margin:.6rem 0}
.warn{border-left-color:var(--warn);color:var(--warn)}
.tiles{display:grid;gap:.7rem;grid-template-columns:repeat(auto-fill,minmax(148px,1fr))}
.tile{background:var(--card);border:1px solid var(--edge);border-radius:10px;padding:.55rem .8rem}
.tile b{display:block;font-size:1.25rem;line-height:1.3;overflow-wrap:anywhere}
.tile span{font-size:.84rem;color:var(--muted)}
.scroll{overflow-x:auto;max-width:100%}
table{border-collapse:collapse;font-size:.88rem;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.28rem .7rem .28rem 0;border-bottom:1px solid var(--grid);
vertical-align:top}
th{color:var(--muted);font-weight:600}
th:not(:empty){min-width:4.5rem}
dl.pairs{display:grid;grid-template-columns:minmax(9rem,max-content) 1fr;gap:.3rem 1rem;margin:.4rem 0;
font-size:.88rem}
dt{color:var(--muted);overflow-wrap:anywhere}
dd{margin:0;overflow-wrap:anywhere}
summary{cursor:pointer;padding:.25rem 0}
.numbers summary{font-size:.84rem;color:var(--muted)}
pre{overflow:auto;max-height:32rem;background:var(--card);border:1px solid var(--edge);
border-radius:10px;padding:.8rem;font-size:.84rem}
footer{color:var(--muted);font-size:.86rem;margin-top:2.5rem;padding-bottom:2rem}
@media(max-width:560px){dl.pairs{grid-template-columns:1fr;gap:0}dd{margin-bottom:.5rem}
header,main,footer{padding:0 .8rem}header{padding-top:1rem}
figure,.card{padding:.6rem .5rem}svg text{font-size:14px}svg .cell{font-size:12px}}
@media print{nav{display:none}figure{break-inside:avoid}}
)css";

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_REPORT_STYLE_H_
