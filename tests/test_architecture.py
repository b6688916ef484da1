"""The rules of the house that a machine can check."""

import ast
import functools
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("fmbench", "drivers", "backends", "process")
HEAVY = {"torch", "transformers", "pandas", "matplotlib", "pyarrow", "ir_measures", "zstandard", "faiss"}
UNPICKLING = {"torch.load", "np.load", "numpy.load", "yaml.load", "yaml.unsafe_load", "joblib.load"}
FILES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


@functools.cache
def imports(path: Path) -> set[str]:
    """Return every module that a file imports, inside functions too, with relative imports made absolute."""
    package = list(path.relative_to(ROOT).parent.parts)
    if package[0] != "fmbench":
        package.insert(0, "fmbench")
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) + 1 - node.level]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            found.add(module)
            found.update(f"{module}.{alias.name}" for alias in node.names)
    return found


def room_of_file(path: Path) -> str:
    return path.relative_to(ROOT).parts[0]


def room_of(module: str) -> str | None:
    parts = module.split(".")
    if parts[0] != "fmbench":
        return None
    return parts[1] if len(parts) > 1 and parts[1] in ROOMS else "fmbench"


def test_arrows_run_one_way() -> None:
    for path in FILES:
        room = room_of_file(path)
        for module in imports(path):
            assert room_of(module) in (None, "fmbench", room), f"{path} imports {module}"


def test_process_imports_no_torch() -> None:
    for path in FILES:
        if room_of_file(path) == "process":
            assert not {module.split(".")[0] for module in imports(path)} & {"torch", "transformers"}, path


def test_no_driver_imports_another() -> None:
    for path in FILES:
        room, first, *below = path.relative_to(ROOT).with_suffix("").parts
        own = first if below else "bench"  # the speed driver's files lie beside the other drivers' folders
        for module in imports(path) if room == "drivers" else ():
            target = (
                (ROOT / module.removeprefix("fmbench.").replace(".", "/")) if room_of(module) == "drivers" else None
            )
            if target is None or target == ROOT / "drivers":
                continue
            named = target.relative_to(ROOT).parts[1]
            assert named == own or (own == "bench" and not (ROOT / "drivers" / named).is_dir()), f"{path}: {module}"


def test_the_core_draws_nothing() -> None:
    for path in FILES:
        if path.relative_to(ROOT).parts[0] in ("fmbench", "backends"):
            assert "matplotlib" not in {module.partition(".")[0] for module in imports(path)}, path


PROCESS = [path for path in FILES if path.relative_to(ROOT).parts[0] == "process"]


def test_only_backends_know_a_platform() -> None:
    names = "cpu|cuda|hpu|mps|null|onnxruntime|openvino|spyre|sendnn|xpu"
    for path in FILES:
        if room_of_file(path) != "backends":
            text = path.read_text()
            assert not re.search(rf"""(==|!=|\bin\b|case)\s*\(?\s*["']({names})["']""", text), path
            assert not re.search(rf"torch\.({names.replace('cpu|', '').replace('null|', '')})\b", text), path


def test_the_core_imports_the_cards_packages_only() -> None:
    # The last four are dependencies of transformers and torch, there wherever these are.
    allowed = {"torch", "transformers", "numpy", "pandas", "yaml", "matplotlib"}
    allowed |= {"huggingface_hub", "safetensors", "tokenizers", "filelock"}
    extras = {  # each is imported by one file, where it is used
        "app.py": {"starlette"},
        "client.py": {"aiohttp", "uvloop"},
        "load.py": {"aiohttp", "uvloop"},
        "cluster.py": {"ray"},
        "faiss_engine.py": {"faiss"},
        "measures.py": {"ir_measures"},
        "mteb.py": {"mteb"},
        "page.py": {"plotly"},
        "parquet.py": {"pyarrow"},
        "query.py": {"duckdb"},
        "remote.py": {"fsspec"},
        "serve.py": {"httptools", "starlette", "uvicorn", "uvloop"},
        "scoring.py": {"scipy", "sklearn"},
        "sentence_module.py": {"sentence_transformers"},  # by that library only, when it loads a folder of ours
        "sparse.py": {"scipy"},
        "mlflow.py": {"mlflow"},
        "colbert_ai.py": {"colbert"},
        "tensorboard.py": {"tensorboard"},
        "wandb.py": {"wandb"},
        "lexical.py": {"bm25s"},
        "zst.py": {"zstandard"},
    }
    standard = set(sys.stdlib_module_names)
    for path in FILES:
        if path.relative_to(ROOT).parts[0] == "backends":
            continue  # a platform's own library is imported by its plug-in, where it is used
        for module in imports(path):
            top = module.split(".")[0]
            assert top in allowed | standard | {"fmbench"} | extras.get(path.name, set()), (
                f"{path.name} imports {module}"
            )


