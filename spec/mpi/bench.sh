#!/bin/sh
# bench.sh -- the table of `make mpi-bench`: RANKS, or 1, 2 and 4; each with one thread, unless
# MARE_THREADS says otherwise.  NOISY=1: the fastest steps, on a machine that others use.
export MARE_THREADS="${MARE_THREADS:-1}" OMPI_ALLOW_RUN_AS_ROOT=1 \
  OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 \
  OMPI_MCA_hwloc_base_binding_policy=none
for n in ${RANKS:-1 2 4}; do
  "$MPIRUN" -n "$n" "$LUA" spec/mpi/bench.lua "$@" || exit 1
done
