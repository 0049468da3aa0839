#!/bin/sh
# deps.sh GROUP... -- installs what a group of make targets needs and is not there yet.
# One line for each thing: group, Debian package, a file that tells that it is there.
# Files are looked for instead of asking dpkg, so things installed by hand count too.

multiarch=$(gcc -print-multiarch 2>/dev/null)

needs() {
  cat <<END
run   libc6-dev              include/stdio.h
run   lua5.4                 bin/lua5.4
run   liblua5.4-dev          include/lua5.4/lua.h include/lua.h include/lua/5.4/lua.h
run   libblis-openmp-dev     include/$multiarch/blis-openmp/blis.h include/$multiarch/blis-pthread/blis.h include/blis/blis.h include/blis.h
run   zlib1g-dev             include/zlib.h
run   liblapacke-dev         include/lapacke.h
run   lua-readline           share/lua/5.4/readline.lua
run   lua-argparse           share/lua/5.4/argparse.lua
mpi   libopenmpi-dev         lib/$multiarch/openmpi/include/mpi.h lib/$multiarch/mpich/include/mpi.h include/mpi.h
mpi   openmpi-bin            bin/mpirun
test  lua-busted             share/lua/5.4/busted/runner.lua
test  lua-check              bin/luacheck
test  valgrind               bin/valgrind
test  locales                share/i18n/locales/de_DE
test  binutils               bin/nm
test  gnuplot-nox            bin/gnuplot
test  dataset-fashion-mnist  share/datasets/fashion-mnist/train-images-idx3-ubyte.gz share/dataset-fashion-mnist share/fashion-mnist
hosts lua-socket             share/lua/5.4/socket.lua
hosts lighttpd               sbin/lighttpd
hosts lighttpd-modules-lua   lib/lighttpd/mod_magnet.so
hosts nghttp2-client         bin/h2load
hosts prosody                bin/prosody
hosts gringo                 bin/clingo
hosts dovecot-core           lib/dovecot/modules/lib01_mail_lua_plugin.so
hosts dnsmasq-base-lua       share/doc/dnsmasq-base-lua
bench python3-torch          lib/python3/dist-packages/torch/__init__.py
bench python3-pandas         lib/python3/dist-packages/pandas/__init__.py
bench libopenblas0-pthread   lib/$multiarch/openblas-pthread/libblas.so.3
bench libopenblas0-openmp    lib/$multiarch/openblas-openmp/libblas.so.3
bench libblis4-openmp        lib/$multiarch/blis-openmp/libblas.so.3
END
}

there() {
  for file; do
    [ -e "/usr/$file" ] || [ -e "/usr/local/$file" ] && return 0
  done
  return 1
}

missing=$(for group; do needs | while read -r g package files; do
  # shellcheck disable=SC2086
  [ "$g" = "$group" ] && ! there $files && echo "$package"
done; done)
[ -z "$missing" ] && exit 0
missing=$(echo $missing) # on one line

by_hand() {
  echo "$1 cannot install: $missing" >&2
  echo "As root on Debian: apt-get install $missing" >&2
  echo "Elsewhere, what is needed: Lua 5.4 and its headers, BLIS built with threads, LAPACKE, zlib;" >&2
  echo "for the specs busted, luacheck and luafilesystem for Lua 5.4." >&2
  exit 1
}

command -v apt-get >/dev/null || by_hand "There is no apt here;"
root=
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || by_hand "Neither root nor sudo here;"
  root=sudo
fi

echo "installing: $missing"
export DEBIAN_FRONTEND=noninteractive
ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1 || $root apt-get -q update
install() { $root apt-get -o DPkg::Lock::Timeout=120 -qq -y --no-install-recommends install $missing >/dev/null; }
install || { $root apt-get -q update && install; } || by_hand "apt"
