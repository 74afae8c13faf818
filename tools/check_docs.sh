#!/usr/bin/env bash
# Fails where the documentation has come apart from the repository:
#   - a relative link in README.md, docs/ or a folder's README that points at no file, or at no heading
#   - a configuration or script (models/, tools/, tests/) named in text or commands that is not there
#   - a link written [`name`](source file) whose last word does not occur in that file
#   - docs/configuration.md unlike what `abtrain help-config` prints; --fix writes it anew
# The last check needs a built program: ABTRAIN, or build/release/bin/abtrain; it is left out, and said
# to be, where there is none.
# Usage: tools/check_docs.sh [--fix] [folder]   (default: this repository)
set -euo pipefail
fix=0
if [ "${1:-}" = --fix ]; then fix=1; shift; fi
program=${ABTRAIN:-}
[ -z "$program" ] || program=$(realpath "$program")
cd "${1:-$(dirname "$0")/..}"
[ -n "$program" ] || program=build/release/bin/abtrain
mapfile -t files < <(find . \( -name build -o -name runs -o -name .git \) -prune -o -type f -name '*.md' \
  -print | sed 's|^\./||' | sort)
if [ ${#files[@]} = 0 ]; then echo "check_docs: no .md file in $PWD" >&2; exit 2; fi
bad=0
complain() { echo "$*"; bad=$((bad + 1)); }

# "file <tab> line <tab> text <tab> target" for every link outside code blocks.
links() {
  awk '
    FNR == 1 { code = 0 }
    /^[ \t]*```/ { code = !code }
    code { next }
    {
      line = $0
      while (match(line, /\]\([^() \t]+(\(\))?[^() \t]*\)/)) {
        text = substr(line, 1, RSTART - 1)
        sub(/.*\[/, "", text)  # a text that began on the line before keeps its tail: no name
        printf "%s\t%d\t%s\t%s\n", FILENAME, FNR, text, substr(line, RSTART + 2, RLENGTH - 3)
        line = substr(line, RSTART + RLENGTH)
      }
    }' "$@"
}

# The anchors of a Markdown file: its headings in lower case, punctuation gone, blanks as hyphens.
anchors() {
  awk '/^[ \t]*```/ { code = !code } !code && /^#+ / { sub(/^#+ +/, ""); print tolower($0) }' "$1" |
    sed 's/[^a-z0-9 _-]//g; s/ /-/g'
}

count=0
while IFS=$'\t' read -r file line text target; do
  case $target in *://* | mailto:*) continue ;; esac
  count=$((count + 1))
  path=${target%%#*} anchor=""
  case $target in *'#'*) anchor=${target#*#} ;; esac
  if [ -z "$path" ]; then path=$file; else path=$(dirname "$file")/$path; fi
  if [ ! -e "$path" ]; then
    complain "$file:$line: link to $target, which does not exist"
  elif [ -n "$anchor" ] && [ -f "$path" ] && ! anchors "$path" | grep -qxF -- "$anchor"; then
    complain "$file:$line: link to $target, but the file has no such heading"
  elif [[ $path =~ \.(h|cpp|cu)$ && $text =~ ^\`([A-Za-z0-9_:~]+)(\(\))?\`$ ]]; then
    word=${BASH_REMATCH[1]##*::}
    grep -qw -- "$word" "$path" || complain "$file:$line: $target does not mention $word"
  fi
done < <(links "${files[@]}")

while IFS=: read -r file line path; do
  [ -e "$path" ] || complain "$file:$line: $path does not exist"
done < <(grep -HnoE '\b(models|tools|tests)/[A-Za-z0-9_/.-]+\.(json|sh|py)\b' "${files[@]}")

page=docs/configuration.md
if [ -x "$program" ]; then
  keys=$("$program" help-config)
  [ $fix = 0 ] || printf '%s\n' "$keys" >"$page"
  printf '%s\n' "$keys" | diff -u "$page" - ||
    complain "$page: differs from what $program help-config prints; write it with --fix"
else
  echo "check_docs: $page not compared: no $program"
fi
if [ $bad -gt 0 ]; then echo "check_docs: $bad violations"; exit 1; fi
echo "check_docs: $count links in ${#files[@]} files lead somewhere"
