#!/bin/sh
# dist-check.sh DIR NAME -- builds and tries what `make dist` wrote: DIR/NAME.tar.gz and the
# rock of DIR/NAME-1.rockspec, in a folder outside of any checkout, with no git to call.
set -e
dist=$(cd "$1" && pwd) name=$2
there=$(mktemp -d)
trap 'rm -rf "$there"' EXIT
trap 'exit 1' INT TERM

mkdir "$there/bin"
printf '#!/bin/sh\necho "git was called" >&2\nexit 127\n' >"$there/bin/git"
chmod +x "$there/bin/git"
PATH=$there/bin:$PATH
unset MAKEFLAGS MAKELEVEL LUA_PATH LUA_CPATH

cd "$there"
tar -xzf "$dist/$name.tar.gz"
${MAKE:-make} -C "$name" busted SPECS='spec/rocks_spec.lua spec/tensor_spec.lua spec/print_spec.lua'

command -v luarocks >/dev/null || { echo "no luarocks here: the rock is not tried" >&2; exit 0; }
rocks="luarocks --lua-version 5.4 --tree $there/tree"
ok() { "$@" >log 2>&1 || { cat log; exit 1; }; }
ok $rocks pack "$dist/$name-1.rockspec" # a rock of the source
ok $rocks install "$name-1.src.rock"
version=$(cd / && "$there/tree/bin/mare" -e 'print(mare.version)')
[ "mare-$version" = "$name" ] || { echo "the rock says version $version" >&2; exit 1; }
ok $rocks pack mare # a rock of what was built
ok $rocks remove mare
left=$(find tree -type f ! -name 'manifest*' ! -name 'index.html')
[ -z "$left" ] || { echo "the rock leaves $left" >&2; exit 1; }
ls "$name-1.linux-"*.rock >/dev/null
echo "the tarball builds and passes; the rock is packed, installs, answers and is removed"
