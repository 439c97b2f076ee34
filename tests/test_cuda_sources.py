"""All kernels compile for an NVIDIA GPU; that takes its compiler, which Warp brings, but no GPU."""

import importlib
import pkgutil
from pathlib import Path

import pytest
import warp as wp

import calibration.rollout
import generators.raster

KERNELS = {
    f"{module.__name__}.{kernel.key}": kernel
    for package in (generators.raster, calibration.rollout)
    for found in pkgutil.iter_modules(package.__path__, package.__name__ + ".")
    for module in [importlib.import_module(found.name)]
    for kernel in vars(module).values()
    if isinstance(kernel, wp.Kernel)
}
MODULES = {kernel.module.name: kernel.module for kernel in KERNELS.values()}


def test_there_are_kernels() -> None:
    assert len(KERNELS) > 12 and "generators.raster.shading.shade" in KERNELS


def test_sums_of_products_are_rounded_on_a_gpu_as_on_a_cpu() -> None:
    drawing = [MODULES[name] for name in MODULES if name.startswith("generators.")]
    assert len(drawing) > 8 and not any(module.options["fuse_fp"] for module in drawing)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_kernels_compile_for_a_gpu(name: str, tmp_path: Path) -> None:
    wp.compile_aot_module(MODULES[name], arch=75, module_dir=tmp_path, use_ptx=True)
    assert [path.stat().st_size for path in tmp_path.glob("*.ptx")]
