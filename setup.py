"""Build `gru4rec_fast._core` with CMake and install `kernels/` as `gru4rec_fast.kernels`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
PACKAGES = find_packages(str(ROOT), include=["gru4rec_fast*"], exclude=["gru4rec_fast.kernels*"])
KERNELS = ["gru4rec_fast.kernels"]
KERNELS += [f"gru4rec_fast.kernels.{part}" for part in find_packages(str(ROOT / "kernels"))]


class CMakeBuild(build_ext):
    """Compile the extension by CMake, in a folder under build/ that is kept between builds."""

    def build_extension(self, ext: Extension) -> None:
        """Configure and build `ext`; a compiler error stops the installation."""
        import cmake
        import ninja
        import pybind11

        kind = "Debug" if self.debug else "Release"
        build = ROOT / "build" / f"cmake-{sys.implementation.cache_tag}-{self.plat_name}-{kind}"
        command = str(Path(cmake.CMAKE_BIN_DIR) / "cmake")
        # The paths of isolated builds change each time; all of them are given here, so that the
        # folder's cache holds none that is gone.
        configure = [
            command,
            "-S",
            str(ROOT),
            "-B",
            str(build),
            "-G",
            "Ninja",
            f"-DCMAKE_MAKE_PROGRAM={Path(ninja.BIN_DIR) / 'ninja'}",
            f"-DCMAKE_BUILD_TYPE={kind}",
            f"-DCMAKE_LIBRARY_OUTPUT_DIRECTORY={build / 'module'}",
            f"-DPython_EXECUTABLE={sys.executable}",
            f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
            *os.environ.get("CMAKE_ARGS", "").split(),
        ]
        if subprocess.run(configure, check=False).returncode:
            # Another CMake, compiler or source folder may have left a cache that does not fit.
            shutil.rmtree(build, ignore_errors=True)
            subprocess.run(configure, check=True)
        subprocess.run([command, "--build", str(build)], check=True)
        target = Path(self.get_ext_fullpath(ext.name)).resolve()
        built = build / "module" / target.name
        if not built.exists():
            raise RuntimeError(
                f"CMake built no {target.name} in {built.parent}; expected the suffix of "
                f"{sys.executable}. Remove the folder {build} and install again."
            )
        # Renamed into place: a running process keeps the file that it has mapped.
        target.parent.mkdir(parents=True, exist_ok=True)
        copy = target.with_suffix(".new")
        shutil.copy2(built, copy)
        copy.replace(target)


setup(
    packages=[*PACKAGES, *KERNELS],
    package_dir={"gru4rec_fast": "gru4rec_fast", "gru4rec_fast.kernels": "kernels"},
    package_data={"gru4rec_fast": ["_core.pyi", "py.typed"]},
    exclude_package_data={"": ["*.so", "*.pyd"]},
    include_package_data=False,
    ext_modules=[Extension("gru4rec_fast._core", sources=[])],
    cmdclass={"build_ext": CMakeBuild},
    zip_safe=False,
)
