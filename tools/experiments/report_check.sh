#!/usr/bin/env bash
# Opens pages of `abtrain report` in headless Chromium, at a phone's and a desktop's width, light and
# dark, and fails on any message in the console, a request for another resource, a chart without a
# curve, or a page wider than its window. Skipped, and said to be, where there is no Chromium.
# Usage: tools/experiments/report_check.sh [--shots DIR] PAGE.html...
#   --shots DIR  leaves a PNG of the whole page and of the first screen for each width
# Environment: AB_CHROMIUM (default: the first of chromium, chromium-browser, google-chrome).
set -euo pipefail
if [ $# -lt 1 ]; then
  sed -n '5,7s/^# //p' "$0" >&2
  exit 2
fi
browser=${AB_CHROMIUM:-}
for name in chromium chromium-browser google-chrome; do
  [ -n "$browser" ] || browser=$(command -v "$name" || true)
done
if [ -z "$browser" ] || ! command -v python3 >/dev/null; then
  echo "report_check: skipped: needs Chromium (apt-get install chromium) and python3"
  exit 0
fi
exec python3 "$(dirname "$0")/report_check.py" "$browser" "$@"
