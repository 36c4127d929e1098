"""Writes docs/api.md from the docstrings of the public names; reads sources only and imports nothing of the package.

    python docs/api.py            writes the page
    python docs/api.py --check    exits with 1 if the page is not what the docstrings say
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "python" / "coolfusion"
PAGE = ROOT / "docs" / "api.md"
Documented = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef

# Heading, module of the import, file of the definitions, names; no names are all public classes and functions.
PARTS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("Tokenizers, streams, segments, alignments", "coolfusion", "_core.pyi", ()),
    ("Fusion", "coolfusion", "fusion/fusion.py", ("Fusion",)),
    ("Requests and the engine", "coolfusion", "fusion/options.py", ("Request",)),
    ("", "coolfusion", "fusion/rerank_options.py", ("Rerank",)),
    ("", "coolfusion", "fusion/reasoning.py", ("Think",)),
    ("", "coolfusion", "fusion/engine.py", ("FusionEngine",)),
    ("", "coolfusion.fusion", "fusion/engine.py", ("Event",)),
    ("", "coolfusion.fusion", "fusion/generation.py", ("Generation", "AsyncGeneration")),
    ("", "coolfusion.fusion.many", "fusion/many.py", ()),
    ("", "coolfusion.fusion.generation", "fusion/generation.py", ("Handle",)),
    ("Members", "coolfusion", "members/member.py", ("Member",)),
    ("Selection rules", "coolfusion", "fusion/selection/base.py", ("SelectionRule",)),
    ("", "coolfusion.fusion", "fusion/selection/base.py", ("StepView",)),
    ("", "coolfusion.fusion.selection", "fusion/selection/base.py", ("Ranking", "RowRule", "Selection", "select")),
    ("", "coolfusion.fusion.selection", "fusion/selection/named.py", ("as_rule",)),
    ("", "coolfusion.fusion.selection", "fusion/selection/specs.py", ("rule_from_spec", "spec_of")),
    ("", "coolfusion.fusion.selection", "fusion/selection/power_mean.py", ("PowerMean",)),
    (
        "",
        "coolfusion.fusion.selection",
        "fusion/selection/weights.py",
        ("Weights", "Uniform", "Fixed", "ByEvidence", "ByRecentText"),
    ),
    ("", "coolfusion.fusion.selection", "fusion/selection/wrappers.py", ("Primary", "WithoutOutliers")),
    ("", "coolfusion.fusion.selection", "fusion/selection/measures.py", ()),
    ("", "coolfusion.fusion.selection", "fusion/selection/drawing.py", ()),
    ("Conversations", "coolfusion.chat", "chat/messages.py", ("Chat", "as_chats", "as_messages")),
    ("", "coolfusion.chat", "chat/rendering.py", ("ChatPrompt", "chat_prompt")),
    ("", "coolfusion.chat", "chat/ends.py", ()),
    ("Recipes", "coolfusion.fusion.recipe", "fusion/recipe.py", ()),
    ("Whole continuations", "coolfusion.fusion.ranking", "fusion/ranking.py", ()),
    ("", "coolfusion.fusion.voting", "fusion/voting.py", ()),
    ("", "coolfusion.fusion.standing", "fusion/standing.py", ("loop_share",)),
    ("", "coolfusion.fusion.answers", "fusion/answers.py", ()),
    ("The plain loop", "coolfusion.fusion.reference", "fusion/reference.py", ()),
    ("Results", "coolfusion", "records.py", ("Candidate", "Continuation", "Output", "Rejection", "Score", "Step")),
    ("", "coolfusion.records", "records.py", ("MemberOutput", "MemberStep", "Origin", "Seconds", "to_jsonable")),
    ("Traces", "coolfusion.traces", "traces/reader.py", ()),
    ("", "coolfusion.traces", "traces/writer.py", ()),
    ("", "coolfusion.traces", "traces/page.py", ("page_of", "write_page")),
    ("", "coolfusion.traces.authors", "traces/authors.py", ("Shares", "initials", "safe", "shares_of")),
    ("", "coolfusion.traces.plain", "traces/plain.py", ()),
    ("Models", "coolfusion.models", "models/base.py", ()),
    ("", "coolfusion.models", "models/scripted.py", ("ScriptedModel",)),
    ("", "coolfusion.models", "models/forgetful.py", ("ForgetfulModel",)),
    ("", "coolfusion.models.transformers.model", "models/transformers/model.py", ("HuggingFaceModel",)),
    ("", "coolfusion.models.transformers.strategies.base", "models/transformers/strategies/base.py", ("Strategy",)),
    ("Executors", "coolfusion.executors.base", "executors/base.py", ()),
    ("", "coolfusion.executors.inline", "executors/inline.py", ("InlineExecutor", "InlineWorker", "workers_of")),
    ("", "coolfusion.executors.threads", "executors/threads.py", ("ThreadExecutor",)),
    ("", "coolfusion.executors.processes", "executors/processes.py", ("ProcessExecutor",)),
    ("", "coolfusion.executors.lanes", "executors/lanes.py", ("LaneExecutor", "Worker", "Advanced", "MemberLost")),
    ("", "coolfusion.members.worker", "members/worker.py", ("ModelWorker",)),
    ("", "coolfusion.fusion.running", "fusion/running.py", ("Running",)),
    ("Commands and replies", "coolfusion.members.commands", "members/commands.py", ()),
    ("Likelihoods of texts", "coolfusion.evaluation.likelihood", "evaluation/likelihood.py", ()),
    ("", "coolfusion.evaluation.words", "evaluation/words.py", ()),
    ("", "coolfusion.evaluation.prompts", "evaluation/prompts.py", ()),
    ("Tasks, metrics, statistics", "coolfusion.evaluation.experiment", "evaluation/experiment.py", ()),
    ("", "coolfusion.evaluation.presets", "evaluation/presets.py", ()),
    ("", "coolfusion.evaluation.rows", "evaluation/rows.py", ()),
    ("", "coolfusion.evaluation.runner", "evaluation/runner.py", ()),
    ("", "coolfusion.evaluation.record_file", "evaluation/record_file.py", ()),
    ("", "coolfusion.evaluation.sample_file", "evaluation/sample_file.py", ()),
    ("", "coolfusion.evaluation.summary", "evaluation/summary.py", ()),
    ("", "coolfusion.evaluation.tasks", "evaluation/tasks.py", ()),
    ("", "coolfusion.evaluation.samples", "evaluation/samples.py", ()),
    ("", "coolfusion.evaluation.data", "evaluation/data.py", ()),
    ("", "coolfusion.evaluation.metrics", "evaluation/metrics.py", ()),
    ("", "coolfusion.evaluation.drop_metric", "evaluation/drop_metric.py", ()),
    ("", "coolfusion.evaluation.statistics", "evaluation/statistics.py", ()),
    ("Checks of a pool, and recorded steps", "coolfusion.evaluation.pool", "evaluation/pool/check.py", ()),
    ("", "coolfusion.evaluation.pool.report", "evaluation/pool/report.py", ()),
    ("", "coolfusion.evaluation.pool.verdict", "evaluation/pool/verdict.py", ()),
    ("", "coolfusion.evaluation.pool.columns", "evaluation/pool/columns.py", ()),
    ("", "coolfusion.evaluation.pool.of_steps", "evaluation/pool/of_steps.py", ()),
    ("", "coolfusion.evaluation.pool.grid", "evaluation/pool/grid.py", ()),
    ("", "coolfusion.evaluation.next_words", "evaluation/next_words.py", ()),
    ("", "coolfusion.evaluation.steps", "evaluation/steps.py", ()),
    ("", "coolfusion.evaluation.collect", "evaluation/collect.py", ()),
    ("", "coolfusion.evaluation.replay", "evaluation/replay.py", ()),
    ("The server", "coolfusion.serve", "serve/settings.py", ("ServerSettings",)),
    ("", "coolfusion.serve", "serve/app.py", ("create_app",)),
    ("", "coolfusion.serve", "serve/server.py", ("serve",)),
    ("The model of lm-evaluation-harness", "coolfusion.evaluation.harness", "evaluation/harness.py", ()),
    ("Models and tokenizers that come with the package", "coolfusion.embedded", "embedded/__init__.py", ()),
    ("", "coolfusion.toy", "toy.py", ()),
    ("Errors and warnings", "coolfusion", "errors.py", ()),
)


def page() -> str:
    """Returns the page."""
    out = ["# API reference", "", "Made by `make docs` from the docstrings. Each name stands with its import.", ""]
    headings = [heading for heading, *_ in PARTS if heading]
    out += [f"- [{heading}](#{anchor(heading)})" for heading in headings]
    for heading, module, file, names in PARTS:
        if heading:
            out += ["", f"## {heading}"]
        for node in definitions(PACKAGE / file, names):
            out += ["", *of_definition(node, f"{module}.{node.name}", "###")]
            if isinstance(node, ast.ClassDef):
                for method in members(node):
                    out += ["", *of_definition(method, f"{node.name}.{method.name}", "####")]
    return "\n".join(out) + "\n"


def anchor(heading: str) -> str:
    """Returns the fragment by which a heading is linked."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def definitions(path: Path, names: tuple[str, ...]) -> list[Documented]:
    """Returns the definitions of a file: those that are named, or all public ones."""
    nodes = [node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, Documented)]
    found = {node.name: node for node in nodes if ast.get_docstring(node)}
    missing = [name for name in names if name not in found]
    if missing:
        raise SystemExit(f"{path}: no documented definition of {', '.join(missing)}")
    return [found[name] for name in names or found if not name.startswith("_")]


