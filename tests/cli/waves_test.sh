#!/usr/bin/env bash
# Trained in waves, also when it is killed in any of them, a run ends with the bits of one batch; its models are verified
# and predict while others wait.
source tests/cli/lib.sh
write_config
settings=(--set train.epochs=40 --set train.checkpoint_every=3)
run 0 train small.toml "${settings[@]}" --output whole

waves=("${settings[@]}" --set train.models_at_once=3)
run 0 train small.toml "${waves[@]}" --output waves
same_run whole waves
says err "models 6-7/8  epoch"
[[ ! -e waves/waves ]] || fail "the waves' checkpoints are left"
run 0 verify waves --model all
says out "models are equal bit for bit"
run 0 train small.toml "${settings[@]}" --set train.models_at_once=auto --output auto
same_run whole auto

killed=0
for seconds in 0.03 0.06 0.1 0.15 0.22; do
  "$modelbatch" train small.toml "${waves[@]}" --output "killed-$seconds" >out 2>err &
  pid=$!
  for ((i = 0; i < 500; ++i)); do
    [[ -e killed-$seconds/config.resolved.toml ]] && break
    sleep 0.01
  done
  sleep "$seconds"
  kill -s KILL "$pid" 2>/dev/null
  code=0
  wait "$pid" 2>/dev/null || code=$?
  ((code == 137 || code == 0)) || fail "killed-$seconds: exit code $code: $(<err)"
  ((code == 0)) || killed=$((killed + 1))
  # In other waves than before.
  run 0 train --resume "killed-$seconds" --set train.models_at_once=2
  same_run whole "killed-$seconds"
done
((killed > 0)) || fail "none of 5 runs was killed before its end"
[[ -z $(find . -name '*.tmp-*') ]] || fail "temporary files are left"

# Stopped where the first wave is trained and the last has not begun.
"$modelbatch" train small.toml --set train.epochs=100000 --set train.models_at_once=1 --set train.early_stopping.patience=2 \
  --output stopped >out 2>err &
pid=$!
for ((i = 0; i < 1000; ++i)); do
  [[ -e stopped/waves/models_1-1.safetensors || ! -d /proc/$pid ]] && break
  sleep 0.01
done
kill -s INT "$pid" 2>/dev/null
code=0
wait "$pid" || code=$?
((code == 130 || code == 0)) || fail "stopped: exit code $code: $(<err)"
if ((code == 130)); then
  says err "models trained"
  run 0 verify stopped --model 0
fi
if ((code == 130)) && [[ ! -e stopped/waves/models_7-7.safetensors ]]; then
  run 2 verify stopped --model 7
  says err "model 7 has not begun"
fi

run 2 train small.toml --set train.models_at_once=0
says err "train.models_at_once"
run 2 train small.toml --set train.models_at_once=2 --set 'train.log.writers=["csv"]'
says err "train.models_at_once: must be \"all\" where train.log.writers names some"

finish
