"""What a sweep file may say, what it amounts to, and what it is refused for."""

import json

import jsonschema
import pytest
import yaml

from fmbench.checks import check_command
from fmbench.document import Document
from fmbench.errors import UsageError
from fmbench.process.sweep.cli import main
from fmbench.process.sweep.matrix import read_sweep
from fmbench.process.sweep.schema import FILE

GRID = """\
sweep: grid
run: driver
with: {reps: 10, precision: 2%}
matrix:
  model_name: [org/a, org/b]
  platform: [cpu, openvino]
  model:dtype: [float32, bfloat16]
"""


@pytest.fixture
def sweep(tmp_path):
    """Read a sweep file of this text."""

    def read(text, given=None, trusted=False, environment=None):
        path = tmp_path / "grid.yaml"
        path.write_text(text)
        return read_sweep(Document(path, environment or {}), given or {}, trusted)

    return read


def words(found):
    return [" ".join(cell.command.words) for cell in found.cells]


def test_a_matrix_is_crossed_and_the_last_axis_varies_first(sweep):
    found = sweep(GRID)
    assert [cell.name for cell in found.cells] == [
        f"{model}, {platform}, {dtype}"
        for model in "ab" for platform in ("cpu", "openvino") for dtype in ("float32", "bfloat16")
    ]  # fmt: skip
    expected = "--reps 10 --precision 2% --model_name org/a --platform cpu --model:dtype float32"
    assert words(found)[0] == expected
    assert found.store == "results" and len({cell.id for cell in found.cells}) == 8


def test_exclude_takes_away_before_include_adds(sweep):
    found = sweep(
        GRID + "exclude: [{platform: openvino, model:dtype: bfloat16}]\n"
        "include:\n- {platform: cuda, device: 0, model:dtype: float16}\n"
        "- {platform: cpu, model:dtype: float32, threads: 2}\n"
    )
    assert len(found.cells) == 8 - 2 + 2  # a cell for cuda a model
    assert words(found)[-1].endswith("--model_name org/b --platform cuda --device 0 --model:dtype float16")
    assert ["--threads 2" in text for text in words(found)] == [
        "--platform cpu" in text and "float32" in text for text in words(found)
    ]


def test_without_a_matrix_each_include_is_a_cell(sweep):
    found = sweep("sweep: s\nrun: driver\nwith: {a: 1}\ninclude: [{b: 1}, {b: 2, c: 3}]\n")
    assert words(found) == ["--a 1 --b 1", "--a 1 --b 2 --c 3"]


def test_values_are_what_the_command_line_would_have(sweep):
    found = sweep(
        "sweep: s\nrun: driver\nwith:\n  sizes: [16, 64]\n  no: no\n  number: 010\n  long: 1.50\n  flag: true\n"
        "  off: false\n  quoted: 'true'\n  dash: -1\n  vs: [--threads 1, --threads 2]\n  model:tie: true\n"
    )
    assert found.cells[0].command.words == [
        "--sizes", "16,64", "--no", "no", "--number", "010", "--long", "1.50", "--flag", "--quoted", "true",
        "--dash=-1", "--vs", "--threads 1", "--vs", "--threads 2", "--model:tie", "True",
    ]  # fmt: skip


def test_a_list_in_a_list_is_one_value(sweep):
    assert words(sweep("sweep: s\nrun: driver\nmatrix: {n: [[16, 64], 8]}\n")) == ["--n 16,64", "--n 8"]


def test_blocks_share_what_stands_above_them(sweep):
    found = sweep(
        "sweep: s\nrun: driver\nwith: {a: 1, b: 2}\nneeds: {gpu: 1}\n"
        "runs:\n- {with: {b: 3}}\n- {run: retrieve evaluate, needs: {cpu: 2}}\n"
    )
    assert [(cell.words, cell.needs) for cell in found.cells] == [
        (["driver", "--a", "1", "--b", "3"], {"gpu": 1}),
        (["retrieve", "evaluate", "--a", "1", "--b", "2"], {"cpu": 2}),
    ]


def test_behind_a_command_may_be_words_that_no_argument_has(sweep):
    found = sweep("sweep: s\nrun: fidelity compare before 'new ${N:er}'\nwith: {probes: [pooled, search]}\n")
    assert found.cells[0].words == ["fidelity", "compare", "before", "new er", "--probes", "pooled,search"]
    assert check_command(found.cells[0].run, ["--probes", "search"]).arguments.model_name == "new er"


def test_several_values_of_what_is_repeated_are_several_arguments(sweep):
    found = sweep("sweep: s\nrun: fidelity matrix\nwith: {with: [torch==2.12.1, torch==2.13.0]}\n")
    assert words(found) == ["--with torch==2.12.1 --with torch==2.13.0"]


