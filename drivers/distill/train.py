"""Steps align and contrast: what is trained, from what, and the folders that come out."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from fmbench import torch_settings
from fmbench.digest import digest_of_json
from fmbench.encoder import EncoderPlan
from fmbench.encoder.folder import TRANSFORMER
from fmbench.encoder.network import Network, TransformerNetwork
from fmbench.encoder.tokens import Tokenizer, load_tokenizer
from fmbench.errors import UsageError
from fmbench.identity import digest_of_folder, identify
from fmbench.sentence_folder import MODULES

from .arguments import DistillArguments
from .query_encoder import load, load_transformer
from .steps import Run
from .students import Design, build, size
from .tasks import Alignment
from .teacher import read_teacher
from .training import Plan, Task, Training
from .write import save_pair, save_student

QUERY, PAIR, DOCUMENT = "query", "pair", "document"  # below --output_dir


def align(run: Run) -> None:
    """Train a student on the teacher's vectors, and write it and its pair."""
    arguments, plan = run.arguments, run.plan
    set_up(run)
    model = identify(plan.source, arguments.evaluated(), plan.folder.path)
    teacher = read_teacher(arguments.teacher_dir or Path(), model)
    wanted = design(arguments)
    named = run.students[0] if run.students else None
    origin, parent = load_transformer(plan)[0], load_parent(named) if named else None
    student = build(wanted, origin, parent, teacher.vectors.shape[1], arguments.seed)
    vocabulary = named if named and wanted.embeddings == "own" else plan
    tokenizer = Tokenizer(load_tokenizer(vocabulary.folder), "", wanted.length, student.special_tokens)
    place(run, student)
    task = Alignment(
        student, tokenizer(teacher.texts), teacher.vectors, loss=arguments.loss, temperature=arguments.temperature,
        embedding_rate=arguments.embedding_rate, seed=arguments.seed, place=plan.platform.place,
    )  # fmt: skip
    identity = {
        "student": student_facts(wanted),
        "texts": teacher.facts["texts"],
        "teacher": [model.digest, digest_of_json(teacher.facts["key"])],
        "loss": [arguments.loss, arguments.temperature],
        "embedding rate": arguments.embedding_rate,
    }
    train(run, task, identity)
    if run.group.rank == 0:
        finish(run, student, tokenizer, document_folder(run))


def load_parent(plan: EncoderPlan) -> TransformerNetwork:
    """Return the model whose layers a student takes. Raises UsageError for one that has none."""
    if plan.folder.kind != TRANSFORMER:
        raise UsageError(f"--student_model {plan.folder.path}: is no transformer, so it has no layers to take")
    return load_transformer(plan)[0]


def design(arguments: DistillArguments) -> Design:
    """Return the student that a command line asks for."""
    return Design(
        kind=arguments.student,
        layers=arguments.layers,
        depth=arguments.depth_of_student,
        model=arguments.student_model,
        hidden_size=arguments.hidden_size,
        heads=arguments.heads,
        embeddings=arguments.embeddings,
        project=arguments.projection == "linear",
        length=arguments.student_length,
        ff=arguments.ff,
    )


def student_facts(wanted: Design) -> dict[str, Any]:
    """Return what tells a student from others, as JSON values: its sizes, and what it begins with, wherever it lies."""
    model = digest_of_folder(wanted.model) if wanted.model else None
    return {**asdict(wanted), "layers": list(wanted.layers), "model": model}


def set_up(run: Run) -> None:
    """Set the platform and torch up for training, and print the fingerprint."""
    run.plan.platform.setup(run.arguments)
    evaluated = run.arguments.evaluated()
    torch_settings.Settings([(evaluated.options, evaluated.threads)]).activate(0)
    run.facts(evaluated)


def place(run: Run, module: Any) -> None:
    """Bring a module's weights to the device."""
    run.plan.platform.prepare(module, replace(run.arguments.evaluated(), compile=False))


def train(run: Run, task: Task, identity: Mapping[str, Any]) -> None:
    """Train a task in the output folder, and print how that went."""
    arguments = run.arguments
    plan = Plan(
        epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        schedule=arguments.schedule,
        warmup=arguments.warmup,
        warmup_steps=arguments.warmup_steps,
        gradient_accumulation_steps=arguments.gradient_accumulation_steps,
        mixed_precision=arguments.mixed_precision,
        weight_decay=arguments.weight_decay,
        seed=arguments.seed,
        every=arguments.evaluate_every,
        patience=arguments.patience,
    )
    whole = {**identity, **{name: value for name, value in asdict(plan).items() if name != "patience"}}
    folder = arguments.output_dir or Path()
    training = Training(task, plan, folder, whole, lambda line: run.say(arguments.task, line), run.group)
    outcome = training.run(resume=arguments.resume)
    run.say(arguments.task, {**outcome, **size(task.module), "training": {**whole, "patience": plan.patience}})


def document_folder(run: Run) -> Path:
    """Return the passage encoder's folder in the layout of sentence-transformers, as the command line has it.

    It is written now where the folder has another layout, or the command line asks for a pooling or a normalisation.
    """
    folder, recipe = run.plan.folder, run.arguments.recipe
    if (folder.path / MODULES).is_file() and recipe.pooling is None and recipe.normalise is None:
        return folder.path
    target = (run.arguments.output_dir or Path()) / DOCUMENT
    save_student(target, *load(run.plan, "passage"), prompts=document_prompt(run))
    return target


def document_prompt(run: Run) -> dict[str, str]:
    """Return what stands before each passage, as a folder publishes it."""
    return {"document": run.plan.prompt("passage")}


def finish(run: Run, student: Network, tokenizer: Tokenizer, document: Path) -> None:
    """Write the query encoder and its pair with the passage encoder of a folder."""
    folder, published = run.arguments.output_dir or Path(), run.plan.folder
    save_student(folder / QUERY, student.to("cpu"), tokenizer, True, {"query": tokenizer.prompt})
    cut = run.plan.said.over(published.recipe).truncate_dim
    save_pair(folder / PAIR, folder / QUERY, document, run.plan.prompt("passage"), published.similarity, cut)
