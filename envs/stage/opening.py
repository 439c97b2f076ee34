"""Opening and creating USD stages: a stage that does not compose is refused, not half read."""

import re
from pathlib import Path
from typing import Any

from envs.errors import StageError
from envs.stage.guard import LIMITS, Limits, check_layers


def open_stage(path: Path, *, root: Path | None = None, limits: Limits = LIMITS) -> Any:
    """Open a stage as a `Usd.Stage` that composes without an error.

    Args:
        path: Its root layer.
        root: The folder that none of its layers may lie outside of; None for a stage that this
            program composed.
        limits: How large it may be.

    Raises:
        StageError: The file is missing or no USD; a layer, reference or payload of it cannot be
            found or lies outside the root; it is too large.
    """
    from pxr import Tf, Usd, UsdUtils

    if not path.is_file():
        raise StageError(f"stage not found: {path}")
    if path.suffix.lower() in (".urdf", ".xml", ".xacro"):
        raise StageError(f"{path} is no USD stage; bring a URDF in with task=import urdf=FILE")
    # Collects what USD would print to stderr.
    delegate = UsdUtils.CoalescingDiagnosticDelegate()
    try:
        check_layers(path, root, limits)
        stage = Usd.Stage.Open(str(path))
    except Tf.ErrorException as error:
        reason = str(error).strip().splitlines()[0].rsplit(" : ", 1)[-1].strip("'")
        # The parser names its grammar's C++ types.
        reason = re.sub(r"parse error matching \S+(<.*>)?,? ?\S* at", "parse error at", reason)
        raise StageError(f"{path} cannot be opened as USD: {reason}") from error
    finally:
        delegate.TakeCoalescedDiagnostics()
    errors = [str(e).strip() for e in stage.GetCompositionErrors()]
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise StageError(f"{path} does not compose: {errors[0]}{more}")
    return stage


def new_stage(path: Path, root: str) -> Any:
    """Create a layer in SI, Z-up, with the prim /root as defaultPrim; return its `Usd.Stage`."""
    from pxr import Usd, UsdGeom, UsdPhysics

    stage = Usd.Stage.CreateNew(str(path))
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.z)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    UsdPhysics.SetStageKilogramsPerUnit(stage, 1.0)
    stage.GetRootLayer().defaultPrim = root
    return stage
