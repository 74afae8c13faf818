#!/usr/bin/env bash
# A page of two short runs in headless Chromium: no message in the console, no sideways scrolling,
# every chart drawn (tools/experiments/report_check.sh). Skipped where there is no Chromium.
# Usage: report_browser_test.sh ABTRAIN
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for method in ddp ab; do
  "$1" train --config models/configs/mnist/resnet_quickstart.json --method $method --local-ranks 2 \
    --data data/samples/mnist --steps 12 --set data.local_batch=8 --set ab.ab_steps=4 \
    --set train.eval_every=0 --out "$work/$method" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
done
"$1" report "$work/ddp" "$work/ab" -o "$work/page.html"
tools/experiments/report_check.sh "$work/page.html"
