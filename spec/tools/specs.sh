#!/bin/sh
# specs.sh JOBS FILE... -- runs busted on each file in a process of its own, JOBS at a time,
# in the order given; specs.lua tells what came of each, and the sum. ONE is the command that
# runs one file, LUA the interpreter. Ctrl-C, or an end of this shell, ends all of them.

jobs=$1
shift
dir=$(mktemp -d) || exit 1
mkfifo "$dir/done"

# A line for each file that begins, "+ FILE", and that has ended, "STATUS FILE"; xargs
# begins no more of them when the reader has gone.
one='
  name=$(echo "$1" | tr / _)
  echo "+ $1" || exit 255
  eval "$ONE \"\$1\"" > "$dir/$name" 2>&1
  echo "$? $1" || exit 255'

# All processes of the queue, in whatever group: they are one session, led by the queue.
end_all() {
  for stat in /proc/[0-9]*/stat; do
    read -r line 2>/dev/null < "$stat" || continue
    # shellcheck disable=SC2086
    set -- ${line##*) } # state, parent, group, session
    [ "$4" = "$queue" ] && kill -KILL "${line%% *}" 2>/dev/null
  done
}

stop() {
  trap '' INT TERM HUP
  end_all
  end_all # what began meanwhile
  wait
  rm -r "$dir"
  exit "$1"
}

export dir
for file; do echo "$file"; done > "$dir/files"
setsid xargs -P "$jobs" -n 1 sh -c "$one" one < "$dir/files" > "$dir/done" &
queue=$!
trap 'stop 130' INT
trap 'stop 143' TERM HUP
setsid "${LUA:-lua5.4}" spec/tools/specs.lua "$dir" "$@" < "$dir/done" &
wait $!
stop $?
