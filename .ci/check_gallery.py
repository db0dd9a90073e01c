"""Every example has run for the documentation, and saved a figure of its own name."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))


def is_as_it_should_be(name):
    """What it printed stands on its page, and what it saved beside it."""
    page = (ROOT / f"docs/auto_examples/{name}.rst").read_text(encoding="utf-8")
    figure = ROOT / f"docs/auto_examples/images/sphx_glr_{name}_001.png"
    is_told = f"figure saved: {name}.png" in page
    return is_told and figure.stat().st_size > 10_000


wrong = [name for name in EXAMPLES if not is_as_it_should_be(name)]
if wrong or not EXAMPLES:
    raise SystemExit(f"no figure was saved by: {wrong}")
print(f"{len(EXAMPLES)} examples, as they should be")
