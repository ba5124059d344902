"""The C compiler and the loader: found, run in parallel, killed, done without, never run twice."""

import ctypes
import math
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

import diptych as dt
from diptych.compiler.native import library, toolchain
from diptych.compiler.native.toolchain import CompileError, Compiler, NoCompilerError, Unit

CC = shutil.which("cc")
pytestmark = pytest.mark.skipif(CC is None, reason="needs a C compiler")

# A small runtime library stands in for the real one, which takes seconds to build.
HEADER = "int dt_one(void);\nint dt_two(void);\n"
SOURCES = {
    "runtime.h": HEADER,
    "threads.c": '#include "runtime.h"\nint dt_one(void) { return 1; }\n',
    "stacks.c": "",
    "launch.c": '#include "runtime.h"\nint dt_two(void) { return dt_one() + 1; }\n',
}
PROGRAM = '#include "runtime.h"\nint step(void) { return dt_one() + dt_two() + 39; }\n'

# What a program in a process of its own starts with. Its first argument is the test's folder.
PRELUDE = f"""\
import os, signal, sys, threading, time
from pathlib import Path
from diptych.compiler.native import library, toolchain
library.FOLDER = Path(sys.argv[1]) / "native"
PROGRAM = {PROGRAM!r}
"""
LOAD = "print(library.load(PROGRAM).step())"


@pytest.fixture
def house(tmp_path, monkeypatch):
    """A folder with a runtime library, a cache, temporary files, and a compiler that keeps a log.

    Given what the file `hang` says, it starts a process that hangs, and puts its number in `hung`.
    """
    for name in ("native", "tmp"):
        (tmp_path / name).mkdir()
    for name, text in SOURCES.items():
        (tmp_path / "native" / name).write_text(text)
    compiler = tmp_path / "compiler"
    compiler.write_text(
        textwrap.dedent(f"""\
        #!/bin/sh
        echo "$@" >> {tmp_path}/log
        if [ -e {tmp_path}/hang ]; then
            case "$*" in *"$(cat {tmp_path}/hang)"*)
                sleep 100 &
                echo $! > {tmp_path}/hung.part
                mv {tmp_path}/hung.part {tmp_path}/hung
                wait
                exit 1;;
            esac
        fi
        exec {CC} "$@"
        """)
    )
    compiler.chmod(0o700)
    monkeypatch.setenv("DIPTYCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setenv("DIPTYCH_CC", str(compiler))
    monkeypatch.setenv("DIPTYCH_LIBRARY", "none")  # here libraries are built
    monkeypatch.setattr(library, "prebuilt", lambda: None)
    return tmp_path


def start(house, code):
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + code, house], stdout=subprocess.PIPE, text=True
    )


def run(house, code=LOAD):
    """What a program in a process of its own prints."""
    child = start(house, code)
    output, _ = child.communicate(timeout=300)
    assert child.returncode == 0
    return output.split()


@pytest.fixture
def step(house, monkeypatch):
    """What a function `step` gives, built as if by a process that has just begun."""
    monkeypatch.setattr(library, "FOLDER", house / "native")

    def fresh(source):
        for known in (toolchain._search, library._runtime, library._headers):
            known.cache_clear()
        monkeypatch.setattr(library, "_loaded", {})
        return library.load(source).step()

    return fresh


def translated(house):
    """The sources that the compiler was given, in alphabetical order."""
    lines = [line.split() for line in (house / "log").read_text().splitlines()]
    return sorted(words[words.index("-c") + 1].split(".")[0] for words in lines if "-c" in words)


