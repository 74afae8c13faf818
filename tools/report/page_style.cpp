// Colours: runs and purposes after Okabe and Ito, told apart by colour-blind readers too; ranks in
// shades of one blue, light to dark, or dark to light on a dark page.
#include "tools/report/page.h"

namespace ab::report {

const char* const kPageStyle = R"css(
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--soft:#59636e;--line:#cdd4db;--grid:#e8ecf0;
--card:#f6f8fa;--good:#1a7f4b;--bad:#b3261e;--open:#8a5a00;
--r0:#0072b2;--r1:#d55e00;--r2:#009e73;--r3:#b5579a;--r4:#a87900;--r5:#3aa0d8;--r6:#7a4b2a;--r7:#4d4d4d;
--p-warmup:#eceff3;--p-ab:#fcecc9;--p-rebound:#d9efe4;--p-other:#e9e2f1;
--q0:#0072b2;--q1:#e69f00;--q2:#009e73;--q3:#cc79a7;--q4:#56b4e9;--q5:#d55e00;--q6:#f0e442;--q7:#9aa4ae;
--h0:#f2f7fc;--h1:#deebf7;--h2:#c6dbef;--h3:#9ecae1;--h4:#6baed6;--h5:#4292c6;--h6:#2171b5;--h7:#08519c;
--h8:#08306b;--s0:#bcd3e8;--s1:#93b9d9;--s2:#659cc8;--s3:#3a7db3;--s4:#1a5c95;--s5:#083a6b;--mark:#d55e00}
@media (prefers-color-scheme:dark){:root{--bg:#12161a;--fg:#e3e7eb;--soft:#9aa5b0;--line:#3a434c;
--grid:#232a31;--card:#1a2026;--good:#57c58c;--bad:#f2877e;--open:#e0b35c;
--r0:#4aa8e0;--r1:#f28a4b;--r2:#35c496;--r3:#df9cc8;--r4:#dcb444;--r5:#8fd0f5;--r6:#c89a76;--r7:#c4c9ce;
--p-warmup:#232a31;--p-ab:#413418;--p-rebound:#183a2e;--p-other:#302640;
--q0:#4aa8e0;--q1:#e8ad2e;--q2:#2fb98c;--q3:#d98fba;--q4:#8fd0f5;--q5:#ee7d3c;--q6:#efe66b;--q7:#75808a;
--h0:#151d26;--h1:#17293b;--h2:#1a3652;--h3:#1d4870;--h4:#235e91;--h5:#3178b0;--h6:#4f97cb;--h7:#86bce3;
--h8:#c3def4;--s0:#234a70;--s1:#2c6294;--s2:#3c7fb5;--s3:#5c9fd0;--s4:#8cc0e6;--s5:#c9e4f8;--mark:#f28a4b}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif}
header,main,footer{max-width:1320px;margin:0 auto;padding:0 20px}
header{padding-top:28px}
h1{font-size:24px;font-weight:600;margin:0 0 6px;overflow-wrap:anywhere}
h2{font-size:18px;font-weight:600;margin:0 0 10px;padding-top:18px;border-top:1px solid var(--line)}
h3{font-size:15px;font-weight:600;margin:18px 0 4px}
section{margin:30px 0}
p{margin:6px 0;max-width:92ch}
code{font:13px ui-monospace,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
nav{display:flex;flex-wrap:wrap;gap:2px 16px;font-size:14px}
a{color:var(--r0)}
footer{padding-top:12px;padding-bottom:28px;color:var(--soft);font-size:13px}
.note,.aside{color:var(--soft);font-size:13px;font-weight:400}
.legend{display:flex;flex-wrap:wrap;gap:2px 18px;font-size:13px;color:var(--soft);max-width:none}
.legend>span{display:inline-flex;align-items:center;gap:6px}
.swatch{display:inline-block;width:18px;height:12px;border:1px solid var(--line)}
.mark{display:inline-block;width:18px;height:0;border-top:3px solid var(--c);vertical-align:middle;margin-right:6px}
.mark.dashed{border-top-style:dashed}.mark.dotted{border-top-style:dotted}
.r0{--c:var(--r0)}.r1{--c:var(--r1)}.r2{--c:var(--r2)}.r3{--c:var(--r3)}.r4{--c:var(--r4)}.r5{--c:var(--r5)}.r6{--c:var(--r6)}.r7{--c:var(--r7)}
.s0{--c:var(--s0)}.s1{--c:var(--s1)}.s2{--c:var(--s2)}.s3{--c:var(--s3)}.s4{--c:var(--s4)}.s5{--c:var(--s5)}
.ghost{--c:var(--line)}
.p-warmup{fill:var(--p-warmup);background:var(--p-warmup)}.p-ab{fill:var(--p-ab);background:var(--p-ab)}
.p-rebound{fill:var(--p-rebound);background:var(--p-rebound)}.p-other{fill:var(--p-other);background:var(--p-other)}
.q0{background:var(--q0)}.q1{background:var(--q1)}.q2{background:var(--q2)}.q3{background:var(--q3)}
.q4{background:var(--q4)}.q5{background:var(--q5)}.q6{background:var(--q6)}.q-other{background:var(--q7)}
.scroll{overflow-x:auto;max-width:100%;background:linear-gradient(90deg,var(--bg) 30%,transparent) 0 0/36px 100% no-repeat local,linear-gradient(270deg,var(--bg) 30%,transparent) 100% 0/36px 100% no-repeat local,linear-gradient(90deg,#0002,transparent) 0 0/9px 100% no-repeat,linear-gradient(270deg,#0002,transparent) 100% 0/9px 100% no-repeat}
table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums;margin:8px 0}
th,td{padding:4px 10px;text-align:right;white-space:nowrap}
th{font-weight:600;color:var(--soft);vertical-align:bottom}
thead th{border-bottom:1px solid var(--line);white-space:normal;min-width:64px}
tbody tr{border-bottom:1px solid var(--grid)}
th.l,td.l{text-align:left}
th:first-child,td:first-child{padding-left:0}
tr.group th{text-align:left;color:var(--fg);padding-top:14px}
tr.published td{color:var(--soft);font-style:italic}
.status.good{color:var(--good)}.status.bad{color:var(--bad);font-weight:600}.status.open{color:var(--open);font-weight:600}
.places{padding-left:0;list-style:none;font-size:13px;color:var(--soft)}
.notes{border-left:3px solid var(--open);background:var(--card);padding:2px 14px;font-size:13px;overflow-wrap:anywhere}
.notes ul{padding-left:18px}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,520px),1fr));gap:22px 36px;margin-top:10px}
.charts.three{grid-template-columns:repeat(auto-fill,minmax(min(100%,340px),1fr))}
.charts.many{grid-template-columns:repeat(auto-fill,minmax(min(100%,200px),1fr));gap:14px 20px}
figure{margin:0;min-width:0;break-inside:avoid}
figcaption{font-weight:600;font-size:14px}
.small figcaption{font-size:12px;overflow-wrap:anywhere}
.yt,.xt,.xs,.ys{font-size:12px;color:var(--soft)}
.small .yt,.small .xt,.small .xs,.small .ys{font-size:11px}
.frame{display:grid;grid-template-columns:46px minmax(0,1fr) 12px;margin-top:8px}
.small .frame{grid-template-columns:38px minmax(0,1fr) 8px}
.plot{grid-column:2;grid-row:1;height:250px;position:relative;border-left:1px solid var(--line);border-bottom:1px solid var(--line)}
.three .plot{height:170px}.many .plot{height:110px}
.plot svg{display:block;width:100%;height:100%;overflow:hidden}
.ys{grid-column:1;grid-row:1;position:relative}
.ys span{position:absolute;right:6px;transform:translateY(-50%);line-height:1;font-variant-numeric:tabular-nums}
.rm{grid-column:1;grid-row:2;padding-top:4px;text-align:right}.rm .mark{display:block;width:14px;height:8px;border-top-width:3px;margin:0 6px 0 auto;transform:translateY(2px)}
.rs{grid-column:2;grid-row:2;padding-top:4px}.rs svg{display:block;width:100%}
.xs{grid-column:2;grid-row:3;position:relative;height:18px}
.xs span{position:absolute;transform:translateX(-50%);top:3px;font-variant-numeric:tabular-nums}
.xt{grid-column:2;grid-row:4;text-align:center}
path{fill:none;vector-effect:non-scaling-stroke}
.grid{stroke:var(--fg);stroke-opacity:.1;stroke-width:1}
.level{stroke:var(--mark);stroke-width:1.2;stroke-dasharray:4 3}
.curve{stroke:var(--c);stroke-width:1.7;stroke-linejoin:round}
.curve.raw{stroke-width:1;stroke-opacity:.45}.curve.mean{stroke-width:2.2}.curve.thin{stroke-width:1}.curve.ghost{stroke-width:1}
.small .curve{stroke-width:1.3}
.curve.dashed{stroke-dasharray:6 3}.curve.dotted{stroke-dasharray:2 3}
.dots{stroke:var(--c);stroke-width:5.5;stroke-linecap:round}
.cross{stroke:var(--soft);stroke-width:1}
#tip{position:fixed;z-index:9;pointer-events:none;background:var(--bg);color:var(--fg);border:1px solid var(--line);border-radius:4px;padding:5px 9px;font-size:12px;line-height:1.45;box-shadow:0 2px 8px #0003;font-variant-numeric:tabular-nums;max-width:260px}
#tip[hidden]{display:none}
.maps{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,420px),1fr));gap:20px 40px}
.heat{border-collapse:separate;border-spacing:1px;font-size:11px}
.heat th,.heat td{padding:0 3px;line-height:17px;min-width:5px}
.heat.numbers td{min-width:27px;text-align:right}
.heat thead th{min-width:0;border:0}
.heat tbody tr{border:0}
.heat th.l{padding-right:8px;color:var(--fg);font-weight:400}
.heat .full{color:var(--soft);padding-left:8px}
.h0{background:var(--h0)}.h1{background:var(--h1)}.h2{background:var(--h2)}.h3{background:var(--h3)}.h4{background:var(--h4)}
.h5{background:var(--h5);color:#fff}.h6{background:var(--h6);color:#fff}.h7{background:var(--h7);color:#fff}.h8{background:var(--h8);color:#fff}
@media (prefers-color-scheme:dark){.h7,.h8,.h6{color:#06121e}}
.heat .none{background:repeating-linear-gradient(45deg,var(--grid) 0 3px,transparent 3px 6px)}
.larger{background-image:linear-gradient(225deg,var(--mark) 4px,transparent 4.5px)}
.scale i{width:18px;height:12px;display:inline-block}.scale{gap:1px!important}
.corner{width:18px;height:12px;display:inline-block;background-color:var(--h7)}
.line{display:inline-block;width:16px;height:0;border-top:2px solid var(--c);vertical-align:middle;margin-right:2px}
.line.cut{border-top:2px dashed var(--mark)}
details{margin:6px 0}
summary{cursor:pointer;font-size:14px}
.bars summary{font-size:13px;color:var(--soft)}
.blocks{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,520px),1fr));gap:22px 36px;margin-top:10px}
.bar{display:grid;grid-template-columns:84px minmax(0,1fr) 78px;align-items:center;gap:8px;font-size:12px;line-height:20px}
.bl{color:var(--soft);text-align:right}
.bb{display:flex;height:14px;background:var(--card)}
.bb i{flex:none;min-width:0}
.bv{text-align:right;font-variant-numeric:tabular-nums}
@media (max-width:600px){header,main,footer{padding-left:14px;padding-right:14px}h1{font-size:20px}.plot{height:210px}.charts.many{grid-template-columns:1fr 1fr}.status{display:inline-block;min-width:104px;white-space:normal}}
@media print{body{font-size:11px}nav,#tip{display:none}section{margin:14px 0}*{print-color-adjust:exact;-webkit-print-color-adjust:exact}.scroll{overflow:visible}}
)css";

}  // namespace ab::report