def members(node: ast.ClassDef) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yields the public methods and properties with a docstring; of overloads the last one has it."""
    for item in node.body:
        public = isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) and not item.name.startswith("_")
        if public and ast.get_docstring(item):
            yield item


def of_definition(node: Documented, name: str, level: str) -> list[str]:
    """Returns heading, signature and docstring of a definition."""
    decorators = {ast.unparse(each) for each in node.decorator_list}
    lines = [f"{level} `{name}`", ""]
    if not decorators & {"property", "cached_property"}:
        lines += ["```py", signature(node), "```", ""]
    return lines + of_docstring(ast.get_docstring(node) or "")


def signature(node: Documented) -> str:
    """Returns the call as it is written; of a class that of its constructor."""
    if not isinstance(node, ast.ClassDef):
        prefix = "async " if isinstance(node, ast.AsyncFunctionDef) else ""
        bound = bool(node.args.args) and node.args.args[0].arg in {"self", "cls"}
        arguments = without_first(node) if bound else node.args
        answer = f" -> {ast.unparse(node.returns)}" if node.returns else ""
        return wrapped(f"{prefix}def {node.name}", ast.unparse(arguments), answer)
    made = [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name in {"__init__", "__new__"}]
    if made:
        return wrapped(f"class {node.name}", ast.unparse(without_first(made[0])), "")
    fields = [item for item in node.body if isinstance(item, ast.AnnAssign) and "init=False" not in ast.unparse(item)]
    bases = {ast.unparse(base) for base in node.bases}
    if not fields or not (node.decorator_list or "NamedTuple" in bases):
        return f"class {node.name}" + (f"({', '.join(sorted(bases))})" if bases else "")
    return wrapped(f"class {node.name}", ", ".join(map(ast.unparse, fields)), "")


def without_first(node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.arguments:
    """Returns the arguments of a method without `self`."""
    given = node.args
    rest = (given.vararg, given.kwonlyargs, given.kw_defaults, given.kwarg, given.defaults)
    return ast.arguments(given.posonlyargs, given.args[1:], *rest)


def wrapped(before: str, arguments: str, after: str) -> str:
    """Returns a signature on one line, or on a line for each argument."""
    line = f"{before}({arguments}){after}"
    if len(line) <= 100:
        return line
    parts, depth, start = [], 0, 0
    for at, character in enumerate(arguments):
        depth += (character in "([{") - (character in ")]}")
        if character == "," and not depth:
            parts.append(arguments[start:at].strip())
            start = at + 1
    inner = "".join(f"    {part},\n" for part in [*parts, arguments[start:].strip()])
    return f"{before}(\n{inner}){after}"


def of_docstring(text: str) -> list[str]:
    """Returns a docstring as Markdown: sections in bold, their items as lists, examples as blocks."""
    out: list[str] = []
    section = ""
    for line in text.splitlines():
        named = re.fullmatch(r"([A-Z][a-z]+):(?: (.+))?", line)
        if named and named[1] in {"Args", "Attributes", "Returns", "Raises", "Complexity", "Source", "Example"}:
            if section == "Example":
                out += ["```"]
            section = named[1]
            out += [f"**{section}**: {named[2]}"] if named[2] else [f"**{section}**", ""]
            out += ["```text"] if section == "Example" else []
        elif section in {"Args", "Attributes", "Raises"} and re.match(r"    \S", line):
            name, _, rest = line.strip().partition(": ")
            out.append(f"- `{name}`: {rest}" if rest else f"- {name}")
        elif section == "Example":
            out.append(line.removeprefix("    ").replace("``", ""))
        elif section and line.startswith("        "):
            out.append(f"  {line.strip()}")
        else:
            out.append(line.strip() if section else line)
    while out and not out[-1].strip():
        out.pop()
    if section == "Example":
        out.append("```")
    return [line.replace("``", "`") if not line.startswith("```") else line for line in out]


def main() -> None:
    """Writes or checks the page."""
    text = page()
    if "--check" in sys.argv[1:]:
        current = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
        raise SystemExit(0 if current == text else "docs/api.md is not what the docstrings say: run `make docs`")
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
