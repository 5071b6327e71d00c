"""What differs between TensorRT 8.6, 10, 11 and TensorRT for RTX; nobody else asks for a version."""

from __future__ import annotations

import importlib
import re
from typing import Any

from edge_avsc.errors import ModelError, nearest

INSTALL = {
    "tensorrt": "on a Jetson it comes with JetPack (make the virtual environment with --system-site-packages), "
    "elsewhere 'pip install tensorrt'",
    "tensorrt_rtx": "install it with 'pip install tensorrt-rtx-cu13'",
}
"""The modules that can be asked for, and how each comes to a machine."""

OLDEST = {"tensorrt": (8, 6), "tensorrt_rtx": (1, 0)}


class TensorRtLibrary:
    """One of NVIDIA's two libraries with the API of TensorRT: *name* is ``tensorrt`` or ``tensorrt_rtx``.

    module: stands in for the installed one; for tests. Raises ModelError when it is not installed, does not load, or is
    older than what has named tensors (8.6).
    """

    def __init__(self, name: str, module: Any = None) -> None:
        if name not in INSTALL:
            raise ModelError(f"There is no '{name}'; give one of {sorted(INSTALL)}.{nearest(name, INSTALL)}")
        self.name = name
        self.module = module or _imported(name)
        self.version = str(self.module.__version__)
        self._version = tuple(int(number) for number in re.findall(r"\d+", self.version)[:2])
        oldest = OLDEST[name]
        if self._version < oldest:
            wanted = ".".join(map(str, oldest))
            raise ModelError(f"{name} {self.version} is too old, {wanted} or newer is needed; {INSTALL[name]}.")

    @property
    def for_rtx(self) -> bool:
        """Whether it builds for GPUs that are not there, and finds its kernels when an engine is run."""
        return self.name == "tensorrt_rtx"

    def network(self, builder: Any) -> Any:
        """Return an empty network: strongly typed where the version has that, else with explicit batches."""
        flags = self.module.NetworkDefinitionCreationFlag
        # Since 11 there is no other kind, and the flag may go.
        kind = getattr(flags, "STRONGLY_TYPED", None) or getattr(flags, "EXPLICIT_BATCH", None)
        return builder.create_network(0 if kind is None else 1 << int(kind))

    def configure(self, config: Any, target: str) -> None:
        """Set what a network does not say by itself in this version, and the *target*, such as ``sm_89``."""
        if self._version < (9, 0) and not self.for_rtx:
            config.set_flag(self.module.BuilderFlag.INT8)
            # Two contexts of one engine are usual later on.
            config.set_preview_feature(self.module.PreviewFeature.PROFILE_SHARING_0806, True)
        if self.for_rtx:
            config.num_compute_capabilities = 1
            config.set_compute_capability(self._capability(target), 0)

    def has_timing_cache(self) -> bool:
        """Tell whether measured kernels can be kept; TensorRT for RTX measures none."""
        return not self.for_rtx

    def capturable(self, context: Any, stream: Any) -> bool:
        """Tell whether what a context launches may become a CUDA graph."""
        ask = getattr(context, "is_stream_capturable", None)
        return True if ask is None else bool(ask(int(stream)))

    def targets(self) -> list[str]:
        """Return the GPUs that engines can be built for where they are not, as ``sm_89``."""
        if not self.for_rtx:
            return []
        names = [name for name in dir(self.module.ComputeCapability) if re.fullmatch(r"SM\d+", name)]
        return [f"sm_{name[2:]}" for name in sorted(names, key=lambda name: int(name[2:]))]

    def check_target(self, target: str) -> None:
        """Raise ModelError unless engines for *target* can be built on any machine."""
        known = self.targets()
        if not known:
            raise ModelError(
                f"{self.name} builds only for the GPU that it runs on; leave out --target and build on the device, "
                "or take --backend tensorrt_rtx."
            )
        if target not in known:
            listed = ", ".join(known)
            raise ModelError(f"{self.name} {self.version} does not build for {target}; it builds for {listed}.")

    def _capability(self, target: str) -> Any:
        self.check_target(target)
        return getattr(self.module.ComputeCapability, target.replace("sm_", "SM"))


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == name:
            raise ModelError(f"The Python package {name} is not installed; {INSTALL[name]}.") from None
        raise ModelError(f"{name} does not load ({error}); {INSTALL[name]}.") from error
    except OSError as error:  # a library of NVIDIA's that is not there
        raise ModelError(f"{name} does not load ({error}); {INSTALL[name]}.") from error
