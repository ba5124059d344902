"""The cache of compiled code: what is damaged or foreign is made anew, and room has a bound."""

import errno
import os
import re
import stat
import time
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest

from diptych.compiler.native import cache
from diptych.errors import DiptychError

NAME = cache.key("an entry") + ".so"
PAYLOAD = Random(0).randbytes(5000)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A cache of the test's own, and a process that has said nothing yet."""
    path = tmp_path / "cache"
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("DIPTYCH_CACHE_DIR", str(path))
    monkeypatch.delenv("DIPTYCH_CACHE_BYTES", raising=False)
    monkeypatch.setattr(cache, "_said", set())
    monkeypatch.setattr(cache, "_spare_folders", [])
    monkeypatch.setattr(cache.tempfile, "tempdir", str(tmp_path / "tmp"))
    return path


def rebuilt():
    """Whether the entry counts as absent, and storing it again makes it whole."""
    absent = cache.find(NAME) is None and cache.read(NAME) is None
    path = cache.store(NAME, PAYLOAD)
    return absent and cache.find(NAME) == path and cache.read(NAME) == PAYLOAD


def test_an_entry_is_found_as_it_was_stored(place):
    assert cache.find(NAME) is None
    path = cache.store(NAME, PAYLOAD)
    assert path == place / NAME == cache.find(NAME)
    assert cache.read(NAME) == PAYLOAD
    assert path.read_bytes().startswith(PAYLOAD)  # what a loader reads lies where it expects it


def test_a_key_tells_its_parts_apart():
    parts = [("ab", "c"), ("a", "bc"), ("abc",), ("ab", "c", ""), ("c", "ab")]
    assert len({cache.key(*each) for each in parts}) == len(parts)
    assert cache.key("ab", "c") == cache.key("ab", "c")


SIZE = len(PAYLOAD) + cache.TRAILER_BYTES


@pytest.mark.parametrize("offset", [0, 1, 63, 2500, 4999, 5000, 5031, 5032, SIZE - 1])
@pytest.mark.parametrize("bit", [0, 7])
def test_a_flipped_bit_is_seen(offset, bit):
    path = cache.store(NAME, PAYLOAD)
    data = bytearray(path.read_bytes())
    data[offset] ^= 1 << bit
    path.write_bytes(data)
    assert rebuilt()


@pytest.mark.parametrize("length", [0, 1, cache.TRAILER_BYTES, 2500, len(PAYLOAD), SIZE - 1])
def test_a_truncated_entry_is_seen(length):
    path = cache.store(NAME, PAYLOAD)
    os.truncate(path, length)
    assert rebuilt()


@pytest.mark.parametrize("more", [b"\0", PAYLOAD, cache.MAGIC])
def test_a_longer_entry_is_seen(more):
    path = cache.store(NAME, PAYLOAD)
    path.write_bytes(path.read_bytes() + more)
    assert rebuilt()


def test_the_sound_entry_of_another_name_is_foreign():
    other = cache.store(cache.key("another") + ".so", b"another")
    other.rename(cache.store(NAME, PAYLOAD))
    assert rebuilt()


def test_a_link_is_not_followed(place, tmp_path):
    path = cache.store(NAME, PAYLOAD)
    elsewhere = tmp_path / NAME
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    before = elsewhere.read_bytes()
    assert rebuilt()
    assert not path.is_symlink()
    assert elsewhere.read_bytes() == before


def test_what_is_no_file_is_foreign(place):
    cache.folder()
    os.mkfifo(place / NAME)  # opening it must not wait for a writer
    assert rebuilt()


def test_an_entry_that_others_may_write_is_not_trusted():
    cache.store(NAME, PAYLOAD).chmod(0o620)
    assert rebuilt()


def test_an_entry_of_another_user_is_not_trusted(monkeypatch, place):
    cache.store(NAME, PAYLOAD)
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    with pytest.warns(UserWarning, match="must be the user's"):
        assert cache.find(NAME) is None


def test_a_folder_of_the_users_own_is_made(place):
    os.umask(old := os.umask(0))
    try:
        os.umask(0)
        path = cache.store(NAME, PAYLOAD)
    finally:
        os.umask(old)
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o777, 0o720, 0o702])
def test_a_folder_that_others_may_write_is_refused_and_said_once(place, tmp_path, mode):
    cache.store(NAME, PAYLOAD)
    place.chmod(mode)
    with pytest.warns(UserWarning, match=rf"cache: the folder must .* with mode {mode:o}") as said:
        assert cache.find(NAME) is None
        path = cache.store(NAME, b"other")
        assert cache.find(NAME) == path
    assert len(said) == 1
    assert path.parent.parent == tmp_path / "tmp"
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_made_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("DIPTYCH_CACHE_DIR", str(tmp_path / "file" / "cache"))
    with pytest.warns(UserWarning, match="got Not a directory for"):
        assert cache.read(cache.store(NAME, PAYLOAD).name) == PAYLOAD


