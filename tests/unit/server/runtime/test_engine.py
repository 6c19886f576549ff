"""OpenVINO's binding can be used from several threads as soon as there is an engine."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
# Two threads ask for the process's first arrays at once. The interpreter changes threads as often as it can.
FIRST_ARRAYS = """
import sys, threading
sys.setswitchinterval(1e-6)
import openvino as ov
from sentinova_server.runtime.engine import Engine
engine = Engine()
model = "model_repository/sentiment_en/1/model.pdmodel"
graphs = [ov.Core().read_model(model) for _ in range(2)]
constants = [[n for n in g.get_ordered_ops() if n.get_type_name() == "Constant"][:3] for g in graphs]
barrier = threading.Barrier(2)

def read(nodes):
    barrier.wait()
    for node in nodes:
        node.get_data()

threads = [threading.Thread(target=read, args=(nodes,)) for nodes in constants]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_two_threads_that_read_the_first_arrays_do_not_hang():
    for _ in range(5):
        subprocess.run([sys.executable, "-c", FIRST_ARRAYS], cwd=ROOT, check=True, timeout=60)
