"""Data sets that fail, die or wait: what worker processes are given, so it must be importable."""

import os
import random
import signal
import sys
import threading
import time

import numpy as np

import diptych as dt
from diptych import data
from diptych.data import get_worker_info


class Squares(data.Dataset):
    """Samples whose loading may fail, end the process, or wait."""

    def __init__(self, count=12, at=None, do=None):
        self.count, self.at, self.do = count, at, do

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if index == self.at:
            self.do()
        return np.array([index, index * index])


class TwoArguments(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


def raise_value_error():
    raise ValueError("the file is empty")


def raise_two_arguments():
    raise TwoArguments("this", "that")


def raise_unpicklable():
    error = ValueError("held a lock")
    error.lock = threading.Lock()
    raise error


def exit_at_once():
    os._exit(3)


def exit_politely():
    sys.exit(4)


def kill_itself():
    os.kill(os.getpid(), signal.SIGKILL)


def wait_for_ever():
    time.sleep(3600)


class FirstWaits(Squares):
    def __getitem__(self, index):
        if index == 0:
            wait_for_ever()
        return super().__getitem__(index)


class Drawn(data.Dataset):
    """What a dataset can draw from, and who it is told that loads it."""

    def __len__(self):
        return 12

    def __getitem__(self, index):
        info = get_worker_info()
        return {"drawn": info.generator.random(), "id": info.id, "seed": info.seed}


class Globals(data.Dataset):
    """Draws from the generators that belong to the whole process."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return random.random(), np.random.rand(), dt.rand().item(), get_worker_info().seed


class Unreadable:
    """An index that cannot be unpickled."""

    def __reduce__(self):
        return raise_value_error, ()
