#!/bin/sh
# hosts.sh -- one model trained by processes of two hosts: network namespaces with host names of
# their own and a cable between them.  mpirun runs on either in turn and starts the others
# through this script, as it would through ssh: hosts.sh ADDRESS COMMAND ...
# The weights must be those of one process, and a rank that dies on one host must end all.

moon=10.213.7.1 tide=10.213.7.2 # the two hosts
here=${MARE_HOSTS:-mare$$}      # what their namespaces are called begins with this

# runs a command on the host of this address
on() {
  host=$1
  shift
  case $host in
    "$moon") name=moon ;;
    "$tide") name=tide ;;
    *) echo "hosts.sh: no host $host" >&2; exit 1 ;;
  esac
  ip netns exec "$here$name" unshare --uts sh -c "hostname $name; $*"
}

if [ -n "$MARE_HOSTS" ]; then # mpirun has called
  on "$@"
  exit
fi

skip() { echo "mpi-hosts: skipped, $*"; exit 0; }
[ "$(id -u)" = 0 ] || skip "only root makes network namespaces"
for tool in ip unshare "$MPIRUN"; do
  command -v "$tool" >/dev/null || skip "there is no $tool (Debian: iproute2 util-linux openmpi-bin)"
done
"$MPIRUN" --version 2>&1 | grep -q "Open MPI" || skip "$MPIRUN is not that of Open MPI"

work=$(mktemp -d)
clean() {
  ip netns del "${here}moon" 2>/dev/null
  ip netns del "${here}tide" 2>/dev/null
  rm -rf "$work"
}
trap clean EXIT
trap 'exit 1' INT TERM

connect() {
  ip netns add "${here}moon" && ip netns add "${here}tide" &&
    ip link add moon netns "${here}moon" type veth peer name tide netns "${here}tide" &&
    ip -n "${here}moon" addr add $moon/24 dev moon && ip -n "${here}moon" link set moon up &&
    ip -n "${here}tide" addr add $tide/24 dev tide && ip -n "${here}tide" link set tide up &&
    ip -n "${here}moon" link set lo up && ip -n "${here}tide" link set lo up
}
connect 2>"$work/why" || skip "no network namespaces here: $(cat "$work/why")"

agent=$(cd "$(dirname "$0")" && pwd)/hosts.sh
export MARE_THREADS=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

# job HOST SCRIPT ...: four ranks, two on each host, started on the first
job() {
  first=$1
  shift
  [ "$first" = $moon ] && second=$tide || second=$moon
  MARE_HOSTS=$here "$agent" "$first" "cd '$PWD' && timeout 60 $MPIRUN -n 4 \
    --host $first:2,$second:2 --mca plm_rsh_agent '$agent' --mca btl self,tcp \
    --mca btl_tcp_if_include 10.213.7.0/24 --mca oob_tcp_if_include 10.213.7.0/24 \
    --bind-to none -x LUA_PATH -x LUA_CPATH -x MARE_THREADS -x MARE_HOSTS $LUA $*"
}

fail() { echo "mpi-hosts: $*" >&2; exit 1; }

runs="plain small,uneven fit,clip"
"$LUA" spec/mpi/train.lua 32 $runs >"$work/one" || fail "one process failed"
for host in $moon $tide; do
  job $host spec/mpi/train.lua 8 $runs >"$work/$host" || fail "the run started on $host failed"
  "$LUA" spec/mpi/same.lua "$work/one" "$work/$host" 1e-10 || fail "the weights differ"
  job $host spec/mpi/where.lua || fail "the ranks do not tell where they are"
done

began=$(date +%s)
job $moon spec/mpi/lost.lua killed >"$work/lost" 2>&1 && fail "a job with a lost rank succeeded"
grep -q "signal 9" "$work/lost" || fail "no word of the lost rank: $(cat "$work/lost")"
echo "rank 2, on the other host, killed: the job ended after $(($(date +%s) - began)) s"