def test_the_environment_and_the_command_line_fill_in(sweep):
    text = "sweep: s\nstore: ${STORE:here}\nrun: driver\nwith: {a: 1}\nmatrix: {m: [x, y], p: ['${P}/q']}\n"
    found = sweep(text + "exclude: [{m: y}]\n", {"a": "7", "m": "z"}, environment={"P": "models"})
    assert found.store == "here" and words(found) == ["--a 7 --m z --p models/q"]
    assert sweep(text, {"store": "there"}, environment={"P": ""}).store == "there"
    (cell,) = sweep("sweep: s\nruns: [{run: driver, with: {repeat: 3}}]\n", {"repeat": "2"}).cells
    assert cell.name == "repeat 2" and cell.command.words == ["--repeat", "2"]


@pytest.mark.parametrize(
    ("given", "said"), [("resp", "--set resp: .*grid.yaml.*nowhere; did you mean reps?"), ("sweep", "--set sweep")]
)  # fmt: skip
def test_what_the_file_does_not_have_cannot_be_set(sweep, given, said):
    with pytest.raises(UsageError, match=said):
        sweep(GRID, {given: "1"})


def test_models_of_several_owners_are_told_apart(sweep):
    found = sweep("sweep: s\nrun: driver\nmatrix: {model_name: [a/x, b/x, b/y]}\n")
    assert [cell.name for cell in found.cells] == ["a/x", "b/x", "y"]


def test_a_cell_is_called_by_what_tells_it_from_the_others_of_its_command(sweep):
    found = sweep(
        "sweep: s\nwith: {platform: cpu}\nruns:\n- {run: driver, with: {t: x}, matrix: {a: [1, 2]}}\n"
        "- {run: driver, with: {t: y}}\n- {run: choose, with: {budget: 20s}}\n"
    )
    assert [cell.name for cell in found.cells] == ["driver: x, a 1", "driver: x, a 2", "driver: y", "choose"]
    assert [cell.name for cell in sweep("sweep: s\nruns: [{run: driver, with: {t: x}}]\n").cells] == ["x"]


def test_what_a_block_has_once_is_told_only_where_nothing_else_tells(sweep):
    found = sweep(
        "sweep: s\nrun: driver\nruns:\n- {with: {reps: 9, threads: 1, platform: cpu}, matrix: {batch_sizes: [1, 8]}}\n"
        "- {with: {reps: 50, platform: 'null'}, matrix: {batch_sizes: [1, 8]}}\n"
    )
    assert [cell.name for cell in found.cells] == [f"{one}, batch_sizes {n}" for one in ("cpu", "null") for n in (1, 8)]


def test_more_cells_than_a_file_may_have_are_counted(sweep):
    axes = ", ".join(f"{name}: {list(range(10))}" for name in "abcde")
    with pytest.raises(UsageError, match=r"grid.yaml: has 100000 cells, and a file may have 20000"):
        sweep(f"sweep: s\nrun: driver\nmatrix: {{{axes}}}\n")


