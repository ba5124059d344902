"""The asv suite; see asv.conf.json at the root."""

import threadpoolctl

# Two threads that are not pinned often share a core for seconds, and then time the scheduler.
threadpoolctl.threadpool_limits(1)
