"""A Ray cluster of two nodes on this machine: prints its address; at a line of stdin a node dies; ends with stdin."""

from __future__ import annotations

import sys

from ray.cluster_utils import Cluster

if __name__ == "__main__":
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    other = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    print(cluster.address, flush=True)
    if sys.stdin.readline():
        cluster.remove_node(other, allow_graceful=False)
        print("killed", flush=True)
        sys.stdin.read()
    cluster.shutdown()
