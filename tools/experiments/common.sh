# What the CIFAR-10 experiments share: runs that are skipped once finished, and one form of table.
# Sourced by the scripts beside it, from the root of the tree. They set `data` and `config`.
# Environment: AB_BIN (default build/release/bin), AB_OUT (each script's own default).
abtrain=${AB_BIN:-build/release/bin}/abtrain
ranks=4
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

# number FILE KEY: a number of a JSON file, the first of that key.
number() {
  awk -F: -v RS='[,{}]' -v key="$2" '
    { gsub(/[ \t\n"]/, "", $1) } $1 == key { gsub(/[ \t\n]/, "", $2); print $2; exit }' "$1"
}

# finished FOLDER COMMAND: a run of these very settings ended well there.
finished() {
  [ -f "$1/summary.json" ] && [ "$(number "$1/summary.json" exit)" = 0 ] &&
    [ "$(cat "$1.command" 2>/dev/null)" = "$2" ]
}

# once FOLDER COMMAND...: with --out FOLDER, unless the same command ended well there before.
once() {
  local folder=$1 command="${*:2}"
  if finished "$folder" "$command"; then return; fi
  mkdir -p "$(dirname "$folder")"
  rm -rf "${folder:?}" "$folder.command"
  echo "$(basename "$folder") (log: $folder.log)" >&2
  "${@:2}" --out "$folder" >"$folder.log" 2>&1 || { tail -n 5 "$folder.log" >&2; exit 1; }
  echo "$command" >"$folder.command"
}

# train FOLDER METHOD [key=value ...]: four MPI ranks, niced, unless it has been done.
train() {
  local folder=$1 method=$2 settings=() setting
  shift 2
  for setting in "$@"; do settings+=(--set "$setting"); done
  once "$folder" nice -n 10 mpirun --oversubscribe --bind-to none -n $ranks "$abtrain" train \
    --config "$config" --method "$method" --data "$data" "${settings[@]}"
}

# figures FOLDER: top-1 last, top-1 best, bytes sent, of these inside groups, ddp's bytes by the
# planner, compression, steps, seconds.
figures() {
  local file=$1/summary.json key
  for key in top1_last top1_best total_sent_bytes; do number "$file" $key; done
  tr -d ' \n"' <"$1/ledger.json" | tr '{' '\n' | awk -F'[:,]' '
    /communicator:group/ { for (i = 1; i < NF; ++i) if ($i == "sent_bytes") sum += $(i + 1) }
    END { printf "%.0f\n", sum }'
  for key in ddp_sent_bytes compression steps seconds; do number "$file" $key; done
}

heading() {  # settings of all runs
  echo "$(basename "$config"), $ranks MPI ranks, groups of 2${*:+, $*}; $("$abtrain" --version);"
  echo "$(awk -F: '/model name/ { sub(/^ /, "", $2); print $2; exit }' /proc/cpuinfo), $(nproc) cores"
  echo
  echo "| run | seeds | top-1 last | to ddp | top-1 best | sent by all ranks | inside groups | reduction | compression | steps | minutes |"
  echo "|---|---|---|---|---|---|---|---|---|---|---|"
}

# row LABEL REFERENCE FOLDER...: means over the folders, with the deviation of the sample. REFERENCE
# is "top-1 bytes" of the ddp run to compare with, or empty: then ddp's bytes are the planner's.
row() {
  local label=$1 reference=$2 folder
  shift 2
  for folder in "$@"; do figures "$folder" | paste -s -d ' '; done |
    awk -v label="$label" -v reference="$reference" '
      { n++; last += $1; squares += $1 * $1; best += $2; sent += $3; inside += $4; ddp += $5
        ratio += $6; steps = $7; seconds += $8 }
      END {
        mean = last / n; variance = n > 1 ? (squares - n * mean * mean) / (n - 1) : 0
        shown = sprintf("%.2f", 100 * mean)
        if (n > 1) shown = shown sprintf(" ± %.2f", 100 * sqrt(variance > 0 ? variance : 0))
        whole = ddp / n; distance = "–"
        if (split(reference, of, " ") == 2) {
          distance = sprintf("%+.2f", 100 * (mean - of[1])); whole = of[2] }
        printf "| %s | %d | %s %% | %s | %.2f %% | %.2f GB | %.2f GB | %.1f %% | %.2f : 1 | %d | %.1f |\n",
          label, n, shown, distance, 100 * best / n, sent / n / 1e9, inside / n / 1e9,
          100 * (1 - sent / n / whole), ratio / n, steps, seconds / n / 60 }'
}

# reference FOLDER...: "top-1 bytes", means over ddp's runs, for row.
reference() {
  local folder
  for folder in "$@"; do figures "$folder" | paste -s -d ' '; done |
    awk '{ n++; last += $1; sent += $3 } END { printf "%.10g %.0f", last / n, sent / n }'
}
