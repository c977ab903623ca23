# shellcheck shell=bash
# What tools/package and tools/packaging/try_package share: which libraries a package may need, and licences. Source it after
# tools/setup/lib.sh.

# What a bare Debian 12 has: the packages libc6, libgcc-s1 and libstdc++6, which apt itself needs.
readonly bare_libraries=" ld-linux-x86-64.so.2 libc.so.6 libdl.so.2 libgcc_s.so.1 libm.so.6 libpthread.so.0 librt.so.1
 libstdc++.so.6 "
# What the libtorch plugin takes from the user's LibTorch, half a gigabyte.
readonly external_libraries=" libc10.so libtorch.so libtorch_cpu.so "

is_bare() { [[ ${bare_libraries//$'\n'/ } == *" $1 "* ]]; }
is_external() { [[ $external_libraries == *" $1 "* ]]; }

# The shared libraries that an ELF file names.
needed() { readelf -dW "$1" | sed -nE 's/.*\(NEEDED\).*\[(.*)\]/\1/p'; }

# Its folders to look for them, one a line.
runpaths() { readelf -dW "$1" | sed -nE 's/.*\((RUNPATH|RPATH)\).*\[(.*)\]/\2/p' | tr : '\n'; }

# Whether one of those is a folder of this machine.
# shellcheck disable=SC2016  # the loader's $ORIGIN
has_foreign_runpath() { runpaths "$1" | grep -qvE '^\$ORIGIN(/|$)'; }

# add_licence PACKAGE FOLDER: the licence of a Debian package.
add_licence() {
  local text=/usr/share/doc/$1/copyright
  [[ -f $text ]] || fail "no licence of $1: $text is missing"
  install -D -m 644 "$text" "$2/$1.txt"
}

# add_licence_of FILE FOLDER: that of the package that installed the file.
add_licence_of() {
  local package file
  file=$(realpath "$1")
  # Some packages still say /lib where the file is in /usr/lib.
  package=$(dpkg-query -S "$file" 2>/dev/null || dpkg-query -S "${file#/usr}" 2>/dev/null) ||
    fail "no licence of $1: no Debian package installed it"
  package=${package%%:*}
  add_licence "$package" "$2"
}

# The cuda plugin has the CUDA runtime linked in.
add_cuda_licence() {
  local folder text
  folder=${CUDA_HOME:-${CUDA_PATH:-/usr/local/cuda}}
  for text in "$folder"/{EULA.txt,dist-info/nvidia_cuda_runtime-*/licenses/License.txt} \
    /usr/share/doc/cuda-cudart-dev-*/copyright; do
    [[ -f $text ]] || continue
    install -m 644 "$text" "$1/cuda-runtime.txt"
    return
  done
  fail "no licence of the CUDA runtime: $folder/EULA.txt is missing, and no Debian package of it is installed"
}

# write_pkg_config VERSION: lib/pkgconfig/modelbatch.pc.
write_pkg_config() {
  local abseil module requires=
  abseil=$(sed -nE 's/^#define ABSL_LTS_RELEASE_VERSION (.*)/\1/p' /usr/include/absl/base/config.h)
  # The archive was compiled with this Abseil's headers.
  for module in status statusor strings str_format span function_ref time; do
    requires+="${requires:+, }absl_$module = $abseil"
  done
  # Checkpoints of PyTorch are zip archives.
  requires+=", libzip, zlib"
  cat <<PC
prefix=\${pcfiledir}/../..

Name: modelbatch
Description: Trains many independent neural networks at once
Version: $1
Requires: $requires
Cflags: -I\${prefix}/include
Libs: -L\${prefix}/lib -lmodelbatch -ldl -pthread
PC
}