def test_an_id_follows_from_the_command_alone(sweep):
    one, other = (
        sweep("sweep: s\nrun: driver\nwith: {a: 1, b: 2}\n"),
        sweep("sweep: t\nrun: driver\nwith: {b: 2, a: 1}"),
    )
    assert one.cells[0].id == other.cells[0].id != sweep("sweep: s\nrun: driver\nwith: {a: 1, b: 3}").cells[0].id


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sweep: s\nrun: driver\nmatrx: {}\n", ":3: the file has an unknown key 'matrx'; did you mean matrix?"),
        ("sweep: s\nruns:\n- run: driver\n  wiht: {a: 1}\n", ":4: an entry of runs has an unknown key 'wiht'"),
        ("sweep: s\nrun: [driver]\n", ":2: run is a list, and should be a text"),
        ("sweep: s\nrun: driver\nwith: {a: {b: 1}}\n", ":3: a is keys with values, and should be a text or a list"),
        ("sweep: s\nrun: driver\nwith: {platform: null}\n", ":3: platform is 'null', and should be a text or a list: "),
        ("sweep: s\nrun: driver\nmatrix: {a: 1}\n", ":3: a is '1', and should be a list: [1]"),
        ("sweep: s\nrun: driver\nmatrix: {}\n", ":3: matrix is empty"),
        ("sweep: s\nrun: driver\nmatrix:\n  a: []\n", ":4: a is empty"),
        ("sweep: s\nrun: driver\nneeds: {gpu: many}\n", ":3: gpu is 'many', and should be a whole number from 1 on"),
        ("sweep: s\nrun: driver\nneeds:\n  cpu: 1\n  gpu: 0\n", ":5: gpu is '0', and should be a whole number from 1"),
        ("sweep: s\nrun: driver\nneeds: {gpu: -1}\n", ":3: gpu is '-1', and should be a whole number from 1 on"),
        ("sweep: s\nrun: driver\nneeds: {gpu: 0.5}\n", ":3: gpu is '0.5', and should be a whole number from 1 on"),
        ("sweep: s\nwith: {a: 1}\nrun: drive\n", ":3: run: no command 'drive' can be a cell; did you mean driver?"),
        ("sweep: s\nruns:\n- run: driver\n- with: {a: 1}\n  run: x\n", ":5: run: no command 'x' can be a cell"),
        ("sweep: s\nrun: driver --reps 5\n", ":2: run: 'driver --reps 5': arguments stand in `with`, by name"),
        ("sweep: s\nrun: driver 'x\n", ":2: run: driver 'x: a quote is not closed"),
        ("run: driver\n", ":1: the file lacks the key 'sweep'"),
        ("sweep: s\nwith: {a: 1}\n", ":1: lacks the key 'run'"),
        ("sweep: s\nrun: driver\nwith: {a: 1, a: 2}\n", ":3: the key 'a' stands here twice"),
        ("sweep: s\nrun: driver\nmatrix: {a: [1, 2, 1]}\n", ":3: a 1: is listed in line 3 already"),
        ("sweep: s\nrun: driver\nmatrix:\n  a:\n  - 1\n  - 2\n  - 1\n", ":7: a 1: is listed in line 5 already"),
        ("sweep: s\nruns:\n- run: driver\n- run: driver\n", ":4: driver: is listed in line 3 already"),
        ("sweep: s\nrun: driver\nmatrix: {a: [1]}\nexclude: [{b: 1}]\n", ":4: exclude: the matrix has no 'b' (it"),
        ("sweep: s\nrun: driver\nmatrix: {a: [1]}\nexclude: [{a: 2}]\n", ":4: exclude: no cell has a 2"),
        (
            "sweep: s\nrun: driver\nmatrix: {a: [1, 2]}\nexclude: [{a: 1}]\ninclude:\n- {a: 1, b: 2}\n",
            ":6: include: no cell has a 1, b 2",
        ),
        ("sweep: s\nrun: driver\nmatrix: {a: [1]}\nexclude: [{a: 1}]\n", "grid.yaml: `exclude` leaves no cell"),
        ("sweep: s\nrun: driver\nmatrix: {a: [1]}\ninclude: [{a: 1}]\n", ":4: include: adds nothing to the cells"),
        (
            "sweep: s\nrun: driver\nwith: {a: 1}\nmatrix:\n  b: [1]\n  a: [1, 2]\n",
            ":6: matrix: a is said in line 3 too, by `with`",
        ),
        (
            "sweep: s\nrun: driver\nmatrix: {a: [1, 2]}\ninclude:\n- {a: 1, t: 2}\n- {a: 1, t: 3}\n",
            ":6: include: a 1, t 3: line 5 says t 2",
        ),
        ("sweep: s\nruns: [{run: driver}]\nmatrix: {a: [1]}\n", ":3: matrix: belongs into a block of `runs`"),
        ("sweep: s\nrun: ${NOWHERE}\n", ":2: ${NOWHERE}: is not set"),
        ("sweep: s\nrun: [\n", ":3: no YAML"),
        ("- a\n", ": should be keys with values"),
        ("", ": should be keys with values"),
        ("sweep: s\n---\nsweep: t\n", ": no YAML"),
    ],
)  # fmt: skip
def test_what_a_file_cannot_mean_is_said_with_its_line(sweep, text, said):
    with pytest.raises(UsageError) as error:
        sweep(text)
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "value",
    [
        "model:dtype@: torch.bfloat16",
        "vs: --model:dtype@ torch.bfloat16",
        "torch.call:hub.load: evil/repository",
        "model:trust_remote_code: true",
        "vs: [--threads 1, '--torch.call:load weights.pt']",
        """serve: --platform cpu --compile --model:dtype@ "os.mkdir('pwned')\"""",
        "serve: --platform cpu --model:trust_remote_code=True",
        "with: ./package",
    ],
)
def test_what_may_run_code_needs_trust(sweep, value):
    text = f"sweep: s\nrun: driver\nwith:\n  a: 1\n  {value}\n"
    with pytest.raises(UsageError, match=r"grid.yaml:5: .*: may run code.*--trust-file"):
        sweep(text)
    assert len(sweep(text, trusted=True).cells) == 1


def test_the_published_schema_takes_what_is_read_and_refuses_what_is_not(capsys):
    assert main(["--schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema == FILE
    jsonschema.Draft202012Validator.check_schema(schema)
    text = GRID + "exclude: [{platform: cpu}]\ninclude: [{a: [1, 2]}]\nneeds: {cpu: 2}\n"
    jsonschema.validate(yaml.safe_load(text), schema)
    for wrong in ("matrix: {}", "with: {a: {}}", "neds: {}", "runs: []"):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(yaml.safe_load(f"sweep: s\nrun: driver\n{wrong}"), schema)
