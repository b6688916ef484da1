"""The retrieval driver from the command line to its lines and files."""

import json
import math
import os
import shutil
import subprocess
import sys

import pytest

from fmbench import lines
from fmbench.claim import one_writer
from fmbench.collection import Qrels
from fmbench.drivers.retrieve.cli import main
from tests.run_files import read_run
from tests.tiny_model import write_collection, write_model, write_table


def files_below(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_evaluate_says_speed_and_quality(retrieve, tmp_path):
    ran = retrieve("evaluate", "--output_dir", tmp_path / "out", "--ir_metrics_k_values", "1,10", "--k", "1,2,10")
    environment = ran.data("ENV", task="evaluate")
    assert (environment["platform"], environment["gradients"]) == ("cpu", False)
    passages, queries = (ran.data("ENC", role=role) for role in ("passage", "query"))
    assert (passages["texts"], passages["cached"], passages["dimensions"]) == (30, 0, 32)
    assert passages["tokens"] > 30 * 8
    assert queries["latency_ms"]["n"] == 6
    search = ran.data("SEARCH")
    assert (search["queries"], search["documents"], search["k"], search["similarity"]) == (6, 30, 10, "cosine")
    quality = ran.data("IRM")
    assert quality["queries"] == 6
    run = read_run(tmp_path / "out" / "wings" / "run.trec")
    ranks = {f"d{query[1:]}": list(found) for query, found in run.items()}
    found = [1 / math.log2(ids.index(wanted) + 2) for wanted, ids in ranks.items() if wanted in ids]
    expected = sum(found) / 6  # one relevant document each
    assert quality["metrics"]["ndcg_cut_10"] == pytest.approx(expected)
    low, high = quality["intervals"]["ndcg_cut_10"]
    assert low <= quality["metrics"]["ndcg_cut_10"] <= high
    curve = quality["precision_curve"]
    assert (curve["k"], curve["retrieved_depth"]) == ([1, 2, 10], 10)
    assert curve["ceiling"] == pytest.approx([1.0, 0.5, 0.1])
    assert all(value <= most + 1e-12 for value, most in zip(curve["precision"], curve["ceiling"], strict=True))
    out = tmp_path / "out" / "wings"
    assert json.loads((out / "metrics.json").read_text()) == pytest.approx(quality["metrics"])
    assert set(json.loads((out / "metrics_by_query.json").read_text())) == {f"q{place}" for place in range(6)}


def test_a_table_of_tokens_is_evaluated_on_the_host(retrieve, model, tmp_path):
    table = write_table(tmp_path / "table", model)
    words = ("--model_name", table, "--encoding_cache_dir", tmp_path / "cache", "--ir_metrics_k_values", "10")
    ran = retrieve("evaluate", *words)
    facts = ran.data("ENV", model_class="StaticEmbedding")
    assert (facts["computed_by"], facts["dtype"], facts["parameters"]) == ("numpy", "float32", 16 * 25)
    passages, queries = (ran.data("ENC", role=role) for role in ("passage", "query"))
    assert (passages["texts"], passages["dimensions"], passages["padding_share"]) == (30, 16, 0)
    assert queries["latency_stages_ms"]["forward"] > 0
    again = retrieve("evaluate", *words)
    assert again.data("ENC", role="passage")["cached"] == 30
    assert again.data("IRM")["metrics"] == ran.data("IRM")["metrics"]
    assert "--compile:" in retrieve("evaluate", "--model_name", table, "--compile:backend", "eager", code=2).notes


def test_streaming_and_precomputing_give_the_same_rankings(retrieve, tmp_path):
    words = ("--ir_metrics_k_values", "10", "--latency_queries", "0", "--run_format")
    for name, more in {
        "streamed": ("tsv",),
        "before": ("tsv", "--precompute_corpus_embs"),
        "cached": ("tsv", "--encoding_cache_dir", tmp_path / "cache"),
        "again": ("tsv", "--encoding_cache_dir", tmp_path / "cache", "--per_device_matmul_batch_size", "7"),
    }.items():
        ran = retrieve("evaluate", "--output_dir", tmp_path / name, *words, *more)
        assert ran.data("ENC", role="passage")["cached"] == (30 if name == "again" else 0)
    streamed = files_below(tmp_path / "streamed")
    assert streamed and all(files_below(tmp_path / name) == streamed for name in ("before", "cached", "again"))


def test_another_configuration_is_encoded_anew_and_says_so(retrieve, model, tmp_path):
    folder = shutil.copytree(model, tmp_path / "edited")
    words = ("--model_name", folder, "--encoding_cache_dir", tmp_path / "cache")
    first = retrieve("evaluate", *words)
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"gelu"', '"relu"').replace("1e-12", "0.5"))
    ran, alone = retrieve("evaluate", *words), retrieve("evaluate", "--model_name", folder)
    assert ran.data("ENC", role="passage")["cached"] == 0
    assert "passage vectors are encoded anew: the configuration is another now (compared with" in ran.notes
    assert ran.data("IRM") == alone.data("IRM") != first.data("IRM")
    assert retrieve("evaluate", *words).data("ENC", role="passage")["cached"] == 30


def test_variables_that_change_what_is_computed_are_part_of_the_key(retrieve, tmp_path, monkeypatch):
    cache = ("--encoding_cache_dir", tmp_path / "cache")
    retrieve("encode", *cache)
    monkeypatch.setenv("ONEDNN_DEFAULT_FPMATH_MODE", "BF16")
    ran = retrieve("encode", *cache)
    assert ran.data("ENC", role="passage")["cached"] == 0
    assert 'variables.ONEDNN_DEFAULT_FPMATH_MODE null -> "BF16"' in ran.notes


def test_the_log_tells_data_sets_by_what_is_in_them(retrieve, collection):
    def data():
        printed = map(lines.parse_line, retrieve("evaluate").log.splitlines())
        (found,) = [line.data["data"] for line in printed if lines.is_json(line, "ENV") and "data" in line.data]
        return found["wings"]

    first = data()
    with (collection / "qrels" / "test.tsv").open("a") as stream:
        stream.write("q0\td9\t1\n")
    judged = data()
    with (collection / "corpus.jsonl").open("a") as stream:
        stream.write('{"_id": "new", "text": "wing"}\n')
    grown = data()
    assert [name for name in first if first[name] != judged[name]] == ["judgements"]
    assert [name for name in first if judged[name] != grown[name]] == ["corpus"]


def test_another_prompt_is_encoded_anew_and_says_so(retrieve, tmp_path):
    cache = ("--encoding_cache_dir", tmp_path / "cache")
    retrieve("encode", *cache)
    assert retrieve("encode", *cache).data("ENC", role="query")["cached"] == 6
    ran = retrieve("encode", *cache, "--query_prompt", "wing ")
    assert ran.data("ENC", role="query")["cached"] == 0
    assert ran.data("ENC", role="passage")["cached"] == 30
    assert "prompt" in ran.notes and '"wing "' in ran.notes


def test_several_data_sets_are_told_apart(retrieve, collection, tmp_path):
    other = write_collection(tmp_path / "cones", documents=12, queries=3)
    ran = retrieve("evaluate", "--dataset", f"{collection},{other}", "--latency_queries", "0")
    assert [ran.data("IRM", dataset=name)["queries"] for name in ("wings", "cones")] == [6, 3]


def test_search_writes_each_format(retrieve, tmp_path):
    for kind in ("trec", "tsv", "jsonl"):
        retrieve("search", "--search_topk", 3, "--run_format", kind, "--output_dir", tmp_path / kind)
        run = read_run(tmp_path / kind / "wings" / f"run.{kind}")
        assert [len(found) for found in run.values()] == [3] * 6


def test_the_scores_of_chosen_pairs_are_those_of_the_ranking(retrieve, tmp_path):
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("".join(f"q{place}\td{place + 1}\t1\n" for place in range(6)) + "q0\tnone\t1\n")
    words = ("--special_docids", pairs, "--run_format", "tsv", "--output_dir")
    missing = retrieve("search", "--special_docids", tmp_path / "none", "--output_dir", tmp_path / "out", code=2)
    assert "none: no such file" in missing.notes and "FMWORK" not in missing.log
    ran = retrieve("search", "--search_topk", 1, *words, tmp_path / "short")
    assert "1 pairs name a query or a document that wings lacks" in ran.notes
    retrieve("search", "--search_topk", 30, *words, tmp_path / "deep")
    found = Qrels.load([tmp_path / "short" / "wings" / "special_docs.tsv"]).gains
    run = read_run(tmp_path / "deep" / "wings" / "run.tsv")
    assert found == {
        f"q{place}": {f"d{place + 1}": pytest.approx(run[f"q{place}"][f"d{place + 1}"])} for place in range(6)
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("evaluate",), "name the data with --dataset"),
        (("evaluate", "--dataset", "nowhere"), "nowhere: no such folder"),
        (("evaluate", "--corpus", "c.jsonl"), "--corpus and --queries belong together"),
        (("encode", "--dataset", "x"), "--encoding_cache_dir"),
        (("search", "--dataset", "x"), "--output_dir"),
        (("evaluate", "--dataset", "x", "--search_topk", "5"), "k = 100 is asked for"),
        (("evaluate", "--dataset", "x", "--k", "200", "--search_topk", "100"), "k = 200 is asked for"),
        (("evaluates",), "unknown command 'evaluates'"),
        (("mine", "--dataset", "x", "--output_dir", "o", "--relative_margin", "-1"), "relative margin"),
    ],
)
def test_bad_command_lines_are_one_line(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model = ("--platform", "cpu", "--model_name", "nowhere")
    assert main([words[0], *model, *words[1:]]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_unknown_judgements_are_counted_and_strict_refuses_them(retrieve, collection):
    with (collection / "qrels" / "test.tsv").open("a") as stream:
        stream.write("q1\tnobody\t1\n")
    assert "nobody" in retrieve("evaluate").notes
    assert "error: wings: documents of the qrels" in retrieve("evaluate", "--strict", code=2).notes


def test_a_folder_that_holds_something_is_not_written_into(retrieve, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("")
    assert "mine.txt" in retrieve("evaluate", "--output_dir", tmp_path / "out", code=2).notes
    retrieve("evaluate", "--output_dir", tmp_path / "out", "--overwrite_output_dir")


def test_vectors_that_are_no_numbers_are_refused_by_name(retrieve, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = write_model(tmp_path / "broken")
    weights = load_file(folder / "model.safetensors")
    weights["embeddings.word_embeddings.weight"][5] = float("nan")  # of the word wing
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    ran = retrieve("evaluate", "--model_name", folder, code=3)
    assert "holds NaN or infinity" in ran.notes


def test_help_and_errors_need_no_torch():
    code = (
        "import sys\nfrom fmbench.drivers.retrieve.cli import main\n"
        "assert main(['evaluate', '--platform', 'cpu', '--model_name', 'nowhere', '--dataset', 'nowhere']) == 2\n"
        "try: main(['evaluate', '--help'])\nexcept SystemExit as end: assert not end.code\n"
        "assert not {'torch', 'transformers', 'faiss', 'ir_measures'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_pages_are_judged_by_their_titles_and_written(retrieve, collection, tmp_path, capfd):
    corpus = [json.loads(line) for line in (collection / "corpus.jsonl").read_text().splitlines()]
    for place, row in enumerate(corpus):
        row["title"] = f"page {place // 2}"  # two passages a page
    (collection / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in corpus))
    gold, predictions = tmp_path / "gold.tsv", tmp_path / "predictions.tsv"
    gold.write_text("".join(f"page {place // 2}\n" for place in range(6)))
    words = ("--k", "1,5", "--gold_data_path", gold, "--predictions_path", predictions, "--search_topk", "100")
    curve = retrieve("evaluate", *words).data("IRM")["precision_curve"]
    assert (curve["level"], curve["title_normalisation"], curve["retrieved_depth"]) == ("page", "none", 100)
    assert [len(line.split("\t")) for line in predictions.read_text().splitlines()] == [30] * 6
    assert main(["precision", "--gold_data_path", str(gold), "--predictions_path", str(predictions), "--k", "1,5"]) == 0
    alone = lines.parse_line(capfd.readouterr().out.splitlines()[-1]).data["precision_curve"]
    assert alone["precision"] == curve["precision"]


def rename(collection, old, new):
    for path in (collection / "corpus.jsonl", collection / "queries.jsonl", collection / "qrels" / "test.tsv"):
        path.write_text(path.read_text().replace(f'"{old}"', f'"{new}"').replace(f"{old}\t", f"{new}\t"))


@pytest.mark.parametrize("old", ["q3", "d3", "d29"])
def test_ids_that_no_run_can_hold_are_refused_before_encoding(retrieve, collection, tmp_path, old):
    rename(collection, old, "a b")
    out = tmp_path / "new" / "out"
    ran = retrieve("search", "--output_dir", out, code=2)
    assert "line" in ran.notes and "'a b' does not fit in a trec run; choose --run_format tsv|jsonl" in ran.notes
    assert "FMWORK" not in ran.log and not out.parent.exists()
    retrieve("search", "--output_dir", out, "--run_format", "tsv")


def test_mined_files_that_cannot_hold_an_id_are_refused_before_encoding(retrieve, collection, tmp_path):
    rename(collection, "d3", "a\\tb")
    (collection / "qrels" / "test.tsv").write_text("q1\td1\t1\n")
    ran = retrieve("mine", "--output_dir", tmp_path / "out", code=2)
    assert "choose --output_qrel_format grouped" in ran.notes and "FMWORK" not in ran.log
    retrieve("mine", "--output_dir", tmp_path / "out", "--output_qrel_format", "grouped")


def test_titles_that_cannot_be_read_or_written_are_refused_before_encoding(retrieve, collection, tmp_path):
    gold = tmp_path / "gold.tsv"
    gold.write_text("a\n" * 5)
    for words, message in (
        (
            ("--gold_data_path", gold),
            "has 5 lines for 6 queries; it must have one line a judged query, in the order of",
        ),
        (("--gold_data_path", tmp_path / "none"), "none: no such file"),
        (("--predictions_path", tmp_path / "none" / "p"), f"there is no folder {tmp_path / 'none'}"),
        (("--predictions_path", tmp_path), "is a folder"),
        (("--gold_data_path", gold, "--predictions_path", gold), "is the file of --gold_data_path; name another"),
    ):
        ran = retrieve("evaluate", "--k", "1", *words, code=2)
        assert message in ran.notes and "FMWORK" not in ran.log
    assert "--k 1,2,3,5,10" in retrieve("evaluate", "--predictions_path", tmp_path / "p", code=2).notes
    several = ("--dataset", f"{collection},{write_collection(tmp_path / 'cones')}", "--k", "1")
    assert "one data set, and 2 are named" in retrieve("evaluate", *several, "--gold_data_path", gold, code=2).notes


def test_quoted_gold_is_warned_of(retrieve, tmp_path):
    gold = tmp_path / "gold.tsv"
    gold.write_text('"a"\tb\n' * 6)
    words = ("--gold_data_path", gold, "--k", "1", "--latency_queries", "0")
    assert "double quote at an end, which retrieved titles lose: 6;" in retrieve("evaluate", *words).notes
    assert "quote" not in retrieve("evaluate", *words, "--title_normalisation", "nfc,quotes").notes


def test_titles_with_blanks_and_quotes_give_one_figure(retrieve, collection, tmp_path, capfd):
    corpus = [json.loads(line) for line in (collection / "corpus.jsonl").read_text().splitlines()]
    for place, row in enumerate(corpus):
        row["title"] = (f"page {place} ", f'"page {place}"', f' " page {place}" ')[place % 3]
    (collection / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in corpus))
    gold, predictions = tmp_path / "gold.tsv", tmp_path / "predictions.tsv"
    gold.write_text("".join(f"page {place} \n" for place in range(6)))
    files = ("--gold_data_path", gold, "--predictions_path", predictions, "--k", "1,30")
    curve = retrieve("evaluate", *files).data("IRM")["precision_curve"]
    assert curve["recall"][1] == 1  # all 30 documents are retrieved, so every page is found
    assert main(["precision", *map(str, files)]) == 0
    alone = lines.parse_line(capfd.readouterr().out.splitlines()[-1]).data["precision_curve"]
    assert all(alone[name] == curve[name] for name in ("precision", "ceiling", "success", "recall", "intervals"))


@pytest.mark.parametrize("task", ["search", "evaluate", "mine"])
def test_a_similarity_that_is_not_searched_by_is_refused_before_the_model_is_loaded(
    retrieve, model, tmp_path, monkeypatch, task
):
    shutil.copytree(model, tmp_path / "far")
    (tmp_path / "far" / "config_sentence_transformers.json").write_text('{"similarity_fn_name": "euclidean"}')
    words = ("--model_name", tmp_path / "far", *(() if task == "evaluate" else ("--output_dir", tmp_path / "out")))
    with monkeypatch.context() as patched:
        patched.setattr("fmbench.drivers.retrieve.retrieval.Encoder", None)
        said = retrieve(task, *words, code=2).notes
    assert "far/config_sentence_transformers.json: similarity_fn_name is euclidean" in said and "--similarity" in said
    assert retrieve(task, *words, "--similarity", "dot").data("SEARCH")["similarity"] == "dot"


def test_the_log_says_which_prompts_of_the_folder_were_taken(retrieve, model, tmp_path):
    shutil.copytree(model, tmp_path / "asked")
    prompts = {"prompts": {"query": "wing ", "passage": "flow "}}
    (tmp_path / "asked" / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    ran = retrieve("evaluate", "--model_name", tmp_path / "asked")
    facts = [line.data for line in map(lines.parse_line, ran.log.splitlines()) if lines.is_json(line, "ENV")]
    found = next(data for data in facts if "recipe" in data)
    assert found["prompts"] == {"query": "query", "passage": None}
    assert (found["recipe"]["query_prompt"], found["recipe"]["passage_prompt"]) == ("wing ", "")
    assert "the prompt of a query is query, 'wing '" in ran.notes and "--passage_prompt 'flow '" in ran.notes


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("encode", ["required: keep the vectors"]),
        ("search", ["(default: 100)", "required: write files"]),
        ("mine", ["(default: 100)", "required: write files"]),
        ("evaluate", ["(default: the largest k asked for)"]),
    ],
)
def test_help_says_what_a_task_needs(task, said, capsys):
    with pytest.raises(SystemExit):
        main([task, "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert all(words in text for words in said)
    assert ("required: write" in text) == (task in ("search", "mine"))


def test_a_part_of_the_corpus_is_said_in_the_log(retrieve):
    ran = retrieve("evaluate", "--other_documents", 4, "--latency_queries", "0")
    assert ran.data("SEARCH")["documents"] == 10
    quality = ran.data("IRM")
    assert (quality["dataset"], quality["other_documents"]) == ("wings+4", 4)
    assert (
        "warning: wings+4: searches 10 documents, the judged ones and 4 others at most (drawn by --seed 0)" in ran.notes
    )
    assert "compare them on this part alone" in ran.notes
    assert retrieve("evaluate", "--latency_queries", "0").data("IRM")["other_documents"] is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--compress", "int8@64"), "--compress int8@64: the vectors have 32 dimensions"),
        (("--compress", "int8,int8"), "--compress int8,int8: int8 is named twice"),
        (("--compress", "binary", "--rescore", "5"), "100 documents are retrieved a query (--search_topk)"),
    ],
)
def test_compression_that_cannot_be_is_refused_before_texts_are_read(retrieve, collection, words, said):
    (collection / "corpus.jsonl").write_text("no JSON")
    assert said in retrieve("search", "--output_dir", collection / "runs", *words, code=2).notes


@pytest.mark.parametrize("more", [(), ("--overwrite_output_dir",)])
def test_two_runs_do_not_write_into_one_folder(retrieve, tmp_path, more):
    with one_writer(tmp_path / "out", "--output_dir"):
        said = retrieve("search", "--output_dir", tmp_path / "out", *more, code=2).notes
    assert f"--output_dir {tmp_path / 'out'}: another run writes to it (process {os.getpid()})" in said
    assert not list((tmp_path / "out").iterdir())
