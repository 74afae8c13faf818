#!/usr/bin/env bash
# The inside of tools/cluster/run: first process of new namespaces. Makes hosts, cables and a switch,
# starts mpirun on host0, and compares the interfaces' counters with the run's ledger.
#
# host i: a process that holds a network namespace and a host name (the anchor), with eth0 =
# 10.77.0.(i+1). Packets leave eth0 one by one (gso_max_segs 1), so that its counter holds the headers
# that a real wire would carry: 14 bytes Ethernet, 20 IP, 32 TCP to each 1448 of data.
# As on a cable, packets arrive, once and in order, so that TCP sends nothing twice: one core serves the
# switch (with a queue per core, cores overtake each other), no receiver offers room for more than 175
# packets (that queue holds 1000), and every machine has the same congestion control. Packets above
# 9000 bytes are few, and stay with the core that sends them: one core that serves all would keep its
# rank back, and with it the others.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
hosts=$CLUSTER_HOSTS ranks=$CLUSTER_RANKS

mount --make-rprivate /
mount -t tmpfs tmpfs /dev/shm  # of Open MPI's shared memory
state=/dev/shm/cluster
mkdir -p $state/sys
mount -t sysfs sysfs $state/sys 2>/dev/null || true  # its network devices are those of this namespace
ip link set lo up

burst_bytes() {  # rate: 4 ms of it, at least 32 KiB
  local bits=${1%[kmg]bit}
  case $1 in *kbit) bits=$((bits * 1000)) ;; *mbit) bits=$((bits * 1000000)) ;;
    *gbit) bits=$((bits * 1000000000)) ;; esac
  local bytes=$((bits / 8 / 250))
  echo $((bytes > 32768 ? bytes : 32768))
}

on() {  # host command...
  nsenter -t "${anchors[$1]}" --net --uts "${@:2}"
}

anchors=()
start_host() {
  local host=$1 tries
  unshare --net --uts sh -c "hostname host$host; exec sleep infinity" &
  anchors[host]=$!
  export "CLUSTER_ANCHOR_host$host=$!"
  for tries in {1..200}; do
    [ "$(on "$host" hostname 2>/dev/null)" = "host$host" ] && break
    sleep 0.02
  done
  ip link add "port$host" type veth peer name eth0 netns "${anchors[host]}"
  ip link set "port$host" mtu "$CLUSTER_MTU" master switch up
  [ "$CLUSTER_MTU" -gt 9000 ] ||
    (echo 1 >"$state/sys/class/net/port$host/queues/rx-0/rps_cpus") 2>/dev/null || true
  on "$host" sh -c "
    echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6
    echo reno >/proc/sys/net/ipv4/tcp_congestion_control
    echo 4096 $((88 * CLUSTER_MTU)) $((175 * CLUSTER_MTU)) >/proc/sys/net/ipv4/tcp_rmem
    ip link set lo up
    ip link set eth0 mtu $CLUSTER_MTU gso_max_segs 1 up
    ip address add 10.77.0.$((host + 1))/24 dev eth0" 2>/dev/null
  [ -z "$CLUSTER_RATE" ] || on "$host" tc qdisc add dev eth0 root tbf rate "$CLUSTER_RATE" \
    burst "$(burst_bytes "$CLUSTER_RATE")" latency 100ms
  echo "10.77.0.$((host + 1)) host$host" >>$state/names
}

sent_by() {  # host: what its interface has sent, into $sent (bytes) and $packets
  local line
  while read -r line; do
    case $line in eth0:*)
      set -- ${line#eth0:}
      sent=$9 packets=${10}
      return
      ;;
    esac
  done <"/proc/${anchors[$1]}/net/dev"
}

out_folder() {  # arguments of the command
  while [ $# -gt 0 ]; do
    case $1 in --out) echo "${2:-}"; return ;; --out=*) echo "${1#--out=}"; return ;; esac
    shift
  done
}

