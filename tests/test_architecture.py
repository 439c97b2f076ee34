"""The arrows of docs/design.md: who may import whom, and which library lives where."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("assets", "envs", "calibration", "generators", "conf")
MAY_IMPORT = {
    "assets": set(),
    "envs": {"assets"},
    "calibration": {"envs", "assets"},
    "generators": {"envs", "assets"},
    "conf": {"calibration", "generators", "envs", "assets"},
}
ONLY_IN = {
    "pybullet": {
        "envs/world/bullet.py",
        "envs/world/bullet_parts.py",
        "envs/world/tiny_renderer.py",
    },
    "hydra": {"run.py", "conf/"},
    "omegaconf": {"run.py", "conf/"},
    "torch": {"calibration/"},
    "warp": {"generators/raster/", "calibration/rollout/"},
    "pxr": {"envs/stage/"},
    "mujoco": {"assets/recordings/make_sample.py"},
    "pinocchio": set(),
}


def sources() -> list[Path]:
    return [ROOT / "run.py", *(p for k in PACKAGES for p in sorted((ROOT / k).rglob("*.py")))]


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module)
    return names


def test_packages_import_only_what_lies_below_them() -> None:
    for path in sources():
        package = path.relative_to(ROOT).parts[0]
        if package not in MAY_IMPORT:
            continue
        ours = {name.split(".")[0] for name in imported(path)} & set(PACKAGES)
        assert ours <= MAY_IMPORT[package] | {package}, f"{path} imports {ours}"


def test_assets_are_found_without_the_rest() -> None:
    assert not {n.split(".")[0] for n in imported(ROOT / "assets/catalog.py")} & set(PACKAGES)


def test_each_library_stays_in_its_place() -> None:
    for path in sources():
        place = path.relative_to(ROOT).as_posix()
        for library in {name.split(".")[0] for name in imported(path)} & set(ONLY_IN):
            allowed = ONLY_IN[library]
            assert any(place == a or (a.endswith("/") and place.startswith(a)) for a in allowed), (
                f"{place} imports {library}, which belongs in {allowed or 'the tests'}"
            )


def test_the_command_line_answers_before_any_heavy_library_is_imported() -> None:
    heavy = ["cv2", "matplotlib", "polars", "pxr", "pybullet", "scipy", "torch", "trimesh", "warp"]
    code = f"import sys, run; print([name for name in {heavy} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert answer.stdout.strip() == "[]", answer.stdout + answer.stderr