def test_a_folder_without_execution_is_done_without(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_flag=os.ST_NOEXEC))
    with pytest.warns(UserWarning, match="must be mounted executable"):
        assert cache.store(NAME, PAYLOAD).parent.parent == tmp_path / "tmp"


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_disk_that_takes_nothing_is_done_without(place, tmp_path, monkeypatch, error):
    kept = cache.store(cache.key("kept") + ".so", b"kept")
    replace = os.replace

    def refuse(source, target):
        if Path(target).parent == place:
            raise OSError(error, os.strerror(error))
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.warns(UserWarning, match=f"got {os.strerror(error)} in") as said:
        paths = [cache.store(cache.key(text) + ".so", PAYLOAD) for text in "ab"]
    assert len(said) == 1
    assert [cache.find(path.name) for path in paths] == paths
    assert {path.parent.parent for path in paths} == {tmp_path / "tmp"}
    assert cache.find(kept.name) == kept  # what is there still serves
    assert os.listdir(place) == [kept.name]


def test_a_spare_folder_that_vanished_is_made_again(place):
    place.mkdir(0o777)
    place.chmod(0o777)
    with pytest.warns(UserWarning):
        first = cache.store(NAME, PAYLOAD)
    first.unlink()
    first.parent.rmdir()
    assert cache.find(NAME) is None
    assert cache.store(NAME, PAYLOAD).parent != first.parent


# -- where ------------------------------------------------------------------------------------


def test_where_the_folder_lies(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("DIPTYCH_CACHE_DIR", "")
    assert cache.folder() == tmp_path / "xdg" / "diptych"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache.folder() == tmp_path / "home" / ".cache" / "diptych"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DIPTYCH_CACHE_DIR", "here")
    assert cache.folder() == tmp_path / "here"


# -- room -------------------------------------------------------------------------------------


def aged(path, seconds):
    then = time.time() - seconds
    os.utime(path, (then, then), follow_symlinks=False)


def entry(text):
    return cache.key(text) + ".so"


def test_the_least_recently_used_go_first(place, monkeypatch):
    for age, text in enumerate("edcba"):
        aged(cache.store(entry(text), PAYLOAD), 100 * (1 + age))
    (place / "notes").write_bytes(PAYLOAD)  # nobody's entry: not ours to remove or to count
    cache.find(entry("a"))  # the oldest is used
    monkeypatch.setenv("DIPTYCH_CACHE_BYTES", str(3 * SIZE))
    cache.store(entry("new"), PAYLOAD)
    assert set(os.listdir(place)) == {"notes", entry("new"), entry("a"), entry("e")}


def test_the_newest_entry_stays_whatever_the_bound(place, monkeypatch):
    cache.store(entry("old"), PAYLOAD)
    monkeypatch.setenv("DIPTYCH_CACHE_BYTES", "1")
    path = cache.store(NAME, PAYLOAD)
    assert os.listdir(place) == [NAME]
    assert cache.find(NAME) == path


@pytest.mark.parametrize("text", ["1 GiB", "-1", "1e9"])
def test_a_bound_is_a_number_of_bytes(monkeypatch, text):
    monkeypatch.setenv("DIPTYCH_CACHE_BYTES", text)
    message = f"DIPTYCH_CACHE_BYTES: must be a number of bytes, got {text!r}"
    with pytest.raises(DiptychError, match=re.escape(message)):
        cache.store(NAME, PAYLOAD)


def test_parts_of_killed_processes_are_swept(place):
    cache.folder()
    old, young, foreign = (place / name for name in (f".{16 * 'a'}.part", f".{16 * 'b'}.part", "x"))
    for path in (old, young, foreign):
        path.write_bytes(b"torn")
    aged(old, cache.LEFT_BEHIND + 10)
    aged(foreign, cache.LEFT_BEHIND + 10)
    cache.store(NAME, PAYLOAD)
    assert set(os.listdir(place)) == {NAME, young.name, foreign.name}


def test_scratch_of_killed_processes_is_swept(tmp_path):
    with cache.scratch() as alive:
        old = alive.with_name(cache._SCRATCH + "old")
        foreign = alive.with_name("diptych-results")
        for path in (old, foreign):
            path.mkdir()
            (path / "file").touch()
            aged(path, cache.LEFT_BEHIND + 10)
        with cache.scratch() as other:
            assert set((tmp_path / "tmp").iterdir()) == {alive, other, foreign}
    assert set((tmp_path / "tmp").iterdir()) == {foreign}


def test_a_write_that_fails_leaves_nothing(place, monkeypatch):
    cache.store(NAME, PAYLOAD)

    def interrupt(source, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        cache.store(NAME, b"newer")
    assert os.listdir(place) == [NAME]
    assert cache.read(NAME) == PAYLOAD