sample() {  # until killed
  local line host
  while sleep 0.1; do
    line=$(tail -n 1 "$folder/metrics.jsonl" 2>/dev/null |
      sed -n 's/.*"step":\([0-9]*\).*"phase":"\([a-z]*\)".*/\1 \2/p
              s/.*"phase":"\([a-z]*\)".*"step":\([0-9]*\).*/\2 \1/p' || true)
    line="$EPOCHREALTIME ${line:-0 none}"
    for ((host = 0; host < hosts; ++host)); do
      sent_by $host
      line+=" $((sent - before[host]))"
    done
    echo "$line"
  done >"$CLUSTER_SAMPLES"
}

array() {  # key: the numbers of an array of the ledger
  tr -d ' \n' <"$folder/ledger.json" | sed -n "s/.*\"$1\":\[\([0-9,]*\)\].*/\1/p" | tr , ' '
}

table() {
  local host rank counted data nodes=() bytes=() sums=()
  if [ -n "$folder" ] && [ "$folder/ledger.json" -nt $state/names ]; then
    read -r -a nodes <<<"$(array nodes)"
    read -r -a bytes <<<"$(array per_rank_inter_node_sent_bytes)"
    for rank in "${!nodes[@]}"; do
      ((sums[nodes[rank]] += bytes[rank])) || true
    done
  fi
  printf '%-8s %18s %18s %14s %14s\n' host "counted bytes" "wire bytes" "wire/counted" "data/counted"
  [ -z "$CLUSTER_CSV" ] || echo host,counted,wire,data >"$CLUSTER_CSV"
  for ((host = 0; host < hosts; ++host)); do
    counted=${sums[host]:--}
    sent_by $host
    sent=$((sent - before[host]))
    data=$((sent - 66 * (packets - packets_before[host])))
    printf '%-8s %18s %18s %14s %14s\n' "host$host" "$counted" "$sent" $(awk -v c="$counted" \
      -v w="$sent" -v d=$data 'BEGIN { if (c > 0) printf "%.4f %.4f", w / c, d / c; else print "- -" }')
    [ -z "$CLUSTER_CSV" ] || echo "host$host,$counted,$sent,$data" >>"$CLUSTER_CSV"
  done
}

ip link add switch type bridge
ip link set switch up
cat /etc/hosts >$state/names
for ((host = 0; host < hosts; ++host)); do start_host $host; done
mount --bind $state/names /etc/hosts

folder=$(out_folder "$@")
before=() packets_before=()
for ((host = 0; host < hosts; ++host)); do
  sent_by $host
  before[host]=$sent packets_before[host]=$packets
done
list=$(for ((host = 0; host < hosts; ++host)); do printf ',host%d:%d' $host "$ranks"; done)
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
on 0 env --default-signal=INT,QUIT mpirun --host "${list#,}" -n $((hosts * ranks)) --map-by slot \
  --bind-to none --mca pml ob1 --mca btl vader,tcp,self --mca btl_tcp_if_include eth0 \
  --mca oob_tcp_if_include eth0 --mca plm_rsh_agent "$here/agent" --mca orte_tmpdir_base $state \
  --mca mpi_yield_when_idle 1 "$@" &
mpirun=$!
# mpirun hands USR1 on to every rank, while INT and TERM make it end them within a second.
asked=USR1
ask_to_end() {
  kill -s $asked $mpirun || true
  asked=TERM
}
trap ask_to_end INT TERM
trap 'kill -s USR1 $mpirun || true' USR1
sampler=""
if [ -n "$CLUSTER_SAMPLES" ]; then
  sample &
  sampler=$!
fi
while true; do
  code=0
  wait $mpirun || code=$?
  [ -e /proc/$mpirun/task ] || break
done
[ -z "$sampler" ] || kill $sampler || true
table
exit $code  # the first process of its namespace: everything that is left ends with it