def test_the_map_of_the_rooms_is_true() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    packages = {
        path.parent: ast.get_docstring(ast.parse(path.read_text())) for path in FILES if path.stem == "__init__"
    }
    says = {str(folder.relative_to(ROOT)): (said or "").splitlines()[0] for folder, said in packages.items()}
    assert dict(re.findall(r"^\| `([\w/]+)/` \| (.+) \|$", text, re.MULTILINE)) == says
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    assert [group for group in groups if f"`{group}`" not in text] == []


def test_every_driver_opens_its_log_in_one_place() -> None:
    opening = [path.name for path in FILES if re.search(r"\blines\.(Log|Arg)\(", path.read_text())]
    assert opening == ["session.py"]


def test_functions_fit_a_screen() -> None:
    lengths = []
    for path in FILES:
        source = path.read_text()
        assert source.count("\n") < 400, f"{path} is long"
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                length = node.end_lineno - node.lineno + 1
                assert length <= 60, f"{path}: {node.name} has {length} lines"
                lengths.append(length)
    assert sorted(lengths)[len(lengths) // 2] <= 12


def test_no_eval_but_on_the_command_line_and_no_pickle() -> None:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "exec"
                assert node.func.id != "eval" or path.name == "expressions.py"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                if node.func.attr in {name.partition(".")[2] for name in UNPICKLING}:
                    safe = re.search(r"allow_pickle=False|weights_only=True", ast.unparse(node))
                    assert safe or ast.unparse(node.func) not in UNPICKLING, path
                if node.func.attr in ("from_pretrained", "from_config") and "Embedding" not in ast.unparse(node.func):
                    words = {keyword.arg for keyword in node.keywords}
                    assert words & {"trust_remote_code", None}, f"{path}: a library may ask whether to run code"
        assert not imports(path) & {"pickle", "dill", "marshal", "shelve", "joblib"}


@pytest.mark.parametrize(
    "code",
    [
        "import fmbench.drivers.embed, fmbench.process.cli, fmbench.cli, fmbench.listing, fmbench.doctor",
        "import fmbench.encoder, fmbench.embeddings, fmbench.collection, fmbench.ranking, fmbench.distributed\n"
        "import fmbench.search",
        "from fmbench.backend import find\nfor name in 'null cpu cuda spyre openvino onnxruntime'.split(): find(name)",
        "from fmbench import cli; cli.main(['--help'])",
        "from fmbench.cli import main; assert main('fidelity compare no-such-folder nothing'.split()) == 2",
        "from fmbench.cli import main; assert main('fidelity probes'.split()) == 0",
        "from fmbench.cli import main; assert main('fidelity capture --platform cpu --model_name x'.split()) == 2",
        "import fmbench.drivers.fidelity.bisect, fmbench.drivers.fidelity.swap, fmbench.drivers.fidelity.session, "
        "fmbench.drivers.choose.choose, fmbench.drivers.fidelity.matrix",
        "import sys; sys.argv = ['driver', '--help']; from fmbench.drivers.embed import main\n"
        "try: main()\nexcept SystemExit: pass",
        "import sys; sys.argv = ['process', '--help']; from fmbench.process.cli import main\n"
        "try: main()\nexcept SystemExit: pass",
        "from fmbench.drivers.embed import main; assert main(['--platform', 'nope']) == 2\n"
        "assert main(['--platform', 'cpu']) == 2\n"
        "assert main('--platform cpu --model_class BrtModel --model_name x "
        "--input_sizes 8 --batch_sizes 1 --reps 1'.split()) == 2",
    ],
)
def test_torch_stays_out_until_it_is_needed(code: str) -> None:
    check = "import sys; found = HEAVY & set(sys.modules); assert not found, found".replace("HEAVY", str(HEAVY))
    done = subprocess.run([sys.executable, "-c", f"{code}\n{check}"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
