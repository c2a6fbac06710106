"""One worker on a queue, as a process of its own: `python labelling_worker.py QUEUE`."""

import sys

from ferrojax.labelling import Queue

sys.stdout.write("ready\n")
sys.stdout.flush()
Queue(sys.argv[1]).run()
