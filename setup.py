"""Build `gru4rec_fast._core` with CMake and install `kernels/` as `gru4rec_fast.kernels`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
KERNEL_PARTS = [f"gru4rec_fast.kernels.{part}" for part in ("cells", "losses", "optimisers")]


class CMakeBuild(build_ext):
    """Let CMake compile the extension straight into the place where setuptools expects it."""

    def build_extension(self, ext: Extension) -> None:
        """Configure and build `ext`; a compiler error stops the installation."""
        import cmake
        import ninja
        import pybind11

        target = Path(self.get_ext_fullpath(ext.name)).resolve()
        build = Path(self.build_temp).resolve() / "cmake"
        build.mkdir(parents=True, exist_ok=True)
        command = str(Path(cmake.CMAKE_BIN_DIR) / "cmake")
        subprocess.run(
            [
                command,
                "-S",
                str(ROOT),
                "-B",
                str(build),
                "-G",
                "Ninja",
                f"-DCMAKE_MAKE_PROGRAM={Path(ninja.BIN_DIR) / 'ninja'}",
                f"-DCMAKE_BUILD_TYPE={'Debug' if self.debug else 'Release'}",
                f"-DCMAKE_LIBRARY_OUTPUT_DIRECTORY={target.parent}",
                f"-DPython_EXECUTABLE={sys.executable}",
                f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
                *os.environ.get("CMAKE_ARGS", "").split(),
            ],
            check=True,
        )
        subprocess.run([command, "--build", str(build)], check=True)
        if not target.exists():
            raise RuntimeError(
                f"CMake built no {target.name} in {target.parent}; expected the suffix of "
                f"{sys.executable}. Remove the build folder and install again."
            )


setup(
    packages=["gru4rec_fast", "gru4rec_fast.kernels", *KERNEL_PARTS],
    package_dir={"gru4rec_fast": "gru4rec_fast", "gru4rec_fast.kernels": "kernels"},
    package_data={"gru4rec_fast": ["_core.pyi", "py.typed"]},
    exclude_package_data={"": ["*.so", "*.pyd"]},
    include_package_data=False,
    ext_modules=[Extension("gru4rec_fast._core", sources=[])],
    cmdclass={"build_ext": CMakeBuild},
    zip_safe=False,
)
