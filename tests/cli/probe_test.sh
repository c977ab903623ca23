#!/usr/bin/env bash
# A plugin that crashes, hangs, exits or is none is reported by `backends`, which goes on.
abi=$(dirname "$(realpath -s "$3")")
source tests/cli/lib.sh

# probe NAME MESSAGE: `backends --probe` refuses the plugin with this line.
probe() {
  run 1 backends --probe "$abi/libmodelbatch_$1.so"
  says out "  path          $abi/libmodelbatch_$1.so"
  says out "  cannot run    $2"
}
probe crash_at_load "it crashed while it was loaded: signal 11 (SIGSEGV, Segmentation fault)"
probe crash_in_get_api "it crashed while it was loaded: signal 4 (SIGILL, Illegal instruction)"
probe exit_at_load "it ended the process while it was loaded: exit code 7"
probe exit_in_probe "it ended the process in plugin_probe: exit code 0"
probe abort_in_create "it crashed in backend_create: signal 6 (SIGABRT, Aborted)"
probe crash_at_exit "it crashed at the end of the process: signal 7 (SIGBUS, Bus error)"
probe wrong_major "plugin '"
says out "it was built for plugin ABI 2.1, and this program takes plugins of ABI 1.x"
probe null_reason 'plugin "minimal" breaks the plugin ABI in plugin_probe: reason is NULL'
for name in hang_at_load hang_in_probe; do
  run 1 backends --probe "$abi/libmodelbatch_$name.so" --timeout 1
  says out "it did not answer in 1 s: stopped "
done
says out "in plugin_probe"
[[ -s err ]] && fail "what is no error is on standard error"

# What is no plugin at all.
echo "not a library" >text.so
mkdir folder.so
run 1 backends --probe text.so
says out "not a shared library: it does not begin as an ELF file"
run 1 backends --probe folder.so
says out "not a file, expected a shared library"
run 1 backends --probe missing.so
says out "plugin 'missing.so': No such file or directory"
run 2 backends --probe
run 2 backends --timeout 0
run 2 backends --timeout soon
run 2 backends --timeout nan
# Also with a name that looks like an option.
cp "$abi/libmodelbatch_minimal.so" ./--version
run 0 backends --probe=--version

# One that is as it should be, one that cannot run here, and one that prints.
run 0 backends --probe "$abi/libmodelbatch_minimal.so"
says out "minimal"
says out "  version       1.2.3"
says out "  score         1: for tests"
run 0 backends --probe "$abi/libmodelbatch_scores_zero.so"
says out "  cannot run    there is no such device"
run 0 backends --probe "$abi/libmodelbatch_prints.so"
says err "to standard output"
says err "to standard error"
grep -q "to standard" out && fail "what a plugin prints is in the command's output"
# A parent that ignores SIGCHLD, as a service manager may; closed standard streams.
(trap '' CHLD && run 0 backends --probe "$abi/libmodelbatch_minimal.so" && ((failures == 0))) || fail "SIGCHLD ignored"
"$modelbatch" backends --probe "$abi/libmodelbatch_minimal.so" <&- 2>&- >out || fail "closed streams"
says out "  score         1: for tests"
# What a plugin starts does not outlive the question.
run 0 backends --probe "$abi/libmodelbatch_leaves_a_process.so"
for ((i = 0; i < 1000; ++i)); do
  left=$(cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' ' ' | grep -o "describe-plugin -- [^ ]*leaves_a_process")
  [[ -n $left ]] || break
  sleep 0.01
done
[[ -z $left ]] || fail "a process is left: $left"

# All of them in one folder: each is listed, and so are those behind it.
mkdir plugins
for name in abort_in_create crash_at_load exit_in_probe hang_in_probe minimal scores_zero; do
  ln -s "$abi/libmodelbatch_$name.so" plugins/
done
ln -s "$abi/libmodelbatch_minimal.so" plugins/libmodelbatch_other.so
MODELBATCH_PLUGIN_PATH=$work/plugins run 0 backends --timeout 2
for text in "it crashed in backend_create" "it crashed while it was loaded" "it ended the process in plugin_probe" \
  "it did not answer in 2 s" "1: for tests" "there is no such device" \
  'is the backend "minimal", expected "other"'; do
  says out "$text"
done

# The child's command is for its parent only.
run 2 describe-plugin -- "$abi/libmodelbatch_minimal.so" minimal
says err "this command is for modelbatch itself"
run 0 --help
grep -q describe-plugin out && fail "--help lists the child's command"
finish
