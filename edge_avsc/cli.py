"""The command line: what may be written there, and what an error becomes."""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import sys
import threading
from collections.abc import Sequence

from edge_avsc import __version__, arguments, cli_research, verbs
from edge_avsc.errors import EdgeAvscError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; errors are one sentence on stderr, a traceback with --debug.

    Without *argv* it is the program itself, and ends the process where a thread still hangs in a driver.
    """
    # One thread is the default everywhere; numpy's libraries read this when they are imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # A camera whose picture says that it is of a billion pixels gets none of the memory for them.
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(1 << 26))
    _open_what_is_closed()
    code = _run(_parser().parse_args(argv))
    if argv is None and threading.active_count() > 1:
        # OpenCV or FFmpeg, when they come back to an interpreter that is being taken down, crash the process.
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    return code


def _open_what_is_closed() -> None:
    """Let a standard stream that was closed before we began (``>&-``) lead to nowhere: no file may take its place."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            # It takes the lowest that is free, which is this one; and processes of our own get it too.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdout = sys.stdout or os.fdopen(1, "w", errors="backslashreplace", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", errors="backslashreplace", closefd=False)


def _run(args: argparse.Namespace) -> int:
    try:
        return verbs.VERBS[args.verb](args)
    except KeyboardInterrupt:
        if args.debug:
            raise
        print("edge-avsc: interrupted.", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read the output has gone, as head does: nothing is left to say, and nobody to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except EdgeAvscError as error:
        if args.debug:
            raise
        verbs.complain(error)
        return error.exit_code
    except Exception as error:
        if args.debug:
            raise
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            verbs.complain("No space is left where the output goes; free some, or send it elsewhere.")
            return 1
        verbs.complain(
            f"{type(error).__name__}: {error}; this is a fault of edge-avsc: please report what --debug prints."
        )
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge-avsc",
        description="What kind of place is this? Live audio-visual scene labels from sound and pictures.",
        epilog=arguments.EXIT_CODES,
    )
    parser.add_argument("--version", action="version", version=f"edge-avsc {__version__}")
    parser.set_defaults(debug=False)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="show tracebacks")
    commands = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_replay(commands, common)
    live = "label what the machine hears and sees, until it is stopped"
    run = commands.add_parser(
        "run", parents=[common], help=live, description=arguments.sentence(live), epilog=arguments.EXIT_CODES
    )
    run.add_argument(
        "--config",
        type=arguments.name,
        metavar="YAML",
        help="a configuration (default: default microphone and first camera)",
    )
    devices = "list microphones and cameras, each with the URI to paste"
    commands.add_parser(
        "devices", parents=[common], help=devices, description=arguments.sentence(devices), epilog=arguments.EXIT_CODES
    )
    _add_doctor_and_sync(commands, common)
    schema = "print the JSON schema of the configuration"
    commands.add_parser(
        "schema", parents=[common], help=schema, description=arguments.sentence(schema), epilog=arguments.EXIT_CODES
    )
    _add_model(commands, common)
    cli_research.add_evaluate(commands, common)
    cli_research.add_compare(commands, common)
    cli_research.add_train(commands, common)
    return parser


def _add_replay(commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    replay = commands.add_parser(
        "replay",
        parents=[common],
        help="label recordings, or the built-in demonstration",
        description="Label recordings. Without FILE the built-in demonstration, test://demo, is played.",
        epilog=arguments.EXIT_CODES,
    )
    replay.add_argument(
        "files", nargs="*", type=arguments.name, metavar="FILE", help="a video or sound file; several play one by one"
    )
    replay.add_argument(
        "--audio", type=arguments.name, metavar="FILE", help="the sound of one recording, apart from its picture"
    )
    replay.add_argument(
        "--video", type=arguments.name, metavar="FILE", help="the picture of one recording, apart from its sound"
    )
    replay.add_argument(
        "--config", type=arguments.name, metavar="YAML", help="a configuration; options given here come before it"
    )
    replay.add_argument(
        "--model", type=arguments.name, metavar="DIR", help="a bundle's folder or shipped name (default: avsc-lite)"
    )
    replay.add_argument("--hop-s", type=float, metavar="S", help="seconds from window to window (default: 0.5)")
    replay.add_argument(
        "--speed", type=arguments.speed, metavar="max|FLOAT", help="1 is as it was recorded (default: max)"
    )
    replay.add_argument(
        "--jsonl",
        type=arguments.name,
        metavar="PATH|-",
        help="write a JSON line for each estimate; - is stdout, and nothing else",
    )


def _add_doctor_and_sync(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    looks = "look at packages, model, sources and disk, and say how to mend what is wrong"
    doctor = commands.add_parser(
        "doctor", parents=[common], help=looks, description=arguments.sentence(looks), epilog=arguments.EXIT_CODES
    )
    measures = "measure a camera's latency_ms from flashes and beeps"
    sync = commands.add_parser(
        "sync", parents=[common], help=measures, description=arguments.sentence(measures), epilog=arguments.EXIT_CODES
    )
    for verb in (doctor, sync):
        verb.add_argument(
            "--config",
            type=arguments.name,
            metavar="YAML",
            help="a configuration (default: microphone and first camera)",
        )
    doctor.add_argument(
        "--seconds", type=arguments.seconds, default=3.0, metavar="S", help="how long to listen and look (default: 3)"
    )
    doctor.add_argument(
        "--selftest", action="store_true", help="instead try everything that can run the model: a report to paste"
    )
    sync.add_argument("--stream", metavar="NAME", help="which stream, where several have sound and pictures")
    sync.add_argument(
        "--seconds", type=arguments.seconds, default=30.0, metavar="S", help="how long to try (default: 30)"
    )


def _add_model(commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    about = "describe a bundle, check that it computes what it should, or build its engines for a GPU"
    model = commands.add_parser(
        "model", parents=[common], help=about, description=arguments.sentence(about), epilog=arguments.EXIT_CODES
    )
    actions = "info: what it is; verify: score its golden inputs; build: make engines ahead of time"
    model.add_argument("action", choices=["info", "verify", "build"], help=actions)
    model.add_argument("model", nargs="?", default="avsc-lite", metavar="DIR", help="a bundle (default: avsc-lite)")
    model.add_argument(
        "--backend",
        choices=["tensorrt", "tensorrt_rtx", "onnxruntime"],
        default="tensorrt",
        help="build: what the engines are for (default: tensorrt)",
    )
    model.add_argument(
        "--provider",
        choices=["tensorrt", "cuda", "openvino", "cpu"],
        default="tensorrt",
        help="build with --backend onnxruntime: for which of its providers (default: tensorrt)",
    )
    model.add_argument(
        "--target",
        action="append",
        default=[],
        type=arguments.target,
        metavar="sm_89",
        help="build: a GPU that need not be here, several times for several (default: the one of this machine)",
    )


if __name__ == "__main__":
    sys.exit(main())
