#!/usr/bin/env bash
# Fetches cuDNN's C++ headers (cudnn-frontend, MIT licence) from the PyPI wheel nvidia-cudnn-frontend,
# without its dependencies, and unpacks its include/ folder. Does nothing where they are already there.
# Usage: tools/fetch_cudnn_frontend.sh FOLDER   -> FOLDER/include/cudnn_frontend.h
set -euo pipefail
if [ $# != 1 ]; then echo "usage: $0 FOLDER" >&2; exit 2; fi
version=1.32.0
folder=$1
[ ! -f "$folder/include/cudnn_frontend.h" ] || exit 0
mkdir -p "$folder"
wheels=$(mktemp -d)
trap 'rm -rf "$wheels"' EXIT
if ! python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
  --dest "$wheels" "nvidia-cudnn-frontend==$version" >&2; then
  echo "fetch_cudnn_frontend: pip could not fetch nvidia-cudnn-frontend $version; install cudnn-frontend's" \
    "headers where the compiler finds them, or unpack the wheel's include/ into $folder" >&2
  exit 1
fi
python3 - "$wheels" "$folder" <<'PYTHON'
import glob, sys, zipfile
wheel = zipfile.ZipFile(glob.glob(sys.argv[1] + "/*.whl")[0])
wheel.extractall(sys.argv[2], [n for n in wheel.namelist() if n.startswith("include/")])
PYTHON
echo "fetch_cudnn_frontend: version $version in $folder/include"
