#!/usr/bin/env bash
# `backend = "auto"` takes the best plugin that can train the experiment, says why, and the run keeps it.
abi=$(dirname "$(realpath -s "$3")")
source tests/cli/lib.sh
write_config
mkdir plugins
for name in crash_at_load minimal scores_high scores_high_then_refuses scores_zero; do
  ln -s "$abi/libmodelbatch_$name.so" plugins/
done
export MODELBATCH_PLUGIN_PATH=$work/plugins

run 0 train small.toml --backend auto --output chosen --set train.epochs=2
says err "backend chosen: cpu (score 10: "
for text in 'backend "scores_high" lacks the operator "linear"' \
  "scores_high_then_refuses: the device is busy" \
  'example: 1' \
  'minimal: 1' \
  "cuda: 0, " \
  "scores_zero: 0, there is no such device" \
  "crash_at_load: it crashed while it was loaded: signal 11"; do
  says err "$text"
done
says chosen/config.resolved.toml 'name = "cpu"'
says chosen/events.jsonl '"event":"backend chosen: cpu (score 10: '
says chosen/summary.json '"name": "cpu"'
# The run keeps what was chosen.
run 0 train --resume chosen --set train.epochs=3
run 0 train --resume chosen --set train.epochs=3 --backend auto
run 0 train small.toml --output named
same_run named chosen
grep -q chosen err && fail "a choice where none was asked for"
run 0 verify chosen --models all
run 0 verify chosen --backend auto

# In the config, with options: what does not know them is passed over.
sed '1s/^/backend = { name = "auto", threads = 1 }\n/' small.toml >auto.toml
run 0 train auto.toml --output threads --quiet
[[ -s out || -s err ]] && fail "--quiet prints"
same_run named threads
says threads/events.jsonl 'backend chosen: cpu'
sed '1s/^/backend = { name = "auto", options = { nosuch = 1 } }\n/' small.toml >none.toml
run 2 train none.toml --output refused
says err 'error: none.toml:1:1: backend: "auto": none of the '
for text in 'cpu: 10, ' 'example: 1, ' 'cuda: 0, ' 'minimal: 1, ' 'scores_zero: 0, ' 'crash_at_load: it crashed'; do
  says err "  $text"
done
[[ ! -e refused ]] || fail "a folder is left"
finish
