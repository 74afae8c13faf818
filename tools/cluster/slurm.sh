#!/usr/bin/env bash
# Slurm of Debian's packages on this one machine, for trying and testing launches with srun and sbatch:
# its own munge, controller and node daemon, with their own folder, key and ports on 127.0.0.1. Nothing
# outside of that folder is written or read; a Slurm that runs already is left alone.
#
# Usage:
#   tools/cluster/slurm.sh run -- command [arguments]   starts it, runs the command, stops it again
#   tools/cluster/slurm.sh start                        starts it; eval what it prints to use it:
#                                                         eval "$(tools/cluster/slurm.sh start)"
#                                                         srun -n 4 --mpi=pmix abtrain train ...
#   tools/cluster/slurm.sh stop [FOLDER]                ends it and removes its folder
#                                                       (default: the folder of SLURM_CONF)
# Environment of start and run: SLURM_CPUS (default 12) processors that the node claims to have, so that
#   more ranks than cores may start.
# The node: MpiDefault=pmix, proctrack/linuxproc, task/none, a job whose script ends with 75 is queued
# again (RequeueExit), one partition "all" without a time limit.
# Needs root and slurmctld, slurmd, slurm-client, munge (tools/install_dependencies.sh --slurm).
# Exit code: 0; of run: the command's; 2 wrong usage; 77 where it cannot be started.
set -euo pipefail
usage() { sed -n '2,/^set -/{/^set -/!s/^# \{0,1\}//p}' "$0"; }
refuse() { echo "cluster/slurm.sh: $2" >&2; exit "$1"; }

check() {
  [ "$(id -u)" = 0 ] || refuse 77 "needs root, to start the daemons: run it with sudo"
  local program
  for program in munged slurmctld slurmd srun sbatch scontrol; do
    command -v $program >/dev/null ||
      refuse 77 "no $program here; tools/install_dependencies.sh --slurm installs what is missing"
  done
}

write_config() {
  local host port
  host=$(hostname -s) port=$((20000 + $$ % 20000))
  dd if=/dev/urandom of="$state/munge.key" bs=1024 count=1 status=none
  chmod 600 "$state/munge.key"
  mkdir "$state/save" "$state/spool"
  cat >"$state/slurm.conf" <<CONF
ClusterName=cluster
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmctldPort=$port
SlurmdPort=$((port + 1))
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
AuthType=auth/munge
AuthInfo=socket=$state/munge.socket
CredType=cred/munge
SlurmctldPidFile=$state/slurmctld.pid
SlurmdPidFile=$state/slurmd.pid
SlurmctldLogFile=$state/slurmctld.log
SlurmdLogFile=$state/slurmd.log
StateSaveLocation=$state/save
SlurmdSpoolDir=$state/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=pmix
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_min_interval=0
RequeueExit=75
ReturnToService=2
KillWait=10
SlurmdParameters=config_overrides
NodeName=$host NodeAddr=127.0.0.1 CPUs=${SLURM_CPUS:-12} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
}

# The daemons stay in the foreground of background jobs. With run they die with this shell.
launch() {  # name command...
  local name=$1
  shift
  setsid ${guard:-} "$@" </dev/null >>"$state/$name.out" 2>&1 &
  echo $! >>"$state/daemons"
}

start() {
  state=$(mktemp -d /tmp/abtrain-slurm.XXXXXX)
  export SLURM_CONF=$state/slurm.conf
  write_config
  launch munged munged --foreground --force --key-file="$state/munge.key" \
    --socket="$state/munge.socket" --pid-file="$state/munged.pid" \
    --seed-file="$state/munge.seed" --log-file="$state/munged.log"
  local tries
  for tries in {1..100}; do [ ! -S "$state/munge.socket" ] || break; sleep 0.05; done
  launch slurmctld slurmctld -D -i -f "$SLURM_CONF"
  launch slurmd slurmd -D -f "$SLURM_CONF"
  for tries in {1..150}; do
    [ "$(sinfo -h -o %T 2>/dev/null)" != idle ] || return 0
    sleep 0.1
  done
  tail -n 5 "$state"/*.log "$state"/*.out >&2 || true
  stop
  refuse 77 "the node did not become idle within 15 s; the logs' ends stand above"
}

stop() {
  local pid tries
  SLURM_CONF=$state/slurm.conf timeout 5 scancel --user=root 2>/dev/null || true
  for pid in $(tac "$state/daemons" 2>/dev/null); do
    kill "$pid" 2>/dev/null || continue
    for tries in {1..50}; do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    kill -KILL "$pid" 2>/dev/null || true
  done
  rm -rf "$state"
}

case ${1:-} in
  -h | --help) usage ;;
  start)
    check
    start
    echo "export SLURM_CONF=$SLURM_CONF"
    ;;
  stop)
    state=${2:-$(dirname "${SLURM_CONF:-}")}
    [ -f "$state/daemons" ] || refuse 2 "stop: no Slurm of this script in \"$state\"; name its folder"
    stop
    ;;
  run)
    [ "${2:-}" = -- ] && [ $# -gt 2 ] || refuse 2 "run: write the command after --; see --help"
    shift 2
    check
    guard="setpriv --pdeathsig TERM"
    state=""
    trap '[ -z "$state" ] || stop' EXIT
    trap 'exit 130' INT TERM
    start
    "$@"
    ;;
  *) refuse 2 "${1:+unknown command $1; }the commands are run, start and stop; see --help" ;;
esac