def eventually(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def gone(process):
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"  # killed, and nobody has asked for its status


def hung(house, child):
    """The number of the process that the compiler has started, as soon as it hangs."""
    eventually(lambda: (house / "hung").exists() or child.poll() is not None)
    assert child.poll() is None
    return int((house / "hung").read_text())


# -- the cache's use --------------------------------------------------------------------------


def test_the_second_process_starts_no_compiler(house):
    assert run(house) == ["42"]
    before = (house / "log").read_text()
    assert translated(house) == ["launch", "probe", "program0", "stacks", "threads"]
    assert run(house) == ["42"]
    assert (house / "log").read_text() == before


def test_another_compiler_builds_anew(house, step, monkeypatch):
    assert step(PROGRAM) == 42
    os.utime(house / "compiler", (1, 1))
    assert step(PROGRAM) == 42
    # It is asked again, and is the same one after all.
    assert translated(house) == ["launch", "probe", "probe", "program0", "stacks", "threads"]
    assert (house / "log").read_text().splitlines().count("--version") == 2
    monkeypatch.setenv("DIPTYCH_CC", f"{house}/compiler -DOTHER")
    assert step(PROGRAM) == 42
    assert translated(house).count("program0") == 2


@pytest.mark.parametrize("what", ["flags", "machine", "version"])
def test_whatever_code_depends_on_is_in_its_key(house, step, monkeypatch, what):
    assert step(PROGRAM) == 42
    if what == "flags":
        monkeypatch.setattr(toolchain, "FLAGS", (*toolchain.FLAGS, "-DOTHER"))
    elif what == "machine":
        monkeypatch.setattr(toolchain, "machine", lambda: "another")
    else:
        monkeypatch.setattr(dt, "__version__", "0.0.0")
    assert step(PROGRAM) == 42
    assert translated(house).count("program0") == translated(house).count("launch") == 2


def test_a_changed_header_builds_anew(house, step):
    for number in (1, 2):
        (house / "native" / "runtime.h").write_text(f"{HEADER}\n#define N {number}\n")
        assert step('#include "runtime.h"\nint step(void) { return N; }') == number


def test_a_damaged_object_is_rebuilt_and_not_loaded(house):
    assert run(house) == ["42"]
    entries = list((house / "cache").glob("*.so"))
    assert len(entries) == 2
    for path in entries:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 16
        path.write_bytes(data)
    assert run(house) == ["42"]
    assert translated(house) == sorted(2 * ["launch", "program0", "stacks", "threads"] + ["probe"])


def test_processes_may_build_at_once(house):
    code = f"""\
children = []
for _ in range(8):
    child = os.fork()
    if not child:
        {LOAD}
        sys.stdout.flush()
        os._exit(0)
    children.append(child)
sys.exit(any(os.waitpid(child, 0)[1] for child in children))
"""
    # Processes may write their lines into each other.
    assert "".join(run(house, code)) == 8 * "42"
    assert len(list((house / "cache").iterdir())) == 3  # two objects, the compiler's identity
    assert not list((house / "tmp").iterdir())


def test_threads_build_once(house):
    code = """\
def work():
    answers.append(library.load(PROGRAM).step())
answers = []
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(*answers)
"""
    assert run(house, code) == 8 * ["42"]
    assert translated(house).count("program0") == 1


def test_threads_that_load_in_different_orders_do_not_wait_for_each_other(house, monkeypatch):
    class Slow:
        """A lock of which threads are sure to hold one when they ask for the next."""

        def __init__(self):
            self.lock = threading.Lock()

        def __enter__(self):
            self.lock.acquire()
            time.sleep(0.2)

        def __exit__(self, *_):
            self.lock.release()

    class Gates(dict):
        def setdefault(self, name, _):
            return super().setdefault(name, Slow())

    compiler = toolchain.require_compiler()
    objects = [library._Object(f"{n}.so", [Unit(n, "int x;")], ctypes.RTLD_LOCAL) for n in "ab"]
    monkeypatch.setattr(library, "_gates", Gates())
    monkeypatch.setattr(library, "_loaded", {})
    loads = [
        threading.Thread(target=library._load, args=(compiler, order), daemon=True)
        for order in (objects, objects[::-1])
    ]
    for load in loads:
        load.start()
    eventually(lambda: not any(load.is_alive() for load in loads))
    assert sorted(library._loaded) == ["a.so", "b.so"]


def test_a_fork_amid_a_build_does_not_wait_for_it(house):
    code = f"""\
thread = threading.Thread(target=library.library)
(Path(sys.argv[1]) / "hang").write_text("-c launch")
thread.start()
while not (Path(sys.argv[1]) / "hung").exists(): time.sleep(0.01)
(Path(sys.argv[1]) / "hang").unlink()
if not os.fork():
    signal.alarm(60)
    {LOAD}
    sys.stdout.flush()
    os._exit(0)
status = os.wait()[1]
os.kill(int((Path(sys.argv[1]) / "hung").read_text()), signal.SIGKILL)
thread.join()
sys.exit(status)
"""
    child = start(house, "threading.excepthook = lambda _: None\n" + code)
    output, _ = child.communicate(timeout=300)
    assert (child.returncode, output) == (0, "42\n")


# -- what goes wrong --------------------------------------------------------------------------


def test_a_process_killed_amid_a_build_leaves_nothing_in_the_way(house):
    run(house, "library.library()")
    before = os.listdir(house / "cache")
    (house / "hang").write_text("-c program0")
    child = start(house, LOAD)
    compiler = hung(house, child)
    child.kill()
    child.wait()
    child.stdout.close()
    os.kill(compiler, signal.SIGKILL)
    assert os.listdir(house / "cache") == before
    (left,) = (house / "tmp").iterdir()
    os.utime(left, (1, 1))
    (house / "hang").unlink()
    assert run(house) == ["42"]
    assert not left.exists()


def test_an_interrupt_kills_the_compiler(house):
    (house / "hang").write_text("-c launch")
    code = "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "try:\n    library.load(PROGRAM)\nexcept KeyboardInterrupt:\n    print('interrupted')"
    child = start(house, code)
    compiler = hung(house, child)
    child.send_signal(signal.SIGINT)
    assert child.communicate(timeout=60)[0] == "interrupted\n"
    assert child.returncode == 0
    eventually(lambda: gone(compiler))
    assert not list((house / "tmp").iterdir())
    assert not list((house / "cache").glob("*.so"))


def test_a_compiler_that_hangs_is_killed(house):
    (house / "hang").write_text("-c slow")
    compiler = Compiler((str(house / "compiler"),), "")
    with pytest.raises(CompileError, match="must end within 2 seconds, got no end of"):
        compiler.build([[Unit("fast", "int x;"), Unit("slow", "int y;")]], time_limit=2)
    eventually(lambda: gone(int((house / "hung").read_text())))


def test_the_compilers_message_is_told(house, monkeypatch):
    monkeypatch.setattr(library, "FOLDER", house / "native")
    with pytest.raises(CompileError, match="compile: the C compiler must accept its input") as told:
        library.load(["int fine;", "int step(void) { return missing; }"])
    assert not isinstance(told.value, NoCompilerError)
    for text in (told.value.output, str(told.value)):
        assert "program1" in text
        assert "'missing' undeclared" in text or "undeclared identifier 'missing'" in text


def test_a_program_that_calls_what_is_nowhere_is_not_loaded(house, monkeypatch):
    monkeypatch.setattr(library, "FOLDER", house / "native")
    monkeypatch.setattr(library, "_loaded", {})
    with pytest.raises(CompileError, match=r"load: .*dt_nowhere"):
        library.load("int dt_nowhere(void);\nint step(void) { return dt_nowhere(); }")
    # The library is kept, and nothing that another process would meet in vain.
    assert len(list((house / "cache").glob("*.so"))) == 1


def test_a_package_without_its_c_files_says_so(house, monkeypatch):
    monkeypatch.setattr(library, "FOLDER", house / "tmp")
    with pytest.raises(
        CompileError, match=r"load: the package must hold its C files, got .*threads\.c"
    ):
        library.library()


@pytest.mark.parametrize("chosen", ["", "none", " none "])
def test_no_compiler_by_choice(monkeypatch, chosen):
    monkeypatch.setenv("DIPTYCH_CC", chosen)
    assert toolchain.find_compiler() is None
    with pytest.raises(NoCompilerError) as told:
        library.load("int step;")
    assert str(told.value) == f"DIPTYCH_CC: must be a C compiler to run native code, got {chosen!r}"


def test_no_compiler_on_the_path(monkeypatch, tmp_path):
    monkeypatch.delenv("DIPTYCH_CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(toolchain, "find_spec", lambda name: None)
    assert toolchain.find_compiler() is None
    with pytest.raises(NoCompilerError, match="cc, gcc, clang or the ziglang package must be"):
        library.library()


@pytest.mark.parametrize(
    "chosen, why",
    [("/no/such/cc -O3", "no such program"), ("false", "status 1 from"), ("'", "No closing")],
)
def test_a_compiler_that_does_not_work(monkeypatch, chosen, why):
    monkeypatch.setenv("DIPTYCH_CC", chosen)
    with pytest.raises(NoCompilerError, match=f"DIPTYCH_CC: must be a .*{why}"):
        toolchain.require_compiler()


def test_a_broken_compiler_on_the_path_gives_way_to_the_next(house, monkeypatch):
    monkeypatch.delenv("DIPTYCH_CC")
    programs = house / "programs"
    programs.mkdir()
    broken = programs / "cc"  # it tells its version, but has no headers, say
    broken.write_text('#!/bin/sh\n[ "$1" = --version ]\n')
    broken.chmod(0o700)
    (programs / "gcc").symlink_to(CC)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    assert toolchain.require_compiler().command == (str(programs / "gcc"),)


# -- what is built ----------------------------------------------------------------------------


def opened(path, content):
    path.write_bytes(content)
    return ctypes.CDLL(str(path))


@pytest.mark.parametrize("more", [[], ["-ffast-math"]])
def test_not_a_number_infinity_and_denormals_stay(tmp_path, more):
    unit = Unit(
        "probe", "int odd(double x) { return x != x; }\ndouble zero(double x) {return x-x;}"
    )
    (content,) = Compiler((CC, *more), "").build([[unit]])
    probe = opened(tmp_path / "probe.so", content)
    probe.zero.restype = ctypes.c_double
    assert probe.odd(ctypes.c_double(math.nan)) == 1
    assert math.isnan(probe.zero(ctypes.c_double(math.inf)))
    assert float("1e-310") / float("2") > 0


def test_several_objects_of_several_units(tmp_path):
    def units(number):
        return [
            Unit("first", "int other(void);\nint first(void) { return other() + 1; }"),
            Unit("other", f"int other(void) {{ return {number}; }}"),
        ]

    contents = Compiler((CC,), "").build([units(10), units(20)])
    loaded = [opened(tmp_path / f"{i}.so", content) for i, content in enumerate(contents)]
    assert [each.first() for each in loaded] == [11, 21]


def test_names_of_a_program_are_its_own(house):
    code = """\
other = ["int dt_one(void);\\nint step(void) { return dt_one(); }",
         "int dt_one(void) { return 7; }"]  # a name of the library's, too
print(library.load(PROGRAM).step(), library.load(other).step(), library.load(PROGRAM).step())
"""
    assert run(house, code) == ["42", "7", "42"]


def test_units_of_a_program_call_each_other(house):
    code = """\
texts = ["int b(void);\\nint a(void) { return b() + 1; }",
         '#include "runtime.h"\\nint b(void) { return dt_two(); }']
program = library.load(texts)
print(program.a(), program is library.load(tuple(texts)))
"""
    assert run(house, code) == ["3", "True"]


def test_the_ziglang_package_serves_where_no_compiler_is_installed(house, monkeypatch):
    package = house / "site" / "ziglang"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(
        "import os, sys\n"
        "assert sys.argv[1] == 'cc'\n"
        f"os.environ['PATH'] = {os.environ['PATH']!r}\n"
        f"os.execv({CC!r}, ['cc', *sys.argv[2:]])\n"
    )
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    monkeypatch.setenv("PATH", str(house / "tmp"))
    monkeypatch.delenv("DIPTYCH_CC")
    compiler = toolchain.require_compiler()
    assert compiler.command == (sys.executable, "-m", "ziglang", "cc")
    (content,) = compiler.build([[Unit("answer", "int answer(void) { return 42; }")]])
    assert opened(house / "answer.so", content).answer() == 42


def test_the_runtime_library_itself():
    assert library.library() is library.library()
    assert library.library().dt_run
