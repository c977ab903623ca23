#!/usr/bin/env bash
# `modelbatch plot`: the pictures, and what it refuses.
source tests/cli/lib.sh
export PYTHONPATH=$OLDPWD/tests/cli PYTHONDONTWRITEBYTECODE=1
write_config
run 0 train small.toml --quiet --output runs/small

# Four models that diverge, four that learn.
run 0 train small.toml --quiet --output runs/wild --set "optimizer.lr={values=[1e-2, 1e38]}" \
  --set 'optimizer.kind="sgd"'

run 0 plot runs/small
[[ ! -s err ]] || fail "standard error has $(<err)"
[[ $(sort out) == "$(find runs/small/plots -type f | sort)" && $(wc -l <out) == 12 ]] || fail "the files are not those named"
run 0 plot runs/wild --top 2 --output wild --quiet
[[ ! -s out && ! -s err ]] || fail "--quiet prints"

python3 - <<'PYTHON' || fail "the pictures are not as they should be"
import glob
from pictures import *

def texts(root):
    return [element.text for element in root.iter(f"{SVG}text")]

paths = sorted(glob.glob("runs/small/plots/*.png"))
assert len(paths) == 6
for path in paths:
    assert png_size(path) == (1600, 1000), path
results = {int(row["model"]): row for row in read_csv("runs/small/results.csv")}
ranked = sorted(results, key=lambda model: int(results[model]["rank"]))
for name in ("train_loss", "validation_loss", "validation_accuracy", "by_optimizer.lr",
             "by_model.layers.0.out_features", "by_model.layers.2.p"):
    root = svg(f"runs/small/plots/{name}.svg")
    drawn = models_in_svg(root)
    # One line or point a model, with its values and its rank.
    assert sorted(drawn) == list(range(8)), (name, drawn)
    for model, tooltips in drawn.items():
        assert len(tooltips) == 1, (name, tooltips)
        row = results[model]
        expected = "model %d (lr %.4g, out_features %.4g, p %.4g), rank %s" % (
            model, *(float(row[key]) for key in ("optimizer.lr", "model.layers[0].out_features", "model.layers[2].p")),
            row["rank"])
        assert tooltips[0].startswith(expected), (tooltips[0], expected)
    # The best five, by name, in their order.
    key = [text for text in texts(root) if text.startswith("model ")]
    assert sorted(key) == sorted(f"model {model}" for model in ranked[:5]), (key, ranked)

# The points of a line: one an epoch, higher where the loss is smaller.
root = svg("runs/small/plots/train_loss.svg")
curves = read_csv("runs/small/curves.csv")
group = next(g for g in root.iter(f"{SVG}g") if g.get("data-model") == str(ranked[0]))
path = "".join(p.get("d") for p in group.iter(f"{SVG}path")).split("M")[-1]
ys = [float(point.split(",")[1]) for point in path.replace("L", " ").split()]
losses = [float(row["train_loss"]) for row in curves if int(row["model"]) == ranked[0]]
assert len(ys) == 3 and sorted(ys) == ys and sorted(losses, reverse=True) == losses, (ys, losses)

# Frozen models are crosses: the second kind of point.
root = svg("wild/by_optimizer.lr.svg")
status = {int(row["model"]): row["status"] for row in read_csv("runs/wild/results.csv")}
frozen = {model for model, text in status.items() if text.startswith("frozen")}
assert len(frozen) == 4, status
href = "{http://www.w3.org/1999/xlink}href"
crosses = {int(use.get("data-model")) for use in root.iter(f"{SVG}use")
           if use.get(href) == "#gpPt1" and use.get("data-model")}
assert crosses == frozen, (crosses, frozen)
PYTHON

run 0 plot runs/small --what curves --metric validation_loss --model 3 --model 5 --format svg --output some
[[ $(ls some) == validation_loss.svg ]] || fail "some/ has $(ls some)"
python3 - <<'PYTHON' || fail "other models than those asked for"
from pictures import *
assert sorted(models_in_svg(svg("some/validation_loss.svg"))) == [3, 5]
PYTHON
run 0 plot runs/small --what parameters --format png --metric test_accuracy --output "a 'b' \"c\" \$(d) ü"
[[ $(find . -path "./a 'b'*" -name '*.png' | wc -l) == 3 ]] || fail "no pictures in a folder with a name like that"

# More models than there are lines for: bands, and the best.
run 0 train small.toml --quiet --output runs/many --set population.search=random --set population.models=120 \
  --set train.epochs=2
