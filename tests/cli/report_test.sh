#!/usr/bin/env bash
# `modelbatch report`: a page that stands alone, with the run's numbers in it.
source tests/cli/lib.sh
export PYTHONPATH=$OLDPWD/tests/cli PYTHONDONTWRITEBYTECODE=1
write_config
run 0 train small.toml --quiet --output runs/small --set backend.threads=1
run 0 train small.toml --quiet --output runs/wild --set "optimizer.lr={values=[1e-2, 1e38]}" \
  --set 'optimizer.kind="sgd"'

run 0 report runs/small
[[ $(<out) == runs/small/report.html && ! -s err ]] || fail "it prints $(cat out err)"
run 0 report runs/wild/ --top 2 --output wild.html --quiet
[[ ! -s out && ! -s err ]] || fail "--quiet prints"
run 0 report runs/small --no-plots --output plain.html

python3 - <<'PYTHON' || fail "the pages are not as they should be"
import json
from pictures import *

for path, run in (("runs/small/report.html", "runs/small"), ("wild.html", "runs/wild"), ("plain.html", "runs/small")):
    page = Page(path)
    check_alone(page)
    check_leaderboard(page, read_csv(f"{run}/results.csv"))
    assert len(page.scripts) == 1 and page.tags["style"] == 1
    summary = json.load(open(f"{run}/summary.json", encoding="utf-8"))
    for text in (open(f"{run}/config.resolved.toml", encoding="utf-8").read(), summary["plan"],
                 summary["backend"]["build_id"], summary["machine"]["processor"], summary["times"]["started"],
                 f"model {summary['best']['model']}", "%.1f %%" % (100 * summary["best"]["test_accuracy"])):
        assert text in page.text, text
    if path == "plain.html":
        assert "svg" not in page.tags and not page.drawn
        continue
    # Three curves and three swept numbers, each with every model.
    assert page.tags["svg"] == page.tags["figure"] == 6
    trained = {int(row["model"]): row["best_epoch"] != "" for row in read_csv(f"{run}/results.csv")}
    assert page.drawn == {model: 6 if curves else 3 for model, curves in trained.items()}, page.drawn

page = Page("wild.html")
events = [json.loads(line) for line in open("runs/wild/events.jsonl", encoding="utf-8")]
rows = [[text for text, _ in row] for row in page.tables["events"][1:]]
assert rows == [[str(e["step"]), str(e["epoch"]), str(e["model"]), e["event"], e["reason"], e["by"]] for e in events]
assert len(events) == 4 and "4 freezes." in page.text
PYTHON

# Whatever the files say is text.
cp -r runs/wild odd
evil="x.</style><script>alert('1')</script>"
sed -i "1s#optimizer.lr#$evil#; s#non-finite loss#\"\"><img src=x onerror=alert(2)>#" odd/results.csv
sed -i 's#non-finite loss#</td><script>alert(3)</script>#' odd/events.jsonl
sed -i '1s#^#\# </pre><script>alert(4)</script> ü\n#' odd/config.resolved.toml
sed -i 's#"host": "[^"]*"#"host": "<b onclick=alert(5)>\\u202e"#' odd/summary.json
run 0 report odd --output odd.html
python3 - <<'PYTHON' || fail "text has become markup"
from pictures import *
page = Page("odd.html")
assert len(page.scripts) == 1 and "alert" not in page.scripts[0]
assert page.tags.get("img", 0) == 0 and page.tags.get("b", 0) == 0
for text in ("<script>alert('1')</script>", "onerror=alert(2)", "<script>alert(3)</script>", "<script>alert(4)</script> ü",
             "<b onclick=alert(5)>"):
    assert text in page.text, text
PYTHON

# A run that was interrupted, and one that was killed.
cp -r runs/small stopped
sed -i 's/"finished": true/"finished": false/; s/"done": 3/"done": 2/' stopped/summary.json
run 0 report stopped --no-plots --output stopped.html
says stopped.html "The run was interrupted after 2 of 3 epochs."
rm stopped/{results.csv,curves.csv,summary.json}
run 0 report stopped --no-plots --output killed.html
says killed.html "The run has not ended. This is its last checkpoint, after 3 of 3 epochs."
python3 - <<'PYTHON' || fail "the checkpoint's numbers are not those of the results"
from pictures import *
check_leaderboard(Page("killed.html"), read_csv("runs/small/results.csv"))
PYTHON

# bad MESSAGE ARGUMENTS...: one message, no page.
bad() {
  local message=$1
  shift
  run 2 report "$@"
  [[ $(head -c 7 err) == "error: " && $(grep -c error: err) == 1 && ! -s out ]] || {
    fail "not one message:"
    sed 's/^/  | /' out err >&2
  }
  says err "$message"
  [[ -z $(find . -name 'refused*') ]] || fail "report $* leaves a file"
}
bad "error: nowhere is not the folder of a run: it has no config.resolved.toml" nowhere
bad "error: --output runs is a folder, expected a file" runs/small --output runs
cp runs/small/results.csv before
bad "error: --output runs/small/results.csv is there already, and is no report: expected another name" \
  runs/small --output runs/small/results.csv
same before runs/small/results.csv
bad "error: --model: the run has no model 8, expected 0 to 7" runs/small --model 8 --output refused.html
cp -r runs/small broken
echo '{"step": 3, "epoch": 1}' >>broken/events.jsonl
bad 'error: broken/events.jsonl:1: "event" is missing or no string' broken --output refused.html
rm broken/events.jsonl
sed -i '4s/.*/"models": 8,,/' broken/summary.json
bad "error: broken/summary.json:4: is not JSON" broken --output refused.html
cp runs/small/summary.json broken
head -c 200 runs/small/results.csv >broken/results.csv
bad "error: broken/results.csv:2: the line is cut off" broken --output refused.html
sed -i 's/^epochs = .*/epochs = "three"/' broken/config.resolved.toml
bad "error: broken/config.resolved.toml:" broken --output refused.html
mkdir empty
PATH=$work/empty run 2 report runs/small --output refused.html
says err "apt-get install gnuplot-nox"
PATH=$work/empty run 0 report runs/small --no-plots --output plain.html

finish
