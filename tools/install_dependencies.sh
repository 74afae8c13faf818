#!/usr/bin/env bash
# Installs what is missing to build and test abtrain on Debian 12/13 or Ubuntu 24.04; quick and silent
# about it when nothing is. Uses sudo only when not root.
# Usage: tools/install_dependencies.sh [--checks] [--cluster] [--fuzz] [--plots] [--slurm] [--list]
#   --checks  also what the checks of .ci/run need: clang-format, clang-tidy
#   --cluster also what tools/cluster/run needs: namespaces, bridges, shaped links
#   --fuzz    also clang with libFuzzer, for tools/fuzz.sh
#   --plots   also matplotlib, for the pictures of tools/experiments/bandwidth.sh
#   --slurm   also what tools/cluster/slurm.sh needs: Slurm's daemons and munge
#   --list    only prints the packages
set -euo pipefail
packages=(g++ cmake ninja-build git      # build
  libdnnl-dev                            # oneDNN: matrix products and convolutions on the host
  liblapacke-dev libopenblas-dev         # LAPACK: decompositions on the host
  libopenmpi-dev openmpi-bin             # ranks in several processes
  libcli11-dev nlohmann-json3-dev        # command line, configuration
  libjpeg-dev libpng-dev zlib1g-dev      # JPEG, PNG, gzip
  catch2 libstb-dev)                     # tests (stb_image_write: pictures to decode)
list=0
for argument in "$@"; do
  case $argument in
    --checks) packages+=(clang-format clang-tidy) ;;
    --cluster) packages+=(iproute2 util-linux) ;;
    --fuzz) packages+=(clang libclang-rt-dev) ;;
    --plots) packages+=(python3-matplotlib) ;;
    --slurm) packages+=(slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge) ;;
    --list) list=1 ;;
    *) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 2 ;;
  esac
done
if [ $list = 1 ]; then printf '%s\n' "${packages[@]}"; exit 0; fi

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  echo "install_dependencies: no apt on this system; install the like of: ${packages[*]}" >&2
  exit 2
fi
missing=()
for package in "${packages[@]}"; do
  state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} = 0 ]; then exit 0; fi

as_root=()
if [ "$(id -u)" != 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "install_dependencies: not root and no sudo; as root run" >&2
    echo "  apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 2
  fi
  as_root=(sudo)
fi
echo "Installing ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y -q "$@" >"$log" 2>&1; }
if ! { apt update && apt install --no-install-recommends "${missing[@]}"; }; then
  cat "$log" >&2
  echo "install_dependencies: apt-get failed (its output stands above); wanted: ${missing[*]}" >&2
  exit 1
fi