run 0 plot runs/many --top 3 --format svg --quiet
python3 - <<'PYTHON' || fail "the picture of many models is not as it should be"
from pictures import *
root = svg("runs/many/plots/validation_accuracy.svg")
ranked = sorted(read_csv("runs/many/results.csv"), key=lambda row: int(row["rank"]))
assert set(models_in_svg(root)) == {int(row["model"]) for row in ranked[:3]}
text = [element.text for element in root.iter(f"{SVG}text")]
assert {"90 % of models", "50 % of models", "median"} <= set(text), text
assert len(models_in_svg(svg("runs/many/plots/by_optimizer.lr.svg"))) == 120
PYTHON

# Names that are markup or commands elsewhere are text here.
cp -r runs/small odd
evil="x.<script>alert('1')</script>\`touch pwned\`\$(touch pwned)ü"
sed -i "1s#optimizer.lr#$evil#" odd/results.csv
run 0 plot odd --what parameters --output odd_plots
python3 - <<'PYTHON' || fail "the name is not what is written"
import glob
from pictures import *
pictures = [svg(path) for path in glob.glob("odd_plots/*.svg")]
assert len(pictures) == 3
text = [element.text for root in pictures for element in root.iter(f"{SVG}text")]
assert any(t and t.startswith("x.<script>alert('1')</script>`touch pwned`$(touch pwned)ü") for t in text), text
assert not any(True for root in pictures for _ in root.iter(f"{SVG}script"))
PYTHON
[[ -z $(find . -name 'pwned*') ]] || fail "a command in a name was run"

# bad MESSAGE ARGUMENTS...: one message, no output.
bad() {
  local message=$1
  shift
  run 2 plot "$@"
  [[ $(head -c 7 err) == "error: " && $(grep -c error: err) == 1 && ! -s out ]] || {
    fail "not one message:"
    sed 's/^/  | /' out err >&2
  }
  says err "$message"
  [[ ! -e refused ]] || fail "plot $* leaves a folder"
}
bad "error: nowhere is not the folder of a run: it has no config.resolved.toml" nowhere
bad 'error: the run has no metric "train_los"; did you mean "train_loss"?' runs/small --metric train_los --output refused
bad "error: --model: the run has no model 8, expected 0 to 7" runs/small --model 8 --output refused
bad "error: --model: model 2 is there twice, expected each model once" runs/small --model 2 --model 2 --output refused
bad "error: --model best: expected a model's number" runs/small --model best --output refused
bad "excludes" runs/small --model 1 --top 2
bad "--top" runs/small --top -1
bad "--format" runs/small --format gif
bad "--what" runs/small --what all_of_it
bad "error: cannot create the folder small.toml/x" runs/small --output small.toml/x
cp -r runs/small broken
sed -i '3s/,[^,]*$/,abc/' broken/results.csv
bad 'error: broken/results.csv:3: column test_accuracy: found "abc", expected a number' broken --output refused
cp runs/small/results.csv broken
sed -i '5s/.*/1,2/' broken/curves.csv
bad "error: broken/curves.csv:5: the row has 2 fields, expected" broken --output refused
cp runs/small/curves.csv broken
rm broken/summary.json
mv broken/checkpoint.safetensors kept
bad "error: cannot read broken/summary.json" broken --output refused
mv kept broken/checkpoint.safetensors
# A killed run: as of its checkpoint.
rm broken/{results,curves}.csv
run 0 plot broken --format svg
says err "note: the run has not ended; this is its last checkpoint, 3 of 3 epochs"
same broken/plots/train_loss.svg runs/small/plots/train_loss.svg
rm broken/checkpoint.safetensors
bad "error: broken has neither results.csv nor a checkpoint yet: nothing to show" broken --output refused

# Without gnuplot: how to get it, and nothing half done.
mkdir empty
PATH=$work/empty run 2 plot runs/small --output refused
says err "error: gnuplot, which draws the plots, is not installed; on Debian and Ubuntu: apt-get install gnuplot-nox"
[[ ! -e refused ]] || fail "without gnuplot a folder is left"
# One that fails says why, and leaves nothing.
mkdir tmp
printf '#!/bin/sh\necho "line 3: out of ink" >&2\nexit 4\n' >empty/gnuplot
chmod +x empty/gnuplot
TMPDIR=$work/tmp PATH=$work/empty run 1 plot runs/small --output refused
says err "error: gnuplot failed with exit code 4: line 3: out of ink"
[[ ! -e refused && -z $(ls tmp) ]] || fail "a failure leaves files"

finish
